#include "oci/local_content_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/guarded.h"
#include "oci/blob_files.h"

namespace kiln::oci {
namespace {

constexpr std::string_view kBlobsSchema =
    "CREATE TABLE blobs(digest BLOB PRIMARY KEY, size INTEGER NOT NULL, used_seq INTEGER NOT NULL)"
    " WITHOUT ROWID";
constexpr std::string_view kLayoutText = R"({"imageLayoutVersion":"1.0.0"})";

std::string_view key_of(const Digest& blob) {
  return {reinterpret_cast<const char*>(blob.bytes().data()), Digest::kBytes};
}

std::optional<Digest> digest_of(std::string_view key) {
  if (key.size() != Digest::kBytes) return std::nullopt;
  return Digest::from_bytes(as_bytes(key).first<Digest::kBytes>());
}

Error no_such_blob(const Digest& blob) {
  return Error(Code::kNotFound, "blob " + blob.to_string() + " is not in the content store");
}

Status save_row(Database& database, const Digest& blob, uint64_t size, uint64_t sequence) {
  KILN_TRY_ASSIGN(auto save,
                  database.prepare("INSERT INTO blobs VALUES (?1, ?2, ?3) ON CONFLICT (digest) DO "
                                   "UPDATE SET size = ?2, used_seq = max(used_seq, ?3)"));
  save.bind_blob(1, key_of(blob));
  return save.bind(2, static_cast<int64_t>(size)).bind(3, static_cast<int64_t>(sequence)).run();
}

Status delete_row(Database& database, const Digest& blob) {
  KILN_TRY_ASSIGN(auto remove, database.prepare("DELETE FROM blobs WHERE digest = ?1"));
  return remove.bind_blob(1, key_of(blob)).run();
}

// True: `sequence` or a later lease has used the blob already, so no pruner may take it while
// `sequence` lives.
Result<bool> is_stamped(Database& database, const Digest& blob, uint64_t sequence) {
  KILN_TRY_ASSIGN(auto query, database.prepare("SELECT used_seq FROM blobs WHERE digest = ?1"));
  query.bind_blob(1, key_of(blob));
  KILN_TRY_ASSIGN(const bool row, query.step());
  return row && static_cast<uint64_t>(query.integer(0)) >= sequence;
}

// Blobs whose bytes this process has seen to be right.
using KnownBlobs = Guarded<std::unordered_set<Digest>>;

class Writer : public BlobWriter {
 public:
  Writer(Database& database, const BlobFiles& files, KnownBlobs& known, IngestFile file,
         uint64_t sequence)
      : database_(database),
        files_(files),
        known_(known),
        file_(std::move(file)),
        sequence_(sequence) {}

  Status write(std::span<const std::byte> data) override {
    KILN_CHECK(!committed_);
    KILN_TRY(file_.write(data));
    hasher_.update(data);
    size_ += data.size();
    return {};
  }

  Result<Committed> commit(const std::optional<Digest>& expected) override {
    KILN_CHECK(!committed_);
    committed_ = true;
    const Committed result{hasher_.finish(), size_};
    if (expected && *expected != result.digest) {
      return fail(Code::kDataLoss,
                  "expected " + expected->to_string() + ", got " + result.digest.to_string());
    }
    KILN_TRY(publish(result));
    known_.lock()->insert(result.digest);
    return result;
  }

 private:
  // A file of that name with other bytes is replaced. Reading a document is cheaper than syncing
  // another; for a layer it is the other way round.
  Result<bool> is_there(const Committed& blob) {
    KILN_TRY_ASSIGN(const auto size, files_.size(blob.digest));
    if (size != blob.size) return false;
    if (known_.lock()->contains(blob.digest)) return true;
    if (blob.size > kDocumentBytes) return false;
    KILN_TRY_ASSIGN(Fd fd, files_.open_blob(blob.digest));
    if (!fd.valid()) return false;
    FdSource source(std::move(fd), blob.digest.to_string());
    KILN_TRY_ASSIGN(const std::string bytes, read_all(source, kDocumentBytes, "blob"));
    return Digest::of(bytes) == blob.digest;
  }

