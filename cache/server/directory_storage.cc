#include "cache/server/directory_storage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/io.h"
#include "base/json.h"
#include "cache/server/file_names.h"
#include "cache/server/names.h"

namespace kiln::server {
namespace {

constexpr std::string_view kMarker = "kiln-registry";
constexpr int64_t kFormat = 1;
constexpr uint64_t kMaxMarkerBytes = 4096;

std::string parent_directory(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

// A directory that is empty or has our marker of a format that we know.
Status check_marker(const std::string& directory) {
  const std::string path = directory + "/" + std::string(kMarker);
  KILN_TRY_ASSIGN(const bool marked, exists(path));
  if (!marked) {
    KILN_TRY_ASSIGN(const std::vector<std::string> entries, names_in(directory));
    if (std::any_of(entries.begin(), entries.end(),
                    [](const auto& name) { return name != "lock"; }))
      return tl::unexpected(
          Error(Code::kFailedPrecondition, "\"" + directory + "\" holds something else")
              .hint("name an empty or new directory as the registry's storage"));
    KILN_TRY_ASSIGN(AtomicFile marker, AtomicFile::create(path));
    KILN_TRY(marker.write("{\"format\":" + std::to_string(kFormat) + "}\n"));
    return marker.commit();
  }
  KILN_TRY_ASSIGN(const std::string text, read_file(path, kMaxMarkerBytes));
  const Result<Json> marker = Json::parse(text);
  const int64_t format = marker ? (*marker)["format"].as_int() : 0;
  if (format < 1) return fail(Code::kDataLoss, "\"" + path + "\" is damaged");
  if (format > kFormat)
    return fail(Code::kFailedPrecondition,
                "\"" + directory + "\" is of format " + std::to_string(format) +
                    ", this kiln knows formats up to " + std::to_string(kFormat));
  return {};
}

bool is_there(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0;
}

/// The directory is one process's alone.
class OwnCollection : public Collection {
 public:
  explicit OwnCollection(TimePoint now) : now_(now) {}
  TimePoint now() const override { return now_; }
  bool is_shared() const override { return false; }
  Status announce_records(std::span<const RecordKey>) override { return {}; }
  Status announce_blobs(std::span<const BlobDigest>) override { return {}; }
  Status check() override { return {}; }
  Status finished() override { return {}; }

 private:
  const TimePoint now_;
};

// As often as others may remove a directory that somebody is about to use.
constexpr int kAttempts = 100;

// One that vanished again had nothing left to keep.
Status sync_directory(const std::string& path) {
  Status synced = fsync_dir(path);
  if (!synced && synced.error().code() == Code::kNotFound) return {};
  return synced;
}

}  // namespace

Result<std::unique_ptr<DirectoryStorage>> DirectoryStorage::open(const std::string& directory) {
  KILN_TRY(make_dirs(directory, 0700));
  KILN_TRY_ASSIGN(auto lock,
                  FileLock::try_acquire(directory + "/lock", FileLock::Mode::kExclusive));
  if (!lock)
    return tl::unexpected(
        Error(Code::kFailedPrecondition, "\"" + directory + "\" is in use by another process")
            .hint("stop the server that has it open first"));
  KILN_TRY(check_marker(directory));
  std::unique_ptr<DirectoryStorage> storage(new DirectoryStorage(directory, *std::move(lock)));
  KILN_TRY(remove_tree(directory + "/temporary"));  // what a crash left
  for (const char* name : {"/blobs", "/uploads", "/repositories", "/temporary", "/quarantine"})
    KILN_TRY(storage->ensure_directory(directory + name));
  return storage;
}

// Directories vanish with their last record, so one may go between its making and its use: whoever
// finds that it went makes it again.
Status DirectoryStorage::ensure_directory(const std::string& path) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (::mkdir(path.c_str(), 0700) == 0) return sync_directory(parent_directory(path));
    if (errno == EEXIST) return {};
    if (errno != ENOENT || path.size() <= directory_.size()) break;
    KILN_TRY(ensure_directory(parent_directory(path)));
  }
  return fail_errno("make directory", path);
}

Result<std::string> DirectoryStorage::temporary(std::string_view data) {
  std::string path = directory_ + "/temporary/XXXXXX";
  Fd fd(::mkostemp(path.data(), O_CLOEXEC));
  if (!fd.valid()) return fail_errno("create", path);
  Status written = write_fully(fd.get(), as_bytes(data), path);
  // An fsync error is final (SAFETY.md 3.3): the file goes.
  if (written && ::fsync(fd.get()) != 0) written = fail_errno("sync", path);
  if (!written) {
    (void)::unlink(path.c_str());  // the error that counts is at hand
    return tl::unexpected(written.error());
  }
  return path;
}

