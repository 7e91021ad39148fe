#include "oci/blob_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/fs.h"

namespace kiln::oci {
namespace {

constexpr size_t kWriteBytes = size_t{256} << 10U;

Error with_space_hint(const Error& error) {
  if (error.code() != Code::kResourceExhausted) return error;
  return error.hint("free space on the disk of the store, for example with `kiln prune`");
}

bool is_linked(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && info.st_nlink > 0;
}

// Unlocked by its holder's death or end; nullopt-like false: somebody holds it.
bool lock_now(int fd) {
  return ::flock(fd, LOCK_EX | LOCK_NB) == 0;
}

Result<Fd> open_directory(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("open", path);
  return fd;
}

}  // namespace

IngestFile::IngestFile(IngestFile&& other) noexcept
    : fd_(std::move(other.fd_)),
      pending_(std::move(other.pending_)),
      behind_(other.behind_),
      path_(std::exchange(other.path_, {})) {}

IngestFile::~IngestFile() {
  if (!path_.empty()) (void)::unlink(path_.c_str());  // a file that stays is swept by the next open
}

Status IngestFile::write(std::span<const std::byte> data) {
  if (pending_.size() + data.size() < kWriteBytes) {
    pending_.insert(pending_.end(), data.begin(), data.end());
    return {};
  }
  KILN_TRY(write_now(pending_));
  pending_.clear();
  if (data.size() >= kWriteBytes) return write_now(data);
  pending_.assign(data.begin(), data.end());
  return {};
}

Status IngestFile::write_now(std::span<const std::byte> data) {
  const Status done = write_fully(fd_.get(), data, path_);
  if (!done) return tl::unexpected(with_space_hint(done.error()));
  behind_.wrote(fd_.get(), data.size());
  return {};
}

Status IngestFile::sync() {
  KILN_TRY(write_now(pending_));
  pending_.clear();
  if (::fdatasync(fd_.get()) == 0) return {};
  return tl::unexpected(with_space_hint(Error::from_errno(errno, "write to disk", path_)));
}

Result<BlobFiles> BlobFiles::open(const std::string& directory) {
  const std::string blobs = directory + "/blobs/sha256";
  // The last one made tells that the others are there.
  KILN_TRY_ASSIGN(const bool complete, exists(directory + "/trash"));
  if (!complete) {
    KILN_TRY(make_dirs(blobs));
    KILN_TRY(make_dirs(directory + "/ingest", 0700));
    KILN_TRY(make_dirs(directory + "/quarantine", 0700));
    KILN_TRY(make_dirs(directory + "/trash", 0700));
  }
  KILN_TRY_ASSIGN(Fd fd, open_directory(blobs));
  BlobFiles files(directory, std::move(fd));
  KILN_TRY(files.sweep_ingest());
  KILN_TRY(files.empty_trash());
  return files;
}

Status BlobFiles::sweep_ingest() const {
  const std::string path = directory_ + "/ingest";
  KILN_TRY_ASSIGN(const Fd directory, open_directory(path));
  KILN_TRY_ASSIGN(const auto entries, list_dir(directory.get()));
  for (const DirEntry& entry : entries) {
    const Fd file(::openat(directory.get(), entry.name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!file.valid() || !lock_now(file.get())) continue;      // gone, or being written
    (void)::unlinkat(directory.get(), entry.name.c_str(), 0);  // what stays is met again
  }
  return {};
}

Result<std::optional<uint64_t>> BlobFiles::size(const Digest& blob) const {
  struct stat info {};
  if (::fstatat(blobs_.get(), blob.hex().c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
    if (!S_ISREG(info.st_mode)) return std::optional<uint64_t>();
    return std::optional<uint64_t>(static_cast<uint64_t>(info.st_size));
  }
  if (errno == ENOENT) return std::optional<uint64_t>();
  return fail_errno("stat blob", blob.to_string());
}

Result<Fd> BlobFiles::open_blob(const Digest& blob) const {
  Fd fd(::openat(blobs_.get(), blob.hex().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid() && errno != ENOENT) return fail_errno("open blob", blob.to_string());
  return fd;
}

Result<std::vector<Digest>> BlobFiles::list() const {
  KILN_TRY_ASSIGN(const auto entries, list_dir(blobs_.get()));
  std::vector<Digest> blobs;
  blobs.reserve(entries.size());
  for (const DirEntry& entry : entries) {
    if (auto digest = Digest::parse("sha256:" + entry.name)) blobs.push_back(*digest);
  }
  return blobs;
}

Result<IngestFile> BlobFiles::ingest() const {
  while (true) {
    std::string path = directory_ + "/ingest/XXXXXX";
    Fd fd(::mkostemp(path.data(), O_CLOEXEC));
    if (!fd.valid())
      return tl::unexpected(with_space_hint(Error::from_errno(errno, "create", path)));
    // A sweep may have come between the two calls: then the lock is lost or the name is gone.
    if (!lock_now(fd.get()) || !is_linked(fd.get())) continue;
    if (::fchmod(fd.get(), 0644) != 0) return fail_errno("chmod", path);
    return IngestFile(std::move(fd), std::move(path));
  }
}

Status BlobFiles::publish(IngestFile& file, const Digest& blob) const {
  if (::renameat(AT_FDCWD, file.path_.c_str(), blobs_.get(), blob.hex().c_str()) != 0) {
    return tl::unexpected(with_space_hint(Error::from_errno(errno, "publish", blob.to_string())));
  }
  file.path_.clear();
  if (::fsync(blobs_.get()) != 0) return fail_errno("fsync", directory_ + "/blobs/sha256");
  return {};
}

Status BlobFiles::quarantine(const Digest& blob) const {
  const std::string target = directory_ + "/quarantine/" + blob.hex();
  if (::renameat(blobs_.get(), blob.hex().c_str(), AT_FDCWD, target.c_str()) == 0) return {};
  if (errno == ENOENT) return {};
  return fail_errno("move aside", blob.to_string());
}

Result<uint64_t> BlobFiles::move_to_trash(const Digest& blob) const {
  KILN_TRY_ASSIGN(const auto bytes, size(blob));
  const std::string target = directory_ + "/trash/" + blob.hex();
  if (::renameat(blobs_.get(), blob.hex().c_str(), AT_FDCWD, target.c_str()) != 0) {
    if (errno == ENOENT) return uint64_t{0};
    return fail_errno("remove", blob.to_string());
  }
  return bytes.value_or(0);
}

Status BlobFiles::empty_trash() const {
  KILN_TRY_ASSIGN(const Fd trash, open_directory(directory_ + "/trash"));
  KILN_TRY_ASSIGN(const auto entries, list_dir(trash.get()));
  for (const DirEntry& entry : entries) {
    if (::unlinkat(trash.get(), entry.name.c_str(), 0) != 0 && errno != ENOENT) {
      return fail_errno("remove", directory_ + "/trash/" + entry.name);
    }
  }
  return {};
}

}  // namespace kiln::oci
