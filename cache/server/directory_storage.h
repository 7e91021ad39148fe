// A BlobStorage in a directory (FORMAT.md). One process at a time: it holds a lock on the directory
// while it lives.
#pragma once

#include "base/fs.h"
#include "base/guarded.h"
#include "cache/server/storage.h"

#include <map>

namespace kiln::server {

class DirectoryStorage : public BlobStorage {
 public:
  /// Makes what is missing. kFailedPrecondition: another process has it open, or it is of a newer
  /// format, or holds something else.
  static Result<std::unique_ptr<DirectoryStorage>> open(const std::string& directory);

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
  /// The digest of the first `bytes` of an upload, as far as they went through this process.
  struct Hashed {
    BlobHasher hasher;
    uint64_t bytes = 0;
  };
  struct Upload {
    bool busy = false;  // somebody writes or verifies
    std::optional<Hashed> hashed;
    std::optional<BlobDigest> sealed;
  };
  /// The claim to be the only one at work on an upload.
  class Claim;

  DirectoryStorage(std::string directory, FileLock lock)
      : directory_(std::move(directory)), lock_(std::move(lock)) {}
  std::string blob_path(const BlobDigest& digest) const;
  Result<std::string> upload_path(const std::string& id) const;
  Result<Claim> claim(const std::string& id);
  Result<BlobDigest> digest_of_upload(Claim& claim, const std::string& path, Fd& data,
                                      HashAlgorithm algorithm);
  Result<std::string> temporary(std::string_view data);
  Status publish(const std::string& temporary, const std::string& target);
  Status ensure_directory(const std::string& path);

  const std::string directory_;
  const FileLock lock_;
  Guarded<std::map<std::string, Upload>> uploads_;  // those this process has worked on
};

}  // namespace kiln::server
