#include "snapshotter/tree_hash.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/task_group.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <climits>
#include <utility>

#include "base/io.h"
#include "snapshotter/file_hash.h"

namespace kiln {
namespace {

using internal::HashWorker;

// Part of every digest: another number gives other cache keys.
constexpr std::string_view kEntryTag = "kiln.entry.1";
constexpr std::string_view kTreeTag = "kiln.tree.1";
// A task for fewer files costs more than it gains: about 20 us a small file.
constexpr size_t kFilesPerTask = 32;

void put(std::string& record, uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8)
    record += static_cast<char>(static_cast<unsigned char>(number >> static_cast<unsigned>(shift)));
}

void put(std::string& record, std::string_view text) {
  put(record, uint64_t{text.size()});
  record += text;
}

void put(std::string& record, const Digest& digest) {
  const auto bytes = digest.bytes();
  record.append(as_text(bytes));
}

class TreeHasher {
 public:
  TreeHasher(const Root& root, StatCache* cache, std::stop_token stop)
      : root_(root), cache_(cache), stop_(std::move(stop)) {}

  Result<Digest> hash(const RelPath& path) {
    KILN_TRY_ASSIGN(const auto st, root_.stat(path, FollowLast::kNo));
    if (!st) return fail(Code::kNotFound, "\"" + path.absolute() + "\" does not exist");
    if (S_ISDIR(st->st_mode)) return hash_directory(path);
    KILN_TRY_ASSIGN(const Fd parent, root_.open_parent(path));
    Child child{std::string(path.name()), *st, {}};
    hash_child(parent.get(), path.parent(), child);
    return *std::move(child.digest);
  }

 private:
  struct Child {
    std::string name;
    struct stat st {};
    std::optional<Result<Digest>> digest;  // set when hashed
  };

  Result<Digest> hash_directory(const RelPath& path) {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "hashing was cancelled");
    HashedEntry own;
    std::vector<Child> children;
    KILN_TRY(hash_entries(path, own, children));
    KILN_TRY(hash_subdirectories(path, children));
    std::string record(kTreeTag);
    put(record, hash_entry(own));
    for (Child& child : children) {
      // The first error by name, whichever came first in time.
      KILN_CHECK(child.digest.has_value());
      KILN_TRY_ASSIGN(const Digest digest, *std::move(child.digest));
      put(record, child.name);
      put(record, digest);
    }
    return Digest::of(record);
  }

  // All but subdirectories. The directory's fd is closed before those are visited: depth must not
  // cost fds.
  Status hash_entries(const RelPath& path, HashedEntry& own, std::vector<Child>& children) {
    KILN_TRY_ASSIGN(const Fd fd, root_.open(path, O_RDONLY | O_DIRECTORY, 0, FollowLast::kNo));
    if (::fstat(fd.get(), &own.st) != 0) return fail_errno("stat", path.absolute());
    KILN_TRY_ASSIGN(own.xattrs, internal::counted_xattrs(fd.get(), path.absolute()));
    KILN_TRY_ASSIGN(auto entries, list_dir(fd.get()));
    for (DirEntry& entry : entries) {
      Child child{std::move(entry.name), {}, {}};
      if (::fstatat(fd.get(), child.name.c_str(), &child.st, AT_SYMLINK_NOFOLLOW) != 0)
        return fail_errno("stat", path.child(child.name).absolute());
      if (!S_ISSOCK(child.st.st_mode)) children.push_back(std::move(child));
    }
    hash_files(fd.get(), path, children);
    return {};
  }