  Status publish(const Committed& blob) {
    // What is there already needs no second trip to the disk.
    KILN_TRY_ASSIGN(const bool there, is_there(blob));
    if (!there) KILN_TRY(file_.sync());
    return database_.write([&]() -> Status {
      KILN_TRY_ASSIGN(const bool still, is_there(blob));
      if (!still) {
        if (there) KILN_TRY(file_.sync());  // pruned in between
        KILN_TRY(files_.publish(file_, blob.digest));
      }
      return save_row(database_, blob.digest, blob.size, sequence_);
    });
  }

  static constexpr uint64_t kDocumentBytes = 1U << 20U;
  Database& database_;
  const BlobFiles& files_;
  KnownBlobs& known_;
  IngestFile file_;
  uint64_t sequence_;
  Hasher hasher_;
  uint64_t size_ = 0;
  bool committed_ = false;
};

// Hashes what passes and compares at the end, so corruption is met where the bytes are read.
class VerifyingSource : public Source {
 public:
  using Quarantine = std::function<Status()>;
  VerifyingSource(Fd fd, const Digest& blob, KnownBlobs& known, Quarantine quarantine)
      : from_(std::move(fd), blob.to_string()),
        blob_(blob),
        known_(known),
        quarantine_(std::move(quarantine)) {}

  Result<size_t> read(std::span<std::byte> buffer) override {
    if (verified_ || buffer.empty()) return size_t{0};
    KILN_TRY_ASSIGN(const size_t count, from_.read(buffer));
    if (count > 0) {
      hasher_.update(buffer.first(count));
      return count;
    }
    if (hasher_.finish() != blob_) return corrupt();
    verified_ = true;
    known_.lock()->insert(blob_);
    return size_t{0};
  }

 private:
  Result<size_t> corrupt() {
    std::string message = "blob " + blob_.to_string() + " is corrupt on disk";
    if (Status moved = quarantine_(); !moved) {
      message += " and could not be moved aside (" + moved.error().message() + ")";
    }
    return tl::unexpected(
        Error(Code::kDataLoss, std::move(message)).hint("it is fetched or built anew next time"));
  }

