#include "solver/executor/run_directory.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace kiln {
namespace {

constexpr int kAttempts = 10;
constexpr std::string_view kLockSuffix = ".lock";

// Unique, and short: it becomes part of cgroup names.
Result<std::string> random_id() {
  std::array<unsigned char, 8> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return fail_errno("get random bytes for", "run directory");
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : bytes) {
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 15U];
  }
  return out;
}

// The lock file goes last: while it is there, the directory is somebody's or will be swept again.
Status sweep_one(const std::string& directory, const std::string& id) {
  const std::string lock_path = directory + "/" + id + std::string(kLockSuffix);
  KILN_TRY_ASSIGN(const auto lock, FileLock::try_acquire(lock_path, FileLock::Mode::kExclusive));
  if (!lock) return fail(Code::kFailedPrecondition, "in use");
  KILN_TRY(remove_tree(directory + "/" + id));
  if (::unlink(lock_path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove", lock_path);
  return {};
}

Status sweep(const std::string& directory, std::vector<std::string>& swept) {
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("open", directory);
  KILN_TRY_ASSIGN(const auto entries, list_dir(fd.get()));
  for (const DirEntry& entry : entries) {
    if (!entry.name.ends_with(kLockSuffix)) continue;
    const std::string id = entry.name.substr(0, entry.name.size() - kLockSuffix.size());
    // What cannot be swept (in use, or a mount in the way) is no reason not to build.
    if (sweep_one(directory, id)) swept.push_back(id);
  }
  return {};
}

}  // namespace

Result<RunDirectory> RunDirectory::open(const std::string& directory,
                                        std::vector<std::string>& swept) {
  KILN_TRY(make_dirs(directory, 0711));
  KILN_TRY(sweep(directory, swept));
  return make(directory);
}

// A sweeper may hold a lock between its creation and our locking it; the next id is free.
Result<RunDirectory> RunDirectory::make(const std::string& directory) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    KILN_TRY_ASSIGN(std::string id, random_id());
    std::string path = std::string(directory).append("/").append(id);
    KILN_TRY_ASSIGN(auto lock, FileLock::try_acquire(path + std::string(kLockSuffix),
                                                     FileLock::Mode::kExclusive));
    if (!lock) continue;
    if (::mkdir(path.c_str(), 0700) != 0) return fail_errno("make", path);
    return RunDirectory(std::move(id), std::move(path), *std::move(lock));
  }
  return fail(Code::kUnavailable, "no free name in run directory \"" + directory + "\"");
}

RunDirectory::~RunDirectory() {
  if (path_.empty()) return;
  (void)remove_tree(path_);  // what stays is swept by the next
  (void)::unlink((path_ + std::string(kLockSuffix)).c_str());
}

}  // namespace kiln
