#include "oci/credential_helper.h"

#include <algorithm>

#include "base/json.h"
#include "base/process.h"
#include "base/strings.h"
#include "base/watchdog.h"

namespace kiln::oci {
namespace {

constexpr std::chrono::seconds kLongestHelperRun{60};
constexpr uint64_t kHelperOutputLimit = 64U << 10U;
constexpr std::string_view kTokenUser = "<token>";  // says that the secret is an identity token

bool is_plain_word(std::string_view name) {
  return !name.empty() && name.front() != '.' && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

}  // namespace

Result<CredentialHelper> CredentialHelper::named(const HelperPlace& place,
                                                 const std::string& name) {
  if (!is_plain_word(name)) {
    return fail(Code::kInvalidArgument, quote(name) + " is no name of a credential helper");
  }
  return CredentialHelper(place, "docker-credential-" + name);
}

Result<CredentialHelper::Answer> CredentialHelper::run(const char* action, const std::string& input,
                                                       const std::stop_token& stop) const {
  ProcessSpec spec;
  const auto path = find_program(program_, place_.search_path);
  if (!path) {
    return tl::unexpected(
        Error(Code::kFailedPrecondition, "credential helper " + program_ + " is not installed")
            .hint("install it, or take it out of credsStore and credHelpers in Docker's "
                  "config.json"));
  }
  spec.program = *path;
  spec.argv = {program_, action};
  spec.env = place_.environment;
  spec.new_session = false;  // it may ask for a passphrase
  const Watchdog bounded(stop, kLongestHelperRun);
  const auto ran = run_captured(std::move(spec), input, kHelperOutputLimit, bounded.token());
  if (!ran) {
    if (bounded.expired())
      return fail(Code::kFailedPrecondition, program_ + " took more than 60 s");
    return tl::unexpected(ran.error().wrap(program_));
  }
  if (ran->out.size() >= kHelperOutputLimit) {
    return fail(Code::kFailedPrecondition, program_ + " answers with more than 64 KiB");
  }
  return Answer{ran->exit.ok(), ran->out};
}

// What a helper says on failure stands on standard output, and is no secret.
tl::unexpected<Error> CredentialHelper::refused(const char* action, const Answer& answer) const {
  return fail(Code::kFailedPrecondition,
              program_ + " " + action + ": " + printable(trim(answer.text).substr(0, 300)));
}

Result<std::optional<Credentials>> CredentialHelper::get(const std::string& server,
                                                         std::stop_token stop) const {
  KILN_TRY_ASSIGN(const Answer answer, run("get", server, stop));
  if (!answer.ok) {
    // The one error that helpers agree on.
    if (trim(answer.text) == "credentials not found in native keychain") return std::nullopt;
    return refused("get", answer);
  }
  const auto json = Json::parse(answer.text, {kHelperOutputLimit, 4});
  if (!json || !json->is_object()) {
    return fail(Code::kFailedPrecondition, program_ + " answers with what is no credential");
  }
  const std::string& username = (*json)["Username"].as_string();
  const std::string& secret = (*json)["Secret"].as_string();
  if (secret.empty()) return std::nullopt;
  if (username == kTokenUser) return Credentials{"", "", secret};
  return Credentials{username, secret, ""};
}

Status CredentialHelper::store(const std::string& server, const Credentials& credentials,
                               std::stop_token stop) const {
  const bool token = !credentials.identity_token.empty();
  const Json json =
      Json::object({{"ServerURL", server},
                    {"Username", token ? std::string(kTokenUser) : credentials.username},
                    {"Secret", token ? credentials.identity_token : credentials.password}});
  KILN_TRY_ASSIGN(const Answer answer, run("store", json.dump(), stop));
  if (!answer.ok) return refused("store", answer);
  return {};
}

Status CredentialHelper::erase(const std::string& server, std::stop_token stop) const {
  KILN_TRY_ASSIGN(const Answer answer, run("erase", server, stop));
  const bool none = trim(answer.text) == "credentials not found in native keychain";
  if (!answer.ok && !none) return refused("erase", answer);
  return {};
}

}  // namespace kiln::oci
