// What asks the registry for the conformance tests: the service itself, or a client of its server.
#pragma once

#include <gmock/gmock.h>

#include <memory>
#include <ostream>
#include <string>

#include "base/http_client.h"
#include "cache/server/http_server.h"
#include "tests/fakes/must.h"
#include "tests/unit/server/registry_fixture.h"

namespace kiln::server {

enum class Way : uint8_t { kDirect, kSocket };
inline void PrintTo(Way way, std::ostream* out) {
  *out << (way == Way::kDirect ? "Direct" : "Socket");
}

class ConformanceTest : public ::testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (GetParam() == Way::kDirect) return;
    server_ = fake::must(
        HttpServer::start(HttpOptions{}, registry_.service(), registry_.metrics().gauges));
    client_ = HttpClient::create("kiln-test");
  }
  Reply ask(const Ask& ask) const {
    if (GetParam() == Way::kDirect) return registry_.ask(ask);
    HttpRequest request;
    request.method = ask.method;
    request.url = "http://127.0.0.1:" + std::to_string(server_->port()) + ask.target;
    request.headers = ask.headers;
    StringSource body(ask.body);
    if (ask.method != "GET" && ask.method != "HEAD" && ask.method != "DELETE") {
      request.body = &body;
      request.body_bytes = ask.body.size();
    }
    StringSink sink;
    const HttpResponse response = fake::must(client_->send(request, sink, {}));
    return {response.status, response.headers, sink.take()};
  }
  void expect(const Ask& what, int status, const std::string& code = "") const {
    const Reply reply = ask(what);
    EXPECT_EQ(reply.status, status) << what.method << " " << what.target << "\n" << reply.body;
    EXPECT_EQ(reply.code(), code) << what.method << " " << what.target << "\n" << reply.body;
  }
  std::string push(const std::string& repository, const std::string& bytes) const {
    const std::string digest = digest_of(bytes);
    expect({"POST", "/v2/" + repository + "/blobs/uploads/?digest=" + digest, bytes}, 201);
    return digest;
  }
  std::string start_upload(const std::string& repository) const {
    const Reply reply = ask({"POST", "/v2/" + repository + "/blobs/uploads/"});
    EXPECT_EQ(reply.status, 202);
    return reply.header("location");
  }
  Reply put_manifest(const std::string& where, const std::string& text,
                     const std::string& type = kManifestType) const {
    return ask({"PUT", "/v2/" + where, text, {{"Content-Type", type}}});
  }
  std::string push_image(const std::string& repository, const std::string& tag,
                         const std::string& layer = "layer") const {
    push(repository, "{}");
    push(repository, layer);
    const Reply reply = put_manifest(repository + "/manifests/" + tag, manifest_of({"{}", layer}));
    EXPECT_EQ(reply.status, 201) << reply.body;
    return reply.header("docker-content-digest");
  }

  TestRegistry registry_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace kiln::server
