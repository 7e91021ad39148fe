// The distribution specification's HTTP API over a Registry, apart from the network: requests in,
// responses out.
#pragma once

#include "cache/server/access.h"
#include "cache/server/http_message.h"
#include "cache/server/mirror.h"
#include "cache/server/registry.h"
#include "cache/server/route.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace kiln::server {

/// What answers below one prefix of paths, for whoever was authenticated. Thread-safe; may block.
class RouteHandler {
 public:
  virtual ~RouteHandler() = default;
  virtual Started start(const Request& request, const Principal& who) = 0;
};

struct ApiLimits {
  uint64_t max_blob_bytes = 64ULL << 30U;
  size_t max_page = 1000;                     // names or descriptors in one response
  uint64_t max_documents_bytes = 32U << 20U;  // of all manifests on the way, together
};

class RegistryApi : public RouteHandler {
 public:
  /// `mirror` may be null.
  RegistryApi(Registry& registry, Mirror* mirror, ApiLimits limits)
      : registry_(registry), mirror_(mirror), limits_(limits) {}
  Started start(const Request& request, const Principal& who) override;

 private:
  struct Call;  // a request, taken apart
  using Answer = ApiResult<Started>;

  ApiStatus authorize(const Call& call) const;
  Answer dispatch(const Call& call);
  Answer ping(const Call& call);
  Answer catalog(const Call& call);
  Answer list_tags(const Call& call);
  Answer list_referrers(const Call& call);
  Answer get_blob(const Call& call);
  Answer delete_blob(const Call& call);
  Answer start_upload(const Call& call);
  Answer mount_blob(const Call& call, const std::string& digest, const std::string& from);
  Answer new_upload(const Call& call);
  Answer upload_status(const Call& call);
  Answer continue_upload(const Call& call);
  Answer finish_upload(const Call& call);
  Answer drop_upload(const Call& call);
  Answer get_manifest(const Call& call);
  Answer put_manifest(const Call& call);
  Answer delete_manifest(const Call& call);

  struct Page {
    size_t first = 0, end = 0;  // of the names
    std::string link;           // value of the Link header; "": the last page
  };
  ApiResult<size_t> entries_wanted(const Call& call) const;
  static std::string link_after(const Call& call, size_t wanted, const std::string& last);
  ApiResult<Page> page_of(const Call& call, const std::vector<std::string>& names) const;
  class UploadReceiver;
  class ManifestReceiver;
  /// kWhole: the upload is this one request's, and goes with it.
  enum class Extent : uint8_t { kPiece, kWhole };
  Answer receive(const Call& call, const std::string& id, std::optional<BlobDigest> digest,
                 Extent extent = Extent::kPiece);

  bool is_mirrored(const Call& call) const;

  Registry& registry_;
  Mirror* const mirror_;
  const ApiLimits limits_;
  std::atomic<uint64_t> documents_bytes_{0};
};

struct RegistryApi::Call {
  const Request& request;
  const Principal& who;
  Route route;
};

ApiResult<BlobDigest> parse_digest(const std::string& text);  // DIGEST_INVALID
Response json_response(const Json& body);
/// The bytes of `blob`, or the part that a Range header asks for; 304 for a known ETag.
Response content_response(const Request& request, OpenBlob blob, const BlobDigest& digest,
                          const std::string& type);

}  // namespace kiln::server
