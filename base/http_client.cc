#include "base/http_client.h"

#include "base/guarded.h"
#include "base/http_transfer.h"
#include "base/signals.h"

namespace kiln {
namespace {

constexpr size_t kMaxIdleHandles = 16;

class CurlClient final : public HttpClient {
 public:
  explicit CurlClient(internal::HttpIdentity identity) : identity_(std::move(identity)) {}

  Result<HttpResponse> send(const HttpRequest& request, Sink& body, std::stop_token stop,
                            const std::function<bool(const HttpResponse&)>& accept) override {
    KILN_TRY_ASSIGN(const internal::CurlApi* const api, internal::CurlApi::get());
    KILN_TRY_ASSIGN(internal::CurlHandles handles, take(*api));
    const internal::BlockedSigpipe blocked;
    auto response =
        internal::HttpTransfer(*api, handles, request, body, accept).run(identity_, stop);
    give_back(std::move(handles));
    return response;
  }

 private:
  Result<internal::CurlHandles> take(const internal::CurlApi& api) {
    {
      auto idle = idle_.lock();
      if (!idle->empty()) {
        internal::CurlHandles handles = std::move(idle->back());
        idle->pop_back();
        return handles;
      }
    }
    return internal::CurlHandles::create(api);
  }

  void give_back(internal::CurlHandles handles) {
    auto idle = idle_.lock();
    if (idle->size() < kMaxIdleHandles) idle->push_back(std::move(handles));
  }

  const internal::HttpIdentity identity_;
  Guarded<std::vector<internal::CurlHandles>> idle_;
};

}  // namespace

std::optional<std::string> HttpResponse::header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers)
    if (name == lower_case_name) return value;
  return std::nullopt;
}

std::unique_ptr<HttpClient> HttpClient::create(std::string user_agent, std::string http_proxy) {
  return std::make_unique<CurlClient>(
      internal::HttpIdentity{std::move(user_agent), std::move(http_proxy)});
}

}  // namespace kiln