  FdSource from_;
  Digest blob_;
  KnownBlobs& known_;
  Quarantine quarantine_;
  Hasher hasher_;
  bool verified_ = false;
};

}  // namespace

struct LocalContentStore::State {
  explicit State(BlobFiles opened) : files(std::move(opened)) {}
  BlobFiles files;
  KnownBlobs known;
};

LocalContentStore::LocalContentStore(Database& database, Leases& leases, std::string directory)
    : database_(database), leases_(leases), directory_(std::move(directory)) {}
LocalContentStore::~LocalContentStore() = default;

Result<std::unique_ptr<LocalContentStore>> LocalContentStore::open(Database& database,
                                                                   Leases& leases,
                                                                   std::string directory) {
  KILN_TRY(database.ensure_schema("blobs", 1, kBlobsSchema));
  std::unique_ptr<LocalContentStore> store(
      new LocalContentStore(database, leases, std::move(directory)));
  KILN_TRY_ASSIGN(auto files, BlobFiles::open(store->directory_));
  store->state_ = std::make_unique<State>(std::move(files));
  KILN_TRY_ASSIGN(const bool marked, exists(store->directory_ + "/oci-layout"));
  if (!marked) {
    KILN_TRY_ASSIGN(auto layout, AtomicFile::create(store->directory_ + "/oci-layout"));
    KILN_TRY(layout.write(kLayoutText));
    KILN_TRY(layout.commit());
  }
  return store;
}

Result<std::optional<uint64_t>> LocalContentStore::size(const Digest& blob) {
  return state_->files.size(blob);
}

Result<Fd> LocalContentStore::open_fd(const Digest& blob) {
  KILN_TRY_ASSIGN(Fd fd, state_->files.open_blob(blob));
  if (!fd.valid()) return tl::unexpected(no_such_blob(blob));
  return fd;
}

bool LocalContentStore::is_known(const Digest& blob) {
  return state_->known.lock()->contains(blob);
}

Result<std::unique_ptr<Source>> LocalContentStore::open(const Digest& blob) {
  KILN_TRY_ASSIGN(Fd fd, open_fd(blob));
  const auto quarantine = [this, blob] {
    state_->known.lock()->erase(blob);
    return database_.write([&]() -> Status {
      KILN_TRY(state_->files.quarantine(blob));
      return delete_row(database_, blob);
    });
  };
  return std::make_unique<VerifyingSource>(std::move(fd), blob, state_->known, quarantine);
}

Result<std::unique_ptr<BlobWriter>> LocalContentStore::writer(const Lease& lease) {
  KILN_TRY_ASSIGN(auto file, state_->files.ingest());
  return std::make_unique<Writer>(database_, state_->files, state_->known, std::move(file),
                                  lease.sequence());
}

Result<bool> LocalContentStore::touch(const Digest& blob, const Lease& lease) {
  KILN_TRY_ASSIGN(const bool stamped, is_stamped(database_, blob, lease.sequence()));
  if (stamped) {
    KILN_TRY_ASSIGN(const auto size, state_->files.size(blob));
    return size.has_value();
  }
  bool present = false;
  KILN_TRY(database_.write([&]() -> Status {
    KILN_TRY_ASSIGN(const auto size, state_->files.size(blob));
    present = size.has_value();
    return present ? save_row(database_, blob, *size, lease.sequence()) : Status{};
  }));
  return present;
}

Result<std::vector<StoredBlob>> LocalContentStore::list() {
  std::unordered_map<Digest, uint64_t> used;
  {
    KILN_TRY_ASSIGN(auto rows, database_.prepare("SELECT digest, used_seq FROM blobs"));
    while (true) {
      KILN_TRY_ASSIGN(const bool row, rows.step());
      if (!row) break;
      if (const auto blob = digest_of(rows.text(0)))
        used.emplace(*blob, static_cast<uint64_t>(rows.integer(1)));
    }
  }
  KILN_TRY_ASSIGN(std::vector<Digest> blobs, state_->files.list());
  std::sort(blobs.begin(), blobs.end());
  std::vector<StoredBlob> stored;
  stored.reserve(blobs.size());
  for (const Digest& blob : blobs) {
    KILN_TRY_ASSIGN(const std::optional<uint64_t> bytes, state_->files.size(blob));
    if (!bytes) continue;  // removed by a pruner meanwhile
    const auto row = used.find(blob);
    stored.push_back({blob, *bytes, row == used.end() ? 0 : row->second});
  }
  return stored;
}

Result<uint64_t> LocalContentStore::remove_unreferenced(const std::vector<Digest>& keep,
                                                        uint64_t before) {
  std::unordered_set<Digest> kept(keep.begin(), keep.end());
  uint64_t freed = 0;
  const Status done = database_.write([&]() -> Status {
    KILN_TRY_ASSIGN(const uint64_t oldest_live, leases_.oldest_live());
    const uint64_t oldest = std::min(before, oldest_live);
    {
      KILN_TRY_ASSIGN(auto used,
                      database_.prepare("SELECT digest FROM blobs WHERE used_seq >= ?1"));
      used.bind(1, static_cast<int64_t>(oldest));
      while (true) {
        KILN_TRY_ASSIGN(const bool row, used.step());
        if (!row) break;
        if (const auto blob = digest_of(used.text(0))) kept.insert(*blob);
      }
    }
    // The directory decides, not the rows: a crash between rename and row left files that no row
    // names.
    KILN_TRY_ASSIGN(const auto blobs, state_->files.list());
    for (const Digest& blob : blobs) {
      if (kept.contains(blob)) continue;
      KILN_TRY_ASSIGN(const uint64_t bytes, state_->files.move_to_trash(blob));
      KILN_TRY(delete_row(database_, blob));
      freed += bytes;
    }
    return {};
  });
  KILN_TRY(done);
  KILN_TRY(state_->files.empty_trash());
  return freed;
}

}  // namespace kiln::oci
