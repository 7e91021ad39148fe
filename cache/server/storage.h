// What a registry keeps its content in. Three kinds of things: blobs, which are whole and verified
// or not there; uploads, which are on the way to become one; and records, small named texts that
// say which repository holds what. It knows nothing about what they mean: registry.h does.
#pragma once

#include "base/fd.h"
#include "base/io.h"
#include "base/result.h"
#include "cache/server/blob_digest.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kiln::server {

using TimePoint = std::chrono::sys_time<std::chrono::nanoseconds>;

/// What opening a storage does where there is no registry yet.
enum class Absent : uint8_t { kMake, kRefuse };

/// The bytes of a blob that are in no file here.
class RemoteBytes {
 public:
  virtual ~RemoteBytes() = default;
  /// Fetches nothing before it is read; may outlive this.
  virtual std::unique_ptr<Source> range(uint64_t offset, uint64_t length) = 0;
};

/// A blob to read: a file, which can be sent without a copy, or bytes to fetch.
struct OpenBlob {
  std::variant<Fd, std::unique_ptr<RemoteBytes>> bytes;
  uint64_t size = 0;  // bytes
};

/// All of it, from its start. `name`: for errors.
std::unique_ptr<Source> source_of(OpenBlob blob, const std::string& name);

struct UploadState {
  std::string repository;
  uint64_t size = 0;  // bytes received so far
};

/// What the bytes of an upload turned out to be.
struct UploadBytes {
  BlobDigest digest;
  uint64_t size = 0;
};

/// Appends to one upload; while it lives nobody else does. What was written stays.
class UploadWriter {
 public:
  virtual ~UploadWriter() = default;
  virtual Status write(std::span<const std::byte> data) = 0;
  virtual uint64_t size() const = 0;  // of the whole upload
  /// Nothing more comes. Success: what was written is seen by whoever goes on, in any process that
  /// shares the storage. Without it that is tried.
  virtual Status finish() { return {}; }
};

/// kAwaited: a blob that a mirrored manifest refers to and that nobody has asked for yet.
enum class RecordKind : uint8_t { kBlob, kManifest, kTag, kReferrer, kAwaited };

/// A referrer's descriptor has the annotations of its manifest, of 4 MiB at most.
inline constexpr uint64_t kMaxRecordBytes = 8U << 20U;

struct RecordKey {
  std::string repository;  // a valid name
  RecordKind kind = RecordKind::kBlob;
  std::string name;        // a tag, or a digest's component()
  std::string group = {};  // of kReferrer: the subject's component()
};

/// A time in which garbage is collected; one at a time over all processes that share a storage. To
/// remove something: announce() it among others, look at it for the last time, erase it, and tell
/// finished() when all that were announced were seen to.
class Collection {
 public:
  virtual ~Collection() = default;
  /// By the clock that the storage's times come from.
  virtual TimePoint now() const = 0;
  /// Whether other processes write here, so that no fence within this one keeps pushes out. Then
  /// whatever touches something that was announced sees to it that it stays, and so may wait until
  /// finished(). Blocks until that holds everywhere.
  virtual bool is_shared() const = 0;
  virtual Status announce_records(std::span<const RecordKey> records) = 0;
  virtual Status announce_blobs(std::span<const BlobDigest> blobs) = 0;
  /// kUnavailable: what was announced is too long ago to be removed. Asked before each removal.
  virtual Status check() = 0;
  virtual Status finished() = 0;
};

/// Thread-safe; every call may block. What a call published is durable when it returns.
class BlobStorage {
 public:
  virtual ~BlobStorage() = default;

  // --- Blobs.
  virtual Result<std::optional<uint64_t>> blob_size(const BlobDigest& digest) = 0;
  virtual Result<OpenBlob> open_blob(const BlobDigest& digest) = 0;  // kNotFound
  /// For documents: `data` has that digest. There already: touched.
  virtual Status put_blob(const BlobDigest& digest, std::string_view data) = 0;
  virtual Status remove_blob(const BlobDigest& digest) = 0;  // absent is success
  virtual Status touch_blob(const BlobDigest& digest) = 0;   // kNotFound
  virtual Result<std::optional<TimePoint>> blob_touched(const BlobDigest& digest) = 0;
  struct BlobEntry {
    BlobDigest digest;
    uint64_t size = 0;
    TimePoint touched;
  };
  /// In no order; blobs that come or go meanwhile may be told or not.
  virtual Status each_blob(const std::function<Status(const BlobEntry&)>& visit) = 0;

  // --- Uploads. They survive restarts.
  virtual Result<std::string> create_upload(const std::string& repository) = 0;  // its id
  virtual Result<std::optional<UploadState>> upload(const std::string& id) = 0;
  /// kNotFound; kFailedPrecondition: somebody is writing. `algorithm`: what its digest will
  /// probably be, hashed on the way.
  virtual Result<std::unique_ptr<UploadWriter>> append(const std::string& id,
                                                       HashAlgorithm algorithm) = 0;
  /// If the bytes have that digest, makes them durable, but not visible; with another one the
  /// upload stays as it is. kNotFound; kFailedPrecondition: somebody is writing.
  virtual Result<UploadBytes> seal_upload(const std::string& id, const BlobDigest& digest) = 0;
  /// A sealed upload becomes the blob, or vanishes in favour of one that is there, which is
  /// touched.
  virtual Status publish_upload(const std::string& id, const BlobDigest& digest) = 0;
  virtual Status drop_upload(const std::string& id) = 0;  // absent is success
  /// Drops what nobody has written to since `before`; how many those were.
  virtual Result<size_t> expire_uploads(TimePoint before) = 0;

  // --- Records.
  virtual Status put_record(const RecordKey& key, std::string_view text) = 0;  // replaces
  virtual Result<std::optional<std::string>> record(const RecordKey& key) = 0;
  virtual Status erase_record(const RecordKey& key) = 0;  // absent is success
  virtual Status touch_record(const RecordKey& key) = 0;  // kNotFound
  virtual Result<std::optional<TimePoint>> record_touched(const RecordKey& key) = 0;
  /// Sorted. `group` as in RecordKey.
  virtual Result<std::vector<std::string>> record_names(const std::string& repository,
                                                        RecordKind kind,
                                                        const std::string& group) = 0;
  virtual Result<std::vector<std::string>> referrer_groups(const std::string& repository) = 0;
  virtual Result<std::vector<std::string>> repositories() = 0;  // sorted; those with any record
  virtual Result<bool> has_repository(const std::string& repository) = 0;

  // --- Upkeep.
  /// Whether it can be read just now: one small question, asked once, for a few seconds at most.
  virtual Status probe() = 0;
  /// kFailedPrecondition: another process is collecting.
  virtual Result<std::unique_ptr<Collection>> begin_collection(TimePoint now) = 0;
  /// Puts a damaged blob where it is never read again.
  virtual Status quarantine_blob(const BlobDigest& digest) = 0;
};

}  // namespace kiln::server
