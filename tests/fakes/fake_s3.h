// An S3-compatible object storage on a loopback port, for tests: path-style requests, signatures
// verified by a signer of its own, multipart uploads, listings in small pages, and faults on
// purpose. Its clock is the test's.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fakes/http_server.h"

namespace kiln::fake {

class FakeS3 {
 public:
  static constexpr const char* kBucket = "kiln-bucket";
  static constexpr const char* kAccessKey = "TESTKEY";
  static constexpr const char* kSecretKey = "test/secret+key";
  static constexpr size_t kPageEntries = 3;
  static constexpr size_t kLeastPartBytes = 16;

  FakeS3();
  std::string endpoint() const { return server_->url(""); }

  /// Asked before each request is carried out: a response ends it instead.
  using Fault = std::function<std::optional<Response>(const Request&)>;
  void set_fault(Fault fault);
  static Response error(int status, const std::string& code);
  void advance(std::chrono::seconds time);
  /// Tells every caller that its clock is wrong.
  void set_skewed(bool skewed);
  /// By one request; Amazon's limit is 5 GiB.
  void set_most_copied_bytes(size_t bytes);

  std::vector<std::string> keys() const;  // of all objects, sorted
  void put(const std::string& key, std::string data);
  std::string get(const std::string& key) const;  // "": absent
  size_t open_multiparts() const;
  size_t count(std::string_view method) const;  // requests so far

 private:
  using Time = std::chrono::sys_seconds;
  struct Object {
    std::string data;
    Time modified;
  };
  struct Multipart {
    std::string key;
    std::map<size_t, std::string> parts = {};
  };
  using Query = std::map<std::string, std::string>;

  Response answer(const Request& request);
  std::optional<Response> refuse(const Request& request, const Query& query) const;
  Response list(const Query& query) const;
  Response get_object(const Request& request, const std::string& key) const;
  Response put_object(const Request& request, const std::string& key, const Query& query);
  Response post_object(const Request& request, const std::string& key, const Query& query);
  Response complete(const Request& request, const std::string& key, const std::string& id);
  Response remove(const std::string& key, const Query& query);
  Time now() const { return start_ + elapsed_; }

  mutable std::mutex mutex_;  // protects all below but the server
  const Time start_;
  std::chrono::seconds elapsed_{0};
  bool skewed_ = false;
  size_t most_copied_bytes_ = SIZE_MAX;
  Fault fault_;
  std::map<std::string, Object> objects_;
  std::map<std::string, Multipart> multiparts_;
  size_t next_multipart_ = 1;
  std::unique_ptr<HttpServer> server_;  // last: it goes first
};

}  // namespace kiln::fake
