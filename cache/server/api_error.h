// What the distribution specification calls an error ("Error Codes"): a status and a JSON body with
// a code. Errors of kiln's own become one of them; what they say of this machine is for the log.
#pragma once

#include "base/result.h"
#include "cache/server/http_message.h"

#include <string>
#include <string_view>

namespace kiln::server {

struct ApiError {
  ApiError(int http_status, std::string_view error_code, std::string text)
      : status(http_status), code(error_code), message(std::move(text)) {}
  /// kResourceExhausted is 507, kFailedPrecondition 409, kUnavailable and what says that the
  /// storage refuses this server 503, all else 500.
  ApiError(const Error& error);  // NOLINT(google-explicit-constructor): KILN_TRY converts

  int status;
  std::string code, message;
  std::string log = {};  // for the operator, not for the client
};
template <class T>
using ApiResult = tl::expected<T, ApiError>;
using ApiStatus = ApiResult<void>;

tl::unexpected<ApiError> refuse(int status, std::string_view code, std::string message);
Response error_response(const ApiError& error);

namespace api {
inline constexpr std::string_view kBlobUnknown = "BLOB_UNKNOWN";
inline constexpr std::string_view kUploadInvalid = "BLOB_UPLOAD_INVALID";
inline constexpr std::string_view kUploadUnknown = "BLOB_UPLOAD_UNKNOWN";
inline constexpr std::string_view kDigestInvalid = "DIGEST_INVALID";
inline constexpr std::string_view kManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN";
inline constexpr std::string_view kManifestInvalid = "MANIFEST_INVALID";
inline constexpr std::string_view kManifestUnknown = "MANIFEST_UNKNOWN";
inline constexpr std::string_view kNameInvalid = "NAME_INVALID";
inline constexpr std::string_view kNameUnknown = "NAME_UNKNOWN";
inline constexpr std::string_view kSizeInvalid = "SIZE_INVALID";
inline constexpr std::string_view kPageInvalid = "PAGINATION_NUMBER_INVALID";
inline constexpr std::string_view kUnauthorized = "UNAUTHORIZED";
inline constexpr std::string_view kDenied = "DENIED";
inline constexpr std::string_view kUnsupported = "UNSUPPORTED";
inline constexpr std::string_view kTooManyRequests = "TOOMANYREQUESTS";
inline constexpr std::string_view kUnknown = "UNKNOWN";
}  // namespace api

}  // namespace kiln::server
