// Uploads of directory_storage.h: a directory each, with what came so far in "data" and whose it is
// in "repository".
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/io.h"
#include "base/write_behind.h"
#include "cache/server/directory_storage.h"
#include "cache/server/file_names.h"
#include "cache/server/names.h"

namespace kiln::server {
namespace {

constexpr uint64_t kMaxOwnerBytes = 4096;
constexpr size_t kRereadBytes = 256U << 10U;
// Further uploads are hashed when they end: their bytes are read again then.
constexpr size_t kMaxRememberedUploads = 1024;

Result<uint64_t> size_of(int fd, const std::string& path) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return fail_errno("stat", path);
  return static_cast<uint64_t>(st.st_size);
}

}  // namespace

class DirectoryStorage::Claim {
 public:
  Claim(DirectoryStorage& storage, std::string id) : storage_(&storage), id_(std::move(id)) {}
  Claim(Claim&& other) noexcept
      : hashed(std::move(other.hashed)),
        sealed(std::move(other.sealed)),
        storage_(std::exchange(other.storage_, nullptr)),
        id_(std::move(other.id_)) {}
  Claim& operator=(Claim&&) = delete;
  ~Claim() {
    if (storage_ == nullptr) return;
    auto uploads = storage_->uploads_.lock();
    if (uploads->size() > kMaxRememberedUploads && !sealed) {
      uploads->erase(id_);
      return;
    }
    Upload& upload = (*uploads)[id_];
    upload.busy = false;
    upload.hashed = std::move(hashed);
    upload.sealed = sealed;
  }
  void forget() {  // the upload is over
    storage_->uploads_.lock()->erase(id_);
    storage_ = nullptr;
  }

  std::optional<Hashed> hashed;
  std::optional<BlobDigest> sealed;

 private:
  DirectoryStorage* storage_;
  std::string id_;
};

class DirectoryStorage::Writer : public UploadWriter {
 public:
  Writer(Claim claim, Fd data, uint64_t size)
      : claim_(std::move(claim)),
        data_(std::move(data)),
        behind_(static_cast<off_t>(size)),
        size_(size) {}
  Status write(std::span<const std::byte> data) override {
    if (Status written = write_fully(data_.get(), data, "upload"); !written) {
      claim_.hashed.reset();  // some of it may be there
      return written;
    }
    if (claim_.hashed) {
      claim_.hashed->hasher.update(data);
      claim_.hashed->bytes += data.size();
    }
    behind_.wrote(data_.get(), data.size());
    size_ += data.size();
    return {};
  }
  uint64_t size() const override { return size_; }

 private:
  Claim claim_;
  Fd data_;
  WriteBehind behind_;
  uint64_t size_;
};

Result<std::string> DirectoryStorage::upload_path(const std::string& id) const {
  if (!is_upload_id(id)) return fail(Code::kNotFound, "there is no upload of this id");
  return directory_ + "/uploads/" + id;
}

Result<DirectoryStorage::Claim> DirectoryStorage::claim(const std::string& id) {
  auto uploads = uploads_.lock();
  Upload& upload = (*uploads)[id];
  if (upload.busy)
    return fail(Code::kFailedPrecondition, "another request is writing to this upload");
  upload.busy = true;
  Claim claim(*this, id);
  claim.hashed = std::move(upload.hashed);
  upload.hashed.reset();
  claim.sealed = upload.sealed;
  return claim;
}

Result<std::string> DirectoryStorage::create_upload(const std::string& repository) {
  KILN_TRY_ASSIGN(std::string id, random_name());
  KILN_TRY_ASSIGN(const std::string path, upload_path(id));
  if (::mkdir(path.c_str(), 0700) != 0) return fail_errno("make directory", path);
  KILN_TRY(write_file(path + "/data", ""));
  // Last: without it there is no upload. Not synced: after a power cut a client begins anew.
  KILN_TRY(write_file(path + "/repository", repository));
  return id;
}

Result<std::optional<UploadState>> DirectoryStorage::upload(const std::string& id) {
  const Result<std::string> path = upload_path(id);
  if (!path) return std::nullopt;
  const Result<std::string> repository = read_file(*path + "/repository", kMaxOwnerBytes);
  struct stat st {};
  if (!repository || ::stat((*path + "/data").c_str(), &st) != 0) return std::nullopt;
  return UploadState{*repository, static_cast<uint64_t>(st.st_size)};
}

