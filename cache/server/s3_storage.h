// A BlobStorage in a bucket of S3-compatible object storage (FORMAT.md, "In a bucket"). Any number
// of servers may have the same one open: all that outlives a request is in the bucket, and what is
// kept here (digests of uploads on the way, lists of what is collected) only saves asking again.
#pragma once

#include "base/guarded.h"
#include "cache/server/s3_bytes.h"
#include "cache/server/s3_client.h"
#include "cache/server/s3_sweeps.h"
#include "cache/server/storage.h"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::server {

struct S3StorageOptions {
  S3Options client;
  std::string prefix;  // "": the whole bucket; "a/b": what is below it
  Absent absent = Absent::kMake;
  SweepTimes sweeps = {};
  size_t chunk_bytes = 8U << 20U;       // of uploads: one object each
  size_t buffered_bytes = 128U << 20U;  // of all uploads; beyond it, objects get smaller
  size_t part_bytes = 5U << 20U;        // the least that may be copied as a part (S3: 5 MiB)
  size_t max_parts = 10'000;            // of a blob: of more bytes each when there are many (S3)
  uint64_t most_copied_bytes = 5ULL << 30U;  // by one request (S3: 5 GiB)
  uint64_t copied_part_bytes = 512U << 20U;  // of what is larger
  std::chrono::seconds young{600};           // what was touched within it need not be touched again
  std::function<void(std::string_view)> log = {};  // may be empty
};

class S3Storage : public BlobStorage {
 public:
  /// Asks the bucket. Codes as in s3_client.h, kFailedPrecondition also: it is of a newer format,
  /// or holds something else. kInvalidArgument: nothing is there, and that is refused.
  static Result<std::unique_ptr<S3Storage>> open(S3StorageOptions options);

  Result<std::optional<uint64_t>> blob_size(const BlobDigest& digest) override;
  Result<OpenBlob> open_blob(const BlobDigest& digest) override;
  Status put_blob(const BlobDigest& digest, std::string_view data) override;
  Status remove_blob(const BlobDigest& digest) override;
  Status touch_blob(const BlobDigest& digest) override;
  Result<std::optional<TimePoint>> blob_touched(const BlobDigest& digest) override;
  Status each_blob(const std::function<Status(const BlobEntry&)>& visit) override;

  Result<std::string> create_upload(const std::string& repository) override;
  Result<std::optional<UploadState>> upload(const std::string& id) override;
  Result<std::unique_ptr<UploadWriter>> append(const std::string& id,
                                               HashAlgorithm algorithm) override;
  Result<UploadBytes> seal_upload(const std::string& id, const BlobDigest& digest) override;
  Status publish_upload(const std::string& id, const BlobDigest& digest) override;
  Status drop_upload(const std::string& id) override;
  Result<size_t> expire_uploads(TimePoint before) override;

  Status put_record(const RecordKey& key, std::string_view text) override;
  Result<std::optional<std::string>> record(const RecordKey& key) override;
  Status erase_record(const RecordKey& key) override;
  Status touch_record(const RecordKey& key) override;
  Result<std::optional<TimePoint>> record_touched(const RecordKey& key) override;
  Result<std::vector<std::string>> record_names(const std::string& repository, RecordKind kind,
                                                const std::string& group) override;
  Result<std::vector<std::string>> referrer_groups(const std::string& repository) override;
  Result<std::vector<std::string>> repositories() override;
  Result<bool> has_repository(const std::string& repository) override;

  Result<std::unique_ptr<Collection>> begin_collection(TimePoint now) override;
  Status probe() override;
  Status quarantine_blob(const BlobDigest& digest) override;

 private:
  class Writer;
  class Claim;
  /// A piece of an upload: an object that never changes.
  struct Chunk {
    std::string key;
    uint64_t size = 0;
  };
  struct Pieces {  // what the bucket knows of an upload
    std::string repository;
    std::vector<Chunk> chunks;         // each begins where the one before ends
    std::vector<std::string> objects;  // all keys, these and others
    uint64_t size() const;
  };
  /// The digest of exactly these chunks, as far as they went through this process.
  struct Hashed {
    BlobHasher hasher;
    std::vector<std::string> chunks;  // keys
  };
  /// Verified, and put together as far as that can be done without anybody seeing it.
  struct Sealed {
    BlobDigest digest;
    std::vector<Chunk> chunks;
    std::string multipart = {};  // "": none is needed
    std::vector<std::string> tags = {};
  };
  struct Upload {
    bool busy = false;  // somebody in this process writes or verifies
    std::optional<Hashed> hashed;
    std::optional<Sealed> sealed;
  };
  struct Part {
    std::vector<Chunk> chunks;  // one: copied; several: read and sent
  };

  explicit S3Storage(S3StorageOptions options, std::unique_ptr<S3Client> client);
  Status check_marker();
  std::string key(const std::string& name) const { return options_.prefix + name; }
  std::string blob_key(const BlobDigest& digest) const;
  std::string marker_key(const BlobDigest& digest) const;
  Result<std::vector<std::string>> names_below(const std::string& folder, bool folders);
  Status take_away(const std::string& key);
  Status copy_object(const std::string& from, const std::string& to, uint64_t size);
  Status publish_record(const std::string& record, std::string_view text,
                        const std::vector<std::string>& keys);

  Result<std::optional<Pieces>> pieces_of(const std::string& id);
  Result<Claim> claim(const std::string& id);
  Result<BlobDigest> digest_of(Claim& claim, const std::vector<Chunk>& chunks,
                               HashAlgorithm algorithm);
  std::vector<Part> plan_parts(const std::vector<Chunk>& chunks) const;
  Result<std::string> read_chunks(const std::vector<Chunk>& chunks);
  /// Makes a multipart upload of what is sealed, but for its end.
  Status assemble(const std::string& id, Sealed& sealed);
  Status complete(const std::string& id, Sealed& sealed);
  Status drop_objects(const std::string& id, const std::vector<std::string>& objects);

  const S3StorageOptions options_;
  const std::unique_ptr<S3Client> client_;
  S3Sweeps sweeps_;
  std::shared_ptr<S3Reading> reading_;
  std::atomic<size_t> buffered_{0};                 // bytes of uploads that are in no object yet
  Guarded<std::map<std::string, Upload>> uploads_;  // those this process has worked on
};

}  // namespace kiln::server
