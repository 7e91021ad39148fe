#include "cache/server/access.h"

#include <algorithm>

#include "cache/server/names.h"

namespace kiln::server {
namespace {

constexpr std::string_view kEveryone = "*", kAnonymous = "anonymous";

bool is_about(const Grant& grant, std::string_view name) {
  return std::any_of(grant.who.begin(), grant.who.end(), [&](const std::string& who) {
    return who == kEveryone || who == (name.empty() ? kAnonymous : name);
  });
}

}  // namespace

bool AccessRules::knows_anonymous() const {
  return everyone_may_all || std::any_of(grants.begin(), grants.end(),
                                         [](const Grant& grant) { return is_about(grant, ""); });
}

bool Principal::may(Action action, std::string_view repository) const {
  if (rules_->everyone_may_all) return true;
  return std::any_of(rules_->grants.begin(), rules_->grants.end(), [&](const Grant& grant) {
    return std::find(grant.actions.begin(), grant.actions.end(), action) != grant.actions.end() &&
           is_about(grant, name_) &&
           std::any_of(
               grant.repositories.begin(), grant.repositories.end(),
               [&](const auto& pattern) { return matches_repository(pattern, repository); });
  });
}

bool Principal::is_administrator() const {
  if (rules_->everyone_may_all) return true;
  const auto& names = rules_->administrators;
  return !name_.empty() && std::find(names.begin(), names.end(), name_) != names.end();
}

}  // namespace kiln::server