Status DirectoryStorage::publish(const std::string& temporary, const std::string& target) {
  const std::string parent = parent_directory(target);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (::rename(temporary.c_str(), target.c_str()) == 0) return sync_directory(parent);
    if (errno != ENOENT) break;
    KILN_TRY(ensure_directory(parent));
    errno = ENOENT;
  }
  const Error error = Error::from_errno(errno, "rename to", target);
  (void)::unlink(temporary.c_str());  // as above
  return tl::unexpected(error);
}

std::string DirectoryStorage::blob_path(const BlobDigest& digest) const {
  return directory_ + "/blobs/" + std::string(to_string(digest.algorithm())) + "/" +
         digest.hex().substr(0, 2) + "/" + digest.hex();
}

Result<std::optional<uint64_t>> DirectoryStorage::blob_size(const BlobDigest& digest) {
  struct stat st {};
  const std::string path = blob_path(digest);
  if (::stat(path.c_str(), &st) == 0) return static_cast<uint64_t>(st.st_size);
  if (errno == ENOENT) return std::nullopt;
  return fail_errno("stat", path);
}

Result<OpenBlob> DirectoryStorage::open_blob(const BlobDigest& digest) {
  const std::string path = blob_path(digest);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT)
    return fail(Code::kNotFound, "there is no blob " + digest.to_string());
  if (!fd.valid()) return fail_errno("open", path);
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return fail_errno("stat", path);
  return OpenBlob{std::move(fd), static_cast<uint64_t>(st.st_size)};
}

Status DirectoryStorage::put_blob(const BlobDigest& digest, std::string_view data) {
  if (is_there(blob_path(digest))) return touch_blob(digest);
  KILN_TRY_ASSIGN(const std::string file, temporary(data));
  return publish(file, blob_path(digest));
}

Status DirectoryStorage::remove_blob(const BlobDigest& digest) {
  const std::string path = blob_path(digest);
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return fail_errno("remove", path);
}

Status DirectoryStorage::touch_blob(const BlobDigest& digest) {
  return touch_file(blob_path(digest));
}

Result<std::optional<TimePoint>> DirectoryStorage::blob_touched(const BlobDigest& digest) {
  struct stat st {};
  const std::string path = blob_path(digest);
  if (::stat(path.c_str(), &st) == 0) return touched_at(st);
  if (errno == ENOENT) return std::nullopt;
  return fail_errno("stat", path);
}

Status DirectoryStorage::each_blob(const std::function<Status(const BlobEntry&)>& visit) {
  for (const HashAlgorithm algorithm : {HashAlgorithm::kSha256, HashAlgorithm::kSha512}) {
    const std::string top = directory_ + "/blobs/" + std::string(to_string(algorithm));
    KILN_TRY_ASSIGN(const std::vector<std::string> folders, names_in(top));
    const std::string prefix = std::string(to_string(algorithm)) + ":";
    for (const std::string& folder : folders) {
      const std::string path = std::string(top).append("/").append(folder);
      KILN_TRY_ASSIGN(const std::vector<std::string> names, names_in(path));
      for (const std::string& name : names) {
        const auto digest = BlobDigest::parse(prefix + name);
        if (!digest) continue;  // not ours
        struct stat st {};
        if (::stat(std::string(path).append("/").append(name).c_str(), &st) != 0)
          continue;  // it went
        KILN_TRY(visit({*digest, static_cast<uint64_t>(st.st_size), touched_at(st)}));
      }
    }
  }
  return {};
}

Status DirectoryStorage::probe() {
  KILN_TRY(read_file(directory_ + "/" + std::string(kMarker), kMaxMarkerBytes));
  return {};
}

Status DirectoryStorage::quarantine_blob(const BlobDigest& digest) {
  const std::string target = directory_ + "/quarantine/" + digest.component();
  if (::rename(blob_path(digest).c_str(), target.c_str()) != 0)
    return fail_errno("move to quarantine", digest.to_string());
  return fsync_dir(directory_ + "/quarantine");
}

Result<std::unique_ptr<Collection>> DirectoryStorage::begin_collection(TimePoint now) {
  return std::make_unique<OwnCollection>(now);
}

}  // namespace kiln::server
