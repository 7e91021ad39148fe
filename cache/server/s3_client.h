// One bucket of S3-compatible object storage: the few calls that a registry needs, signed
// (s3_signer.h), repeated when the storage is busy, bounded in size and time. It knows nothing
// about what the objects mean.
#pragma once

#include "base/result.h"
#include "cache/server/s3_signer.h"
#include "cache/server/s3_xml.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {
class HttpClient;
struct HttpRequest;
struct HttpResponse;
}  // namespace kiln

namespace kiln::server {

struct S3Options {
  std::string bucket;
  std::string endpoint;  // "https://host:port"; "": Amazon's of the region
  std::string region = "us-east-1";
  /// Where the bucket's name goes. kAuto: into the path for an endpoint, else into the host.
  enum class Addressing : uint8_t { kAuto, kPath, kHost } addressing = Addressing::kAuto;
  std::string ca_pem;  // certificates to trust beside the system's
  S3Credentials credentials;
  int attempts = 6;                            // of a call that the storage could not take
  std::chrono::milliseconds first_delay{100};  // doubles with each
};

/// Times are the storage's.
struct S3Head {
  uint64_t size = 0;  // bytes
  std::chrono::sys_time<std::chrono::nanoseconds> modified, now;
};
struct S3Object {
  std::string key;
  uint64_t size = 0;  // bytes
  std::chrono::sys_time<std::chrono::nanoseconds> modified;
};
struct S3Listing {
  std::vector<S3Object> objects;
  std::vector<std::string> prefixes;  // with the delimiter at their end
  std::chrono::sys_time<std::chrono::nanoseconds> now;
};

/// Thread-safe; every call blocks, for minutes at most while the storage is busy. Codes: kNotFound:
/// no such object or upload. kUnavailable: it could not be reached, or was busy, each time.
/// kUnauthenticated: the credentials. kPermissionDenied: likewise, or no such bucket, another
/// region, clocks that differ. What is written is durable and visible to everybody on return.
class S3Client {
 public:
  /// kInvalidArgument: options that cannot work.
  static Result<std::unique_ptr<S3Client>> create(S3Options options);
  ~S3Client();

  Result<std::optional<S3Head>> head(const std::string& key);
  /// kResourceExhausted: more than `limit` bytes.
  Result<std::string> get(const std::string& key, uint64_t limit);
  Result<std::string> get_range(const std::string& key, uint64_t offset, uint64_t length);
  Status put(const std::string& key, std::string_view data);
  Status remove(const std::string& key);  // absent is success
  /// The same, and says whether it was sent more than once: then an attempt that was not answered
  /// may still be on its way, and take whatever is there when it comes.
  enum class Removal : uint8_t { kDone, kRepeated };
  Result<Removal> remove_traced(const std::string& key);
  /// Up to 5 GiB, at once. Onto itself: makes it young.
  Status copy(const std::string& from, const std::string& to);
  /// Sorted, all pages. `delimiter` "/": what lies deeper is told as prefixes.
  Result<S3Listing> list(const std::string& prefix, const std::string& delimiter = {});
  /// At most so many (1 to 1,000), the first.
  Result<S3Listing> list_first(const std::string& prefix, size_t at_most);

  /// That this object is there, with one request that is not repeated. kNotFound.
  Status probe(const std::string& key);

  // --- An object from parts of 5 MiB to 5 GiB, but the last: at most 10,000, numbered from 1. A
  // part's tag is told by whoever took it.
  Result<std::string> create_multipart(const std::string& key);
  Result<std::string> upload_part(const std::string& key, const std::string& upload, size_t number,
                                  std::string_view data);
  Result<std::string> copy_part(const std::string& key, const std::string& upload, size_t number,
                                const std::string& from, uint64_t offset, uint64_t length);
  Status complete_multipart(const std::string& key, const std::string& upload,
                            const std::vector<std::string>& tags);
  Status abort_multipart(const std::string& key, const std::string& upload);  // absent is success

 private:
  struct Call;
  struct Answer;
  explicit S3Client(S3Options options);
  Result<Answer> send(const Call& call);
  Result<Answer> send_once(const Call& call);
  Result<S3Listing> list_page(const std::string& prefix, const std::string& delimiter,
                              size_t at_most, std::string& token);
  std::string target(const std::string& key) const;  // encoded
  std::string copy_source(const std::string& key) const;

  S3Options options_;
  std::string scheme_, host_;  // with the port, and the bucket if it goes there
  bool bucket_in_path_ = false;
  std::unique_ptr<HttpClient> http_;
};

}  // namespace kiln::server
