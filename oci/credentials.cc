#include "oci/credentials.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>

#include "base/strings.h"
#include "oci/base64.h"
#include "oci/credential_helper.h"

namespace kiln::oci {
namespace {

constexpr std::string_view kHubKey = "https://index.docker.io/v1/";

// nullopt: they are damaged.
std::optional<Credentials> credentials_of(const Json& entry) {
  Credentials credentials{entry["username"].as_string(), entry["password"].as_string(),
                          entry["identitytoken"].as_string()};
  const std::string& packed = entry["auth"].as_string();
  if (packed.empty()) return credentials;
  const auto plain = decode_base64(packed);
  const size_t colon = plain ? plain->find(':') : std::string::npos;
  if (colon == std::string::npos) return std::nullopt;
  credentials.username = plain->substr(0, colon);
  credentials.password = plain->substr(colon + 1);
  // Docker pads with NUL.
  credentials.password.erase(
      std::min(credentials.password.find('\0'), credentials.password.size()));
  return credentials;
}

bool is_empty(const Credentials& credentials) {
  return credentials.username.empty() && credentials.identity_token.empty();
}

}  // namespace

std::string credential_domain(std::string_view server) {
  if (const size_t scheme = server.find("://"); scheme != std::string_view::npos) {
    server.remove_prefix(scheme + 3);
  }
  std::string domain = to_lower(server.substr(0, server.find('/')));
  const bool hub = domain == "index.docker.io" || domain == "registry-1.docker.io";
  return hub ? "docker.io" : domain;
}

std::string credential_key(const std::string& domain) {
  return domain == "docker.io" ? std::string(kHubKey) : domain;
}

/// What helpers answered, errors too: one that asks for a passphrase does so once.
struct CredentialStore::Answers {
  std::mutex mutex;  // all below
  std::condition_variable_any changed;
  std::set<std::string> running;  // for these domains
  std::map<std::string, Result<std::optional<Credentials>>> known;
};

Result<CredentialStore> CredentialStore::parse(std::string_view config_json,
                                               const HelperPlace* helpers) {
  CredentialStore store;
  if (helpers != nullptr) {
    store.helpers_ = std::make_shared<const HelperPlace>(*helpers);
    store.answers_ = std::make_shared<Answers>();
  }
  if (trim(config_json).empty()) return store;
  const auto json = Json::parse(config_json);
  if (!json) return tl::unexpected(json.error().wrap("Docker's config.json"));
  for (const auto& [key, entry] : (*json)["auths"].members()) {
    std::optional<Credentials> credentials = credentials_of(entry);
    if (credentials && is_empty(*credentials)) continue;  // a helper has them
    // What is damaged is kept as nothing, which find() tells: it concerns nobody else.
    store.by_domain_.emplace(credential_domain(key), credentials.value_or(Credentials()));
  }
  for (const auto& [key, helper] : (*json)["credHelpers"].members()) {
    store.helper_of_domain_.emplace(credential_domain(key), helper.as_string());
  }
  store.helper_for_all_ = (*json)["credsStore"].as_string();
  return store;
}

Result<std::optional<Credentials>> CredentialStore::find(const std::string& server,
                                                         std::stop_token stop) const {
  const std::string domain = credential_domain(server);
  std::optional<Credentials> in_file;
  if (const auto found = by_domain_.find(domain); found != by_domain_.end()) {
    if (is_empty(found->second))
      return tl::unexpected(
          Error(Code::kInvalidArgument,
                "the credentials for " + quote(domain) + " in Docker's config.json are damaged")
              .hint("`kiln login " + domain + "` writes them anew"));
    in_file = found->second;
  }
  const auto own = helper_of_domain_.find(domain);
  const std::string& name = own != helper_of_domain_.end() ? own->second : helper_for_all_;
  if (name.empty() || !helpers_) return in_file;
  KILN_TRY_ASSIGN(std::optional<Credentials> kept, ask(name, domain, stop));
  return kept ? kept : in_file;
}

Result<std::optional<Credentials>> CredentialStore::ask(const std::string& name,
                                                        const std::string& domain,
                                                        const std::stop_token& stop) const {
  std::unique_lock hold(answers_->mutex);
  const auto is_over = [&] { return !answers_->running.contains(domain); };
  if (!answers_->changed.wait(hold, stop, is_over)) return fail(Code::kCancelled, "cancelled");
  if (const auto known = answers_->known.find(domain); known != answers_->known.end())
    return known->second;
  answers_->running.insert(domain);
  hold.unlock();
  const auto helper = CredentialHelper::named(*helpers_, name);
  Result<std::optional<Credentials>> kept =
      helper ? helper->get(credential_key(domain), stop) : tl::unexpected(helper.error());
  hold.lock();
  answers_->running.erase(domain);
  // Who was stopped has learnt nothing.
  if (kept || kept.error().code() != Code::kCancelled) answers_->known.emplace(domain, kept);
  answers_->changed.notify_all();
  return kept;
}

Result<CredentialFile> CredentialFile::parse(std::string_view config_json) {
  if (trim(config_json).empty()) return CredentialFile(Json::object());
  auto json = Json::parse(config_json);
  if (!json) return tl::unexpected(json.error());
  if (!json->is_object()) return fail(Code::kInvalidArgument, "it is not a JSON object");
  const Json& auths = (*json)["auths"];
  if (!auths.is_object() && !auths.is_null()) {
    return fail(Code::kInvalidArgument, "its \"auths\" is not a JSON object");
  }
  return CredentialFile(*std::move(json));
}

std::string CredentialFile::helper(const std::string& domain) const {
  for (const auto& [key, helper] : json_["credHelpers"].members()) {
    if (credential_domain(key) == domain) return helper.as_string();
  }
  return json_["credsStore"].as_string();
}

bool CredentialFile::has(const std::string& domain) const {
  return std::ranges::any_of(json_["auths"].members(), [&](const Json::Member& member) {
    return credential_domain(member.first) == domain;
  });
}

void CredentialFile::set(const std::string& domain, const Credentials& credentials) {
  erase(domain);
  Json entry = Json::object();
  if (!credentials.username.empty()) {
    // Whoever has an identity token needs the password no more.
    const std::string& secret =
        credentials.identity_token.empty() ? credentials.password : std::string();
    entry.set("auth", encode_base64(credentials.username + ":" + secret));
  }
  if (!credentials.identity_token.empty()) {
    entry.set("identitytoken", credentials.identity_token);
  }
  json_.member("auths").set(credential_key(domain), std::move(entry));
}

void CredentialFile::set_kept_by_helper(const std::string& domain) {
  erase(domain);
  json_.member("auths").set(credential_key(domain), Json::object());
}

void CredentialFile::erase(const std::string& domain) {
  if (!json_["auths"].is_object()) return;
  Json& auths = json_.member("auths");
  std::vector<std::string> keys;
  for (const auto& [key, entry] : auths.members()) {
    if (credential_domain(key) == domain) keys.push_back(key);
  }
  for (const std::string& key : keys) auths.erase(key);
}

std::string CredentialFile::text() const {
  return json_.dump_pretty() + "\n";
}

}  // namespace kiln::oci
