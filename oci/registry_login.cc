#include "oci/registry_login.h"

#include "base/strings.h"
#include "oci/registry_auth.h"

namespace kiln::oci {
namespace {

class DroppedBody : public Sink {
 public:
  Status write(std::span<const std::byte> /*data*/) override { return {}; }
};

}  // namespace

Result<std::string> check_login(const RegistryAccess& access, const std::string& domain,
                                const Credentials& credentials, std::stop_token stop) {
  KILN_TRY_ASSIGN(const Url base, RegistrySession::locate(access, domain, stop));
  Url url = base;
  url.target = "/v2/";
  HttpRequest request;
  request.url = url.to_string();
  const auto prepare = [&](const Url& to, HttpRequest& asked) -> Status {
    return RegistrySession::prepare_tls(access, to, asked);
  };
  KILN_TRY(prepare(url, request));
  DroppedBody body;
  const auto drop = [](const HttpResponse&) { return false; };
  KILN_TRY_ASSIGN(HttpResponse response, access.http->send(request, body, stop, drop));
  std::string identity;
  if (response.status == 401) {
    std::string challenges;
    for (const auto& [name, value] : response.headers) {
      if (name == "www-authenticate")
        challenges.append(challenges.empty() ? "" : ", ").append(value);
    }
    const std::optional<Credentials> given = credentials;
    AuthRequest asked{base, challenges, "", given};
    asked.prepare = prepare;
    asked.offline = Offline::kYes;
    KILN_TRY_ASSIGN(const AuthAnswer answer, answer_challenge(*access.http, asked, stop));
    identity = answer.refresh_token;
    request.headers.emplace_back("Authorization", answer.authorization);
    KILN_TRY_ASSIGN(response, access.http->send(request, body, stop, drop));
  }
  if (response.status == 200) return identity;
  const std::string status = "HTTP status " + std::to_string(response.status);
  if (response.status == 401 || response.status == 403) {
    return fail(Code::kUnauthenticated, "incorrect username or password (" + status + ")");
  }
  if (response.status == 429 || response.status >= 500) return fail(Code::kUnavailable, status);
  return tl::unexpected(Error(Code::kNotFound, quote(base.origin()) + " answers with " + status)
                            .hint("is it a registry?"));
}

}  // namespace kiln::oci
