#include "cache/server/authenticator.h"

#include <crypt.h>
#include <sys/random.h>

#include <algorithm>
#include <memory>

#include "base/io.h"
#include "base/strings.h"
#include "cache/server/blob_digest.h"
#include "oci/base64.h"

namespace kiln::server {
namespace {

constexpr size_t kKeyBytes = 32, kMaxRemembered = 4096, kMaxPasswordBytes = 512;
constexpr std::string_view kCertificatePrefix = "cert:";
// Of a password nobody has: what is spent on users who do not exist.
constexpr const char* kNobodysHash = "$2y$10$abcdefghijklmnopqrstuuW7FrAMJZt8SNOZ0GSqXUxzLvGqsW7VG";

std::string random_key() {
  std::string key(kKeyBytes, '\0');
  KILN_CHECK(::getrandom(key.data(), key.size(), 0) == static_cast<ssize_t>(key.size()));
  return key;
}

bool is_bcrypt(std::string_view hash) {
  constexpr size_t kLength = 60;
  return hash.size() == kLength &&
         (hash.starts_with("$2y$") || hash.starts_with("$2b$") || hash.starts_with("$2a$"));
}

std::optional<std::string_view> after_scheme(std::string_view header, std::string_view scheme) {
  if (header.size() <= scheme.size() || header[scheme.size()] != ' ' ||
      !equal_fold(header.substr(0, scheme.size()), scheme))
    return std::nullopt;
  return trim(header.substr(scheme.size() + 1));
}

}  // namespace

Result<std::map<std::string, std::string>> parse_htpasswd(std::string_view text,
                                                          const std::string& file) {
  std::map<std::string, std::string> passwords;
  int number = 0;
  for (const std::string& raw : split(text, '\n')) {
    ++number;
    const std::string_view line = trim(raw);
    if (line.empty() || line.front() == '#') continue;
    const size_t colon = line.find(':');
    const SourceRange here{file, number, number};
    if (colon == std::string_view::npos || colon == 0)
      return tl::unexpected(Error(Code::kInvalidArgument, "not a line of user:hash").at(here));
    const std::string user(line.substr(0, colon)), hash(line.substr(colon + 1));
    if (!is_bcrypt(hash))
      return tl::unexpected(
          Error(Code::kInvalidArgument, "the password of " + quote(user) + " is not in bcrypt")
              .at(here)
              .hint("write it with htpasswd -B"));
    passwords[user] = hash;
  }
  return passwords;
}

Authenticator::Authenticator(Credentials credentials)
    : credentials_(std::move(credentials)),
      key_(credentials_.token_key.empty() ? random_key() : credentials_.token_key) {}

std::optional<Authenticator::Outcome> Authenticator::authenticate(const Request& request,
                                                                  Time now) {
  const auto header = request.header("authorization");
  if (!header || credentials_.empty()) {
    if (request.certificate_name.empty()) return Outcome{};
    return Outcome{std::string(kCertificatePrefix) + request.certificate_name, false};
  }
  std::optional<std::string> name;
  if (const auto basic = after_scheme(*header, "Basic"))
    name = check_basic(*basic);
  else if (const auto bearer = after_scheme(*header, "Bearer"))
    name = check_bearer(*bearer, now);
  if (!name) return std::nullopt;
  return Outcome{*std::move(name), true};
}

// A static token may also stand where a password is asked for: that is how docker login knows it.
std::optional<std::string> Authenticator::check_basic(std::string_view encoded) {
  const auto decoded = oci::decode_base64(encoded);
  if (!decoded) return std::nullopt;
  const size_t colon = decoded->find(':');
  if (colon == std::string::npos) return std::nullopt;
  const std::string user = decoded->substr(0, colon), password = decoded->substr(colon + 1);
  if (auto holder = holder_of(password)) return holder;
  if (!check_password(user, password)) return std::nullopt;
  return user;
}

bool Authenticator::check_password(const std::string& user, const std::string& password) {
  if (password.size() > kMaxPasswordBytes) return false;
  const std::string known = keyed_hash(key_, user + '\0' + password);
  if (right_.lock()->contains(known)) return true;
  const auto found = credentials_.passwords.find(user);
  const bool exists = found != credentials_.passwords.end();
  const std::string wanted = exists ? found->second : kNobodysHash;
  const auto data = std::make_unique<struct crypt_data>();
  const char* hash = ::crypt_r(password.c_str(), wanted.c_str(), data.get());
  if (hash == nullptr || !equal_in_constant_time(hash, wanted) || !exists) return false;
  auto right = right_.lock();
  if (right->size() >= kMaxRemembered) right->clear();
  right->insert(known);
  return true;
}

std::optional<std::string> Authenticator::holder_of(std::string_view token) const {
  const std::string hash = BlobDigest::of(HashAlgorithm::kSha256, token).hex();
  std::optional<std::string> holder;
  for (const StaticToken& known : credentials_.tokens)  // all of them, whichever it is
    if (equal_in_constant_time(known.sha256, hash)) holder = known.name;
  return holder;
}

// Whoever was taken from the lists has lost the tokens too that were handed out before.
bool Authenticator::knows(const std::string& name) const {
  return name.empty() || name.starts_with(kCertificatePrefix) ||
         credentials_.passwords.contains(name) ||
         std::any_of(credentials_.tokens.begin(), credentials_.tokens.end(),
                     [&](const StaticToken& token) { return token.name == name; });
}

// "<expiry>.<name in base64>.<keyed hash of both>": nothing of it needs to be kept here.
std::string Authenticator::issue_token(const std::string& name, Time now) const {
  const auto expiry =
      std::chrono::duration_cast<std::chrono::seconds>((now + kTokenLife).time_since_epoch());
  const std::string text = std::to_string(expiry.count()) + "." + oci::encode_base64(name);
  return text + "." + keyed_hash(key_, text);
}

std::optional<std::string> Authenticator::check_bearer(std::string_view token, Time now) const {
  if (auto holder = holder_of(token)) return holder;
  const size_t last = token.rfind('.');
  if (last == std::string_view::npos) return std::nullopt;
  const std::string_view text = token.substr(0, last);
  if (!equal_in_constant_time(keyed_hash(key_, text), token.substr(last + 1))) return std::nullopt;
  const size_t dot = text.find('.');
  const Result<int64_t> expiry = parse_int(text.substr(0, dot));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch());
  if (!expiry || *expiry < seconds.count()) return std::nullopt;
  std::optional<std::string> name = oci::decode_base64(text.substr(dot + 1));
  if (!name || !knows(*name)) return std::nullopt;
  return name;
}

}  // namespace kiln::server
