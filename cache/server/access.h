// Who may do what to which repositories. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::server {

enum class Action : uint8_t { kPull, kPush, kDelete };

/// One rule of a configuration; what no rule grants is refused.
struct Grant {
  std::vector<std::string> who;           // names, "anonymous", or "*" for everyone
  std::vector<std::string> repositories;  // patterns (names.h)
  std::vector<Action> actions;
};

struct AccessRules {
  std::vector<Grant> grants;
  std::vector<std::string> administrators;
  bool everyone_may_all = false;  // no rules were configured
  /// May somebody without a name do anything?
  bool knows_anonymous() const;
};

/// Who asks.
class Principal {
 public:
  Principal(std::shared_ptr<const AccessRules> rules, std::string name)
      : rules_(std::move(rules)), name_(std::move(name)) {}
  const std::string& name() const { return name_; }  // "": nobody in particular
  bool is_anonymous() const { return name_.empty(); }
  bool may(Action action, std::string_view repository) const;
  bool is_administrator() const;

 private:
  std::shared_ptr<const AccessRules> rules_;  // others may hold from now on; these for this request
  std::string name_;
};

}  // namespace kiln::server
