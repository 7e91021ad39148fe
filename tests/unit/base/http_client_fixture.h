// A client, and a scripted server to ask.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string_view>

#include "base/http_client.h"
#include "base/io.h"
#include "tests/fakes/http_server.h"
#include "tests/fakes/must.h"

namespace kiln {

class HttpClientTest : public testing::Test {
 protected:
  void serve(fake::HttpServer::Handler handler) {
    server_ = fake::must(fake::HttpServer::start(std::move(handler)));
  }
  void serve(fake::Response response) {
    serve([response](const fake::Request&) { return response; });
  }
  HttpRequest request(std::string_view path = "/") const {
    HttpRequest r;
    r.url = server_->url(path);
    return r;
  }
  Result<HttpResponse> send(const HttpRequest& r, std::stop_token stop = {}) {
    return client_->send(r, body_, stop);
  }

  std::unique_ptr<fake::HttpServer> server_;
  std::unique_ptr<HttpClient> client_ = HttpClient::create("kiln/test");
  StringSink body_;
};

}  // namespace kiln
