// The registry apart from HTTP: which repository holds which blobs, manifests and tags. A blob is
// readable only through a repository that holds it. Order of publication: bytes, then the record
// that holds them, then the tag; so whatever a name leads to is there, whenever the process ends.
#pragma once

#include "cache/server/api_error.h"
#include "cache/server/fence.h"
#include "cache/server/manifest_document.h"
#include "cache/server/quota.h"
#include "cache/server/storage.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace kiln::server {

struct RegistryOptions {
  std::vector<Quota> quotas;
  /// Collection leaves alone what was pushed or asked for within this time (seconds). HEAD renews
  /// it for half of it at least.
  std::chrono::seconds grace{std::chrono::hours(24)};
};

struct FoundManifest {
  BlobDigest digest;
  std::string media_type;
  uint64_t size = 0;  // bytes
};
struct StoredManifest {
  BlobDigest digest;
  std::optional<BlobDigest> subject;
  std::vector<std::string> warnings;
};

/// Thread-safe. Names, tags and ids are valid ones: whoever parses a request has checked them.
class Registry {
 public:
  Registry(BlobStorage& storage, RegistryOptions options);

  // --- Blobs.
  enum class Keep : uint8_t { kNo, kYes };  // kYes: collection leaves it alone for a while
  ApiResult<uint64_t> blob_size(const std::string& repository, const BlobDigest& digest,
                                Keep keep);  // BLOB_UNKNOWN
  ApiResult<OpenBlob> open_blob(const std::string& repository, const BlobDigest& digest);
  /// False: `from` does not hold it.
  ApiResult<bool> mount_blob(const std::string& repository, const std::string& from,
                             const BlobDigest& digest);
  ApiStatus delete_blob(const std::string& repository, const BlobDigest& digest);

  // --- Uploads.
  ApiResult<std::string> start_upload(const std::string& repository);
  ApiResult<uint64_t> upload_size(const std::string& repository, const std::string& id);
  ApiResult<std::unique_ptr<UploadWriter>> append(const std::string& repository,
                                                  const std::string& id, HashAlgorithm algorithm);
  /// DENIED: so many bytes more do not fit, unless they are `digest`, which it holds already.
  ApiStatus check_quota(const std::string& repository, uint64_t bytes,
                        const std::optional<BlobDigest>& digest);
  /// DIGEST_INVALID: other bytes.
  ApiStatus commit_upload(const std::string& repository, const std::string& id,
                          const BlobDigest& digest);
  ApiStatus drop_upload(const std::string& repository, const std::string& id);

  // --- Manifests. A reference is a tag or a digest.
  ApiResult<FoundManifest> find_manifest(const std::string& repository,
                                         const std::string& reference);
  ApiResult<OpenBlob> open_manifest(const FoundManifest& manifest);
  ApiResult<std::string> manifest_text(const FoundManifest& manifest);
  /// kComeLater: for mirrors; what it refers to is awaited, and may never be asked for.
  enum class Contents : uint8_t { kMustBeHere, kComeLater };
  ApiResult<StoredManifest> put_manifest(const std::string& repository,
                                         const std::string& reference, std::string_view text,
                                         std::string_view content_type,
                                         Contents contents = Contents::kMustBeHere);
  ApiStatus delete_tag(const std::string& repository, const std::string& tag);
  ApiStatus delete_manifest(const std::string& repository, const BlobDigest& digest);  // and tags
  /// With their tags; `digests` as texts. Absent ones are none's.
  ApiStatus delete_manifests(const std::string& repository,
                             const std::unordered_set<std::string>& digests);
  ApiResult<std::vector<std::string>> tags(const std::string& repository);  // NAME_UNKNOWN
  ApiResult<std::vector<std::string>> repositories();
  struct ReferrerQuery {
    BlobDigest subject;
    std::optional<std::string> artifact_type;  // of those that are wanted
    std::string after;                         // a digest, "": from the first one
    size_t at_most = 0;
  };
  struct Referrers {
    std::vector<Json> descriptors;  // in the order of their digests; about 4 MiB together at most
    bool more = false;              // after the last of these
  };
  ApiResult<Referrers> referrers(const std::string& repository, const ReferrerQuery& query);

  /// Whether the storage can be read just now; a few seconds at most.
  Status probe() { return storage_.probe(); }

  // --- What mirrors and caches ask.
  ApiResult<std::optional<TimePoint>> tag_touched(const std::string& repository,
                                                  const std::string& tag);
  /// The size of an awaited blob; nullopt: nobody awaits it.
  ApiResult<std::optional<uint64_t>> awaited_size(const std::string& repository,
                                                  const BlobDigest& digest);
  /// When the manifest was last pushed or asked for, as far as that is noted; nullopt: absent.
  ApiResult<std::optional<TimePoint>> manifest_touched(const std::string& repository,
                                                       const BlobDigest& digest);
  /// Notes that it was asked for, unless that was noted since `before`.
  ApiStatus keep_manifest(const std::string& repository, const BlobDigest& digest,
                          TimePoint before);
  /// With their tags: those not asked for since `before`.
  ApiStatus delete_manifests_before(const std::string& repository, TimePoint before);

  /// Held between looking for an entry of a build cache and storing another one (entry_guard.h).
  std::mutex& entries_of(const std::string& repository);

  // --- Collection.
  struct Collected {
    size_t blobs = 0, holdings = 0, uploads = 0;
    uint64_t bytes = 0;
    /// Of repositories in which nothing was dropped, since a manifest of theirs cannot be read.
    std::vector<std::string> problems = {};
  };
  /// Drops holdings that no manifest of their repository refers to, then blobs that nobody holds:
  /// those not touched since `now` minus the grace. Safe beside everything else.
  ApiResult<Collected> collect(TimePoint now, std::chrono::seconds upload_age);

 private:
  ApiStatus check_contents(const std::string& repository, const ManifestDocument& document);
  ApiStatus await_contents(const std::string& repository, const ManifestDocument& document);
  ApiResult<BlobDigest> digest_for(const std::string& reference, std::string_view text) const;
  ApiStatus hold_blob(const std::string& repository, const BlobDigest& digest, uint64_t size);
  ApiStatus record_referrer(const std::string& repository, const FoundManifest& manifest,
                            const ManifestDocument& document);
  Status sweep_holdings(const std::string& repository, TimePoint before, Collection& collection,
                        Collected& collected);
  Status sweep_blobs(TimePoint before, Collection& collection, Collected& collected);
  ApiStatus drop_manifest(const std::string& repository, const BlobDigest& digest,
                          const std::string& record);
  std::mutex& lock_of(const std::string& repository);

  BlobStorage& storage_;
  const RegistryOptions options_;
  QuotaLedger quota_;
  Fence fence_;
  std::mutex collecting_;
  // By repository. Those of entries are taken before the fence, the others inside it.
  std::array<std::mutex, 64> entry_locks_, repository_locks_;  // changes of manifests and tags
};

}  // namespace kiln::server
