// A GET that follows redirects itself.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/http_client.h"

namespace kiln::internal {

struct FetchRequest {
  std::string url;
  /// Sent to the first origin only: a redirect to another one gets none of them.
  std::vector<std::pair<std::string, std::string>> headers;
  /// If-None-Match and If-Modified-Since: no secrets, sent to every origin. With them, 304 is an
  /// answer too.
  std::vector<std::pair<std::string, std::string>> conditions;
  std::function<void(uint64_t done, uint64_t total)> on_download;
};

/// The body of the final 200 answer goes to `body`; returns that answer, or 304. At most 10
/// redirects; kPermissionDenied for one from https to http, kNotFound for 404 and 410, kUnavailable
/// for 429 and 5xx, kFailedPrecondition for other statuses.
Result<HttpResponse> fetch(HttpClient& client, const FetchRequest& request, Sink& body,
                           std::stop_token stop);

/// RFC 9110, "Date/Time Formats" (IMF-fixdate only), in seconds; nullopt: it is something else.
std::optional<int64_t> parse_http_date(const std::string& text);
/// "host:port" of a URL, in lower case, without credentials; the port only if it is there.
std::string host_of(const std::string& url);
/// True if a Last-Modified tells this content from any other: it lies two seconds or more before
/// the answer's Date, so that a later change shows (RFC 9110 8.8.2.2).
bool is_strong_time(const HttpResponse& answer);
/// Where `location` leads from `base`; nullopt: it is no http(s) URL.
std::optional<std::string> resolve_location(const std::string& base, const std::string& location);

}  // namespace kiln::internal