Result<std::unique_ptr<UploadWriter>> DirectoryStorage::append(const std::string& id,
                                                               HashAlgorithm algorithm) {
  KILN_TRY_ASSIGN(const std::string path, upload_path(id));
  KILN_TRY_ASSIGN(Claim claim, this->claim(id));
  Fd data(::open((path + "/data").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!data.valid()) {
    const Error error = Error::from_errno(errno, "open", path);
    claim.forget();
    return tl::unexpected(error);
  }
  KILN_TRY_ASSIGN(const uint64_t size, size_of(data.get(), path));
  claim.sealed.reset();
  if (size == 0)
    claim.hashed = Hashed{BlobHasher(algorithm), 0};
  else if (claim.hashed && claim.hashed->bytes != size)
    claim.hashed.reset();
  return std::make_unique<Writer>(std::move(claim), std::move(data), size);
}

// What went through this process in one go is hashed already; the rest is read again.
Result<BlobDigest> DirectoryStorage::digest_of_upload(Claim& claim, const std::string& path,
                                                      Fd& data, HashAlgorithm algorithm) {
  KILN_TRY_ASSIGN(const uint64_t size, size_of(data.get(), path));
  if (claim.hashed && claim.hashed->bytes == size &&
      claim.hashed->hasher.algorithm() == algorithm) {
    BlobHasher hasher = std::move(claim.hashed->hasher);
    claim.hashed.reset();
    return hasher.finish();
  }
  BlobHasher hasher(algorithm);
  std::vector<std::byte> buffer(kRereadBytes);
  while (true) {
    const ssize_t n = ::read(data.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", path);
    if (n == 0) return hasher.finish();
    hasher.update(std::span(buffer).first(static_cast<size_t>(n)));
  }
}

Result<UploadBytes> DirectoryStorage::seal_upload(const std::string& id, const BlobDigest& digest) {
  KILN_TRY_ASSIGN(const std::string path, upload_path(id));
  KILN_TRY_ASSIGN(Claim claim, this->claim(id));
  Fd data(::open((path + "/data").c_str(), O_RDONLY | O_CLOEXEC));
  if (!data.valid()) {
    const Error error = Error::from_errno(errno, "open", path);
    claim.forget();
    return tl::unexpected(error);
  }
  KILN_TRY_ASSIGN(const BlobDigest found, digest_of_upload(claim, path, data, digest.algorithm()));
  KILN_TRY_ASSIGN(const uint64_t size, size_of(data.get(), path));
  if (found != digest) return UploadBytes{found, size};
  // Nothing of it needs to be there twice.
  KILN_TRY_ASSIGN(const auto there, blob_size(digest));
  if (!there && ::fsync(data.get()) != 0) {
    const Error error = Error::from_errno(errno, "sync", path);
    claim.forget();
    (void)remove_tree(path);  // an fsync error is final for this file
    return tl::unexpected(error);
  }
  claim.sealed = digest;
  return UploadBytes{found, size};
}

Status DirectoryStorage::publish_upload(const std::string& id, const BlobDigest& digest) {
  KILN_TRY_ASSIGN(const std::string path, upload_path(id));
  KILN_TRY_ASSIGN(Claim claim, this->claim(id));
  if (claim.sealed != digest)
    return fail(Code::kFailedPrecondition, "the upload is not verified as " + digest.to_string());
  const bool known = touch_blob(digest).has_value();
  if (!known) {
    // Unless it was there when it was sealed and went since, this does nothing.
    const Fd data(::open((path + "/data").c_str(), O_RDONLY | O_CLOEXEC));
    if (!data.valid()) return fail_errno("open", path);
    if (::fsync(data.get()) != 0) return fail_errno("sync", path);
    const std::string target = blob_path(digest);
    KILN_TRY(ensure_directory(target.substr(0, target.rfind('/'))));
    if (::rename((path + "/data").c_str(), target.c_str()) != 0)
      return fail_errno("rename to", target);
    KILN_TRY(touch_blob(digest));  // its age begins here
    KILN_TRY(fsync_dir(target.substr(0, target.rfind('/'))));
  }
  claim.forget();
  (void)remove_tree(path);  // the blob is there; a remainder expires
  return {};
}

Status DirectoryStorage::drop_upload(const std::string& id) {
  KILN_TRY_ASSIGN(const std::string path, upload_path(id));
  KILN_TRY_ASSIGN(Claim claim, this->claim(id));
  claim.forget();
  return remove_tree(path);
}

Result<size_t> DirectoryStorage::expire_uploads(TimePoint before) {
  size_t dropped = 0;
  KILN_TRY_ASSIGN(const std::vector<std::string> ids, names_in(directory_ + "/uploads"));
  for (const std::string& id : ids) {
    struct stat st {};
    const std::string path = directory_ + "/uploads/" + id;
    const bool has_data = ::stat((path + "/data").c_str(), &st) == 0;
    if (!has_data && ::stat(path.c_str(), &st) != 0) continue;
    if (touched_at(st) >= before || !is_upload_id(id)) continue;
    if (drop_upload(id)) ++dropped;  // one that is written to stays
  }
  return dropped;
}

}  // namespace kiln::server
