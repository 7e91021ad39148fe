#include "solver/sources/http_fetch.h"

#include <ctime>

#include "base/path.h"
#include "base/strings.h"

namespace kiln::internal {
namespace {

constexpr int kMaxRedirects = 10;

/// "https://host:port", lower case, without credentials.
std::string origin_of(const std::string& url) {
  const size_t scheme = url.find("://");
  return scheme == std::string::npos ? "" : to_lower(url.substr(0, scheme + 3)) + host_of(url);
}

bool is_http(const std::string& url) {
  const std::string lower = to_lower(url.substr(0, 8));
  return lower.starts_with("http://") || lower.starts_with("https://");
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Error refused(const std::string& url, int status) {
  Code code = Code::kFailedPrecondition;
  if (status == 404 || status == 410) code = Code::kNotFound;
  if (status == 401) code = Code::kUnauthenticated;
  if (status == 429 || status >= 500) code = Code::kUnavailable;
  Error error(code, "GET " + without_credentials(url) + ": invalid response status " +
                        std::to_string(status));
  if (status == 404 || status == 410) return error.hint("the server has no such file");
  if (status == 401 || status == 403)
    return error.hint(
        "credentials can be given with --secret id=HTTP_AUTH_TOKEN_HOST or "
        "HTTP_AUTH_HEADER_HOST");
  return error;
}

}  // namespace

std::string host_of(const std::string& url) {
  const size_t start = url.find("://");
  if (start == std::string::npos) return {};
  const size_t end = url.find_first_of("/?#", start + 3);
  std::string authority = url.substr(start + 3, end - start - 3);
  authority.erase(0, authority.rfind('@') + 1);
  return to_lower(authority);
}

std::optional<std::string> resolve_location(const std::string& base, const std::string& location) {
  if (is_http(location)) return location;
  const size_t scheme = base.find("://");
  if (scheme == std::string::npos || location.empty()) return std::nullopt;
  if (location.starts_with("//")) return base.substr(0, scheme + 1) + location;
  const size_t colon = location.find(':');
  if (colon != std::string::npos && colon < location.find_first_of("/?#")) return std::nullopt;
  const size_t path = std::min(base.find_first_of("/?#", scheme + 3), base.size());
  const std::string authority = base.substr(0, path);
  if (location.starts_with('/')) return authority + location;
  const size_t query = std::min(base.find_first_of("?#", path), base.size());
  const std::string whole = base.substr(path, query - path);
  if (location.starts_with('?')) return authority + whole + location;
  return authority + whole.substr(0, whole.rfind('/') + 1) + location;
}

std::optional<int64_t> parse_http_date(const std::string& text) {
  std::tm parts{};
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return ::timegm(&parts);
}

bool is_strong_time(const HttpResponse& answer) {
  constexpr int64_t kSettled = 2;
  const auto modified = parse_http_date(answer.header("last-modified").value_or(""));
  const auto sent = parse_http_date(answer.header("date").value_or(""));
  return modified && sent && *modified + kSettled <= *sent;
}

Result<HttpResponse> fetch(HttpClient& client, const FetchRequest& request, Sink& body,
                           std::stop_token stop) {
  HttpRequest next;
  next.url = request.url;
  next.on_download = request.on_download;
  for (int hops = 0; hops <= kMaxRedirects; ++hops) {
    next.headers.clear();
    if (origin_of(next.url) == origin_of(request.url)) next.headers = request.headers;
    next.headers.insert(next.headers.end(), request.conditions.begin(), request.conditions.end());
    auto response = client.send(next, body, stop,
                                [](const HttpResponse& answer) { return answer.status == 200; });
    if (!response)
      return tl::unexpected(response.error().wrap("GET " + without_credentials(next.url)));
    const bool unchanged = response->status == 304 && !request.conditions.empty();
    if (response->status == 200 || unchanged) return response;
    if (!is_redirect(response->status)) return tl::unexpected(refused(next.url, response->status));
    const auto location =
        resolve_location(next.url, response->header("location").value_or(std::string()));
    if (!location)
      return fail(Code::kFailedPrecondition,
                  "GET " + without_credentials(next.url) + ": redirected to nowhere");
    if (origin_of(next.url).starts_with("https:") && !origin_of(*location).starts_with("https:"))
      return fail(Code::kPermissionDenied,
                  "GET " + without_credentials(next.url) + ": redirected from https to http");
    next.url = *location;
  }
  return fail(Code::kFailedPrecondition,
              "GET " + without_credentials(request.url) + ": too many redirects");
}

}  // namespace kiln::internal
