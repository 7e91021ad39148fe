// HTTP clients that go through a proxy of which libcurl does not know by itself.
#pragma once

#include "base/http_client.h"

#include <memory>
#include <string>

namespace kiln {

/// As HttpClient::create, which takes http_proxy, https_proxy, HTTPS_PROXY, all_proxy and no_proxy
/// of the environment into account. Requests to http:// go through `http_proxy` if it is not "".
/// What is on this machine's loopback is reached without a proxy by every client.
std::unique_ptr<HttpClient> create_http_client(std::string user_agent, std::string http_proxy);

}  // namespace kiln