  void hash_files(int fd, const RelPath& path, std::vector<Child>& children) {
    std::vector<Child*> unknown;  // to be read
    for (Child& child : children) {
      if (S_ISDIR(child.st.st_mode)) continue;
      if (S_ISREG(child.st.st_mode) && !is_known(child)) {
        unknown.push_back(&child);
      } else if (!S_ISREG(child.st.st_mode)) {
        hash_child(fd, path, child);
      }
    }
    if (unknown.empty()) return;
    tbb::task_group tasks;
    const std::span<Child*> all(unknown);
    for (size_t at = kFilesPerTask; at < all.size(); at += kFilesPerTask) {
      const auto some = all.subspan(at, std::min(kFilesPerTask, all.size() - at));
      tasks.run([this, fd, &path, some] { hash_some(fd, path, some); });
    }
    hash_some(fd, path, all.first(std::min(kFilesPerTask, all.size())));
    tasks.wait();
  }

  void hash_some(int fd, const RelPath& path, std::span<Child*> children) {
    for (Child* child : children) {
      if (stop_.stop_requested()) {
        child->digest = fail(Code::kCancelled, "hashing was cancelled");
      } else {
        hash_child(fd, path, *child);
      }
    }
  }

  bool is_known(Child& child) const {
    if (cache_ == nullptr) return false;
    const auto known = cache_->find(child.st);
    if (known) child.digest = hash_entry({child.st, {}, {}, known});
    return known.has_value();
  }

  // Anything but a directory.
  void hash_child(int fd, const RelPath& directory, Child& child) {
    const RelPath path = directory.child(child.name);
    if (S_ISREG(child.st.st_mode)) {
      HashWorker& worker = workers_.local();
      auto file = internal::read_and_hash(fd, child.st, path, cache_, worker);
      child.digest = std::move(file).map([](internal::HashedFile hashed) {
        return hash_entry({hashed.st, {}, std::move(hashed.xattrs), hashed.data});
      });
    } else if (S_ISLNK(child.st.st_mode)) {
      std::string target(PATH_MAX, '\0');
      const ssize_t n = ::readlinkat(fd, child.name.c_str(), target.data(), target.size());
      if (n < 0) {
        child.digest = fail_errno("read link", path.absolute());
        return;
      }
      target.resize(static_cast<size_t>(n));
      child.digest = hash_entry({child.st, std::move(target), {}, {}});
    } else {
      child.digest = hash_entry({child.st, {}, {}, {}});
    }
  }

  Status hash_subdirectories(const RelPath& path, std::vector<Child>& children) {
    std::vector<Child*> directories;
    for (Child& child : children) {
      if (S_ISDIR(child.st.st_mode)) directories.push_back(&child);
    }
    if (directories.empty()) return {};
    tbb::task_group tasks;
    for (Child* child : std::span(directories).subspan(1)) {
      tasks.run([this, &path, child] { child->digest = hash_directory(path.child(child->name)); });
    }
    directories.front()->digest = hash_directory(path.child(directories.front()->name));
    tasks.wait();
    return {};
  }

  const Root& root_;
  StatCache* cache_;
  std::stop_token stop_;
  tbb::enumerable_thread_specific<HashWorker> workers_;
};

}  // namespace

Digest hash_entry(const HashedEntry& entry) {
  const struct stat& st = entry.st;
  const bool is_device = S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode);
  std::string record(kEntryTag);
  put(record, uint64_t{st.st_mode & S_IFMT});
  put(record, uint64_t{S_ISLNK(st.st_mode) ? 0 : st.st_mode & ALLPERMS});
  put(record, uint64_t{st.st_uid});
  put(record, uint64_t{st.st_gid});
  put(record, S_ISREG(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0);
  put(record, is_device ? uint64_t{st.st_rdev} : 0);
  put(record, entry.link_target);
  put(record, uint64_t{entry.xattrs.size()});
  for (const auto& [name, value] : entry.xattrs) {
    put(record, name);
    put(record, value);
  }
  put(record, uint64_t{entry.data.has_value()});
  if (entry.data) put(record, *entry.data);
  return Digest::of(record);
}

Result<Digest> hash_tree(const Root& root, const RelPath& path, StatCache* cache,
                         std::stop_token stop) {
  return TreeHasher(root, cache, std::move(stop)).hash(path);
}

}  // namespace kiln
