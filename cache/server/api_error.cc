#include "cache/server/api_error.h"

#include "base/json.h"

namespace kiln::server {

ApiError::ApiError(const Error& error) : status(500), code(api::kUnknown), log(error.message()) {
  switch (error.code()) {
    case Code::kResourceExhausted:
      status = 507;
      message = "the registry's storage is full";
      break;
    case Code::kUnavailable:
      status = 503;
      message = "the registry's storage does not answer: try again";
      break;
    case Code::kUnauthenticated:
    case Code::kPermissionDenied:
      status = 503;
      message = "the registry's storage refuses this server; its log says why";
      break;
    case Code::kFailedPrecondition:
      status = 409;
      message = error.message();
      break;
    default:
      message = "the registry failed; its log says how";
      break;
  }
}

tl::unexpected<ApiError> refuse(int status, std::string_view code, std::string message) {
  return tl::unexpected(ApiError(status, code, std::move(message)));
}

Response error_response(const ApiError& error) {
  Json entry = Json::object({{"code", error.code}, {"message", error.message}});
  Json body = Json::object({{"errors", Json::array({std::move(entry)})}});
  Response response{error.status, {{"Content-Type", "application/json"}}, body.dump(), error.log};
  return response;
}

}  // namespace kiln::server
