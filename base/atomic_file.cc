// AtomicFile, TempDir and FileLock of fs.h.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/fs.h"
#include "base/io.h"

namespace kiln {
namespace {

constexpr auto kFirstLockPause = std::chrono::milliseconds(1);
constexpr auto kMaxLockPause = std::chrono::milliseconds(50);

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return path.substr(0, std::max<size_t>(slash, 1));
}

Result<Fd> open_lock(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.valid()) return fail_errno("open lock", path);
  return fd;
}

// False: held elsewhere.
Result<bool> lock_now(int fd, FileLock::Mode mode, const std::string& path) {
  const int operation = (mode == FileLock::Mode::kShared ? LOCK_SH : LOCK_EX) | LOCK_NB;
  for (;;) {
    if (::flock(fd, operation) == 0) return true;
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return fail_errno("lock", path);
  }
}

}  // namespace

AtomicFile::AtomicFile(Fd fd, std::string temp, std::string target)
    : fd_(std::move(fd)), temp_(std::move(temp)), target_(std::move(target)) {}

Result<AtomicFile> AtomicFile::create(const std::string& target, mode_t mode) {
  std::string temp = parent_of(target) + "/.kiln-tmp-XXXXXX";
  Fd fd(::mkostemp(temp.data(), O_CLOEXEC));
  if (!fd.valid()) return fail_errno("create", temp);
  AtomicFile file(std::move(fd), std::move(temp), target);
  if (::fchmod(file.fd(), mode) != 0) return fail_errno("change mode of", file.temp_);
  return file;
}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  if (this != &other) {
    discard();
    fd_ = std::move(other.fd_);
    temp_ = std::exchange(other.temp_, {});
    target_ = std::move(other.target_);
  }
  return *this;
}

AtomicFile::~AtomicFile() {
  discard();
}

Status AtomicFile::write(std::string_view data) {
  return write_fully(fd_.get(), as_bytes(data), temp_);
}

Status AtomicFile::commit() {
  if (temp_.empty())
    return fail(Code::kFailedPrecondition, "\"" + target_ + "\" was committed or given up before");
  // After a failed fsync the kernel may have dropped the dirty pages and a second one would
  // succeed: it is final.
  if (::fsync(fd_.get()) != 0) {
    const Error error = Error::from_errno(errno, "sync", temp_);
    discard();
    return tl::unexpected(error);
  }
  if (Status closed = fd_.close(); !closed) {
    discard();
    return closed;
  }
  if (::rename(temp_.c_str(), target_.c_str()) != 0) {
    const Error error = Error::from_errno(errno, "rename to", target_);
    discard();
    return tl::unexpected(error);
  }
  temp_.clear();
  return fsync_dir(parent_of(target_));
}

void AtomicFile::discard() noexcept {
  fd_.reset();
  if (!temp_.empty())
    (void)::unlink(temp_.c_str());  // nothing to be done; a sweep finds ".kiln-tmp-"
  temp_.clear();
}

Result<TempDir> TempDir::create(const std::string& parent, std::string_view prefix) {
  std::string path = parent + "/" + std::string(prefix) + "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return fail_errno("make directory", path);
  return TempDir(std::move(path));
}

TempDir& TempDir::operator=(TempDir&& other) noexcept {
  if (this != &other) {
    const TempDir old(std::move(path_));
    path_ = std::exchange(other.path_, {});
  }
  return *this;
}

TempDir::~TempDir() {
  if (!path_.empty())
    (void)remove_tree(path_);  // destructors cannot fail; what is left is in a temporary place
}

std::string TempDir::release() {
  return std::exchange(path_, {});
}

Result<FileLock> FileLock::acquire(const std::string& path, Mode mode,
                                   const std::function<bool()>& stop_requested) {
  KILN_TRY_ASSIGN(Fd fd, open_lock(path));
  for (auto pause = kFirstLockPause;; pause = std::min(pause * 2, kMaxLockPause)) {
    KILN_TRY_ASSIGN(const bool locked, lock_now(fd.get(), mode, path));
    if (locked) return FileLock(std::move(fd));
    if (stop_requested && stop_requested())
      return fail(Code::kCancelled, "cancelled while waiting for the lock \"" + path + "\"");
    std::this_thread::sleep_for(pause);
  }
}

Result<std::optional<FileLock>> FileLock::try_acquire(const std::string& path, Mode mode) {
  KILN_TRY_ASSIGN(Fd fd, open_lock(path));
  KILN_TRY_ASSIGN(const bool locked, lock_now(fd.get(), mode, path));
  if (!locked) return std::nullopt;
  return FileLock(std::move(fd));
}

}  // namespace kiln
