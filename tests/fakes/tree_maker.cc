#include "tests/fakes/tree_maker.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <map>
#include <stdexcept>

#include "base/fs.h"
#include "tests/fakes/must.h"

namespace kiln::fake {
namespace {

void check(bool done, std::string_view what, const std::string& path) {
  if (!done) throw std::runtime_error(std::string(what) + " " + path + ": " + std::strerror(errno));
}

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

std::string escaped(std::string_view name) {
  std::string text;
  for (const char c : name) {
    std::array<char, 8> code{};
    const bool plain = std::isprint(static_cast<unsigned char>(c)) != 0 && c != '\\' && c != ' ';
    std::snprintf(code.data(), code.size(), plain ? "%c" : "\\x%02x",
                  static_cast<unsigned char>(c));
    text += code.data();
  }
  return text;
}

class Describer {
 public:
  explicit Describer(const std::string& root) : root_(root) {}

  std::string describe() {
    entry("", root_);
    walk("");
    return text_;
  }

 private:
  void walk(const std::string& directory) {
    const Fd fd(::open((root_ + "/" + directory).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    check(fd.valid(), "open", directory);
    for (const DirEntry& child : must(list_dir(fd.get()))) {
      const std::string path = directory + child.name;
      entry(path, root_ + "/" + path);
      if (child.type == DT_DIR) walk(path + "/");
    }
  }

  void entry(const std::string& path, const std::string& full) {
    struct stat st {};
    check(::lstat(full.c_str(), &st) == 0, "stat", full);
    std::array<char, 160> line{};
    std::snprintf(line.data(), line.size(), " %c%04o %u:%u %lld.%09ld", type_letter(st.st_mode),
                  st.st_mode & 07777U, st.st_uid, st.st_gid,
                  static_cast<long long>(st.st_mtim.tv_sec), st.st_mtim.tv_nsec);
    text_ += (path.empty() ? "." : escaped(path)) + line.data() + what(path, full, st);
    for (const char* name : {"security.capability", "user.note"}) text_ += attribute(full, name);
    text_ += '\n';
  }

  static char type_letter(mode_t mode) {
    const std::map<mode_t, char> letters = {{S_IFREG, 'f'}, {S_IFDIR, 'd'}, {S_IFLNK, 'l'},
                                            {S_IFCHR, 'c'}, {S_IFBLK, 'b'}, {S_IFIFO, 'p'},
                                            {S_IFSOCK, 's'}};
    return letters.at(mode & S_IFMT);
  }

  std::string what(const std::string& path, const std::string& full, const struct stat& st) {
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
      const auto [first, is_first] = first_.try_emplace(st.st_ino, path);
      if (!is_first) return " = " + escaped(first->second);
    }
    if (S_ISREG(st.st_mode)) return " \"" + escaped(must(read_file(full, 1U << 30U))) + "\"";
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
      return " " + std::to_string(major(st.st_rdev)) + "," + std::to_string(minor(st.st_rdev));
    if (!S_ISLNK(st.st_mode)) return "";
    std::array<char, PATH_MAX> target{};
    check(::readlink(full.c_str(), target.data(), target.size() - 1) >= 0, "readlink", full);
    return " -> " + escaped(target.data());
  }

  static std::string attribute(const std::string& full, const char* name) {
    std::array<char, 256> value{};
    const ssize_t n = ::lgetxattr(full.c_str(), name, value.data(), value.size());
    if (n < 0) return "";
    return std::string(" ") + name + "=" + escaped({value.data(), static_cast<size_t>(n)});
  }

  const std::string& root_;
  std::string text_;
  std::map<ino_t, std::string> first_;
};

}  // namespace

std::string TreeMaker::path(std::string_view relative) const {
  return relative.empty() ? root_ : root_ + "/" + std::string(relative);
}

const TreeMaker& TreeMaker::dir(std::string_view path_, mode_t mode) const {
  must(make_dirs(path(path_)));
  check(::chmod(path(path_).c_str(), mode) == 0, "chmod", path(path_));
  return *this;
}

const TreeMaker& TreeMaker::file(std::string_view path_, std::string_view content,
                                 mode_t mode) const {
  must(make_dirs(parent_of(path(path_))));
  must(write_file(path(path_), content));
  check(::chmod(path(path_).c_str(), mode) == 0, "chmod", path(path_));
  return *this;
}

const TreeMaker& TreeMaker::symlink(std::string_view path_, std::string_view target) const {
  must(make_dirs(parent_of(path(path_))));
  check(::symlink(std::string(target).c_str(), path(path_).c_str()) == 0, "symlink", path(path_));
  return *this;
}

const TreeMaker& TreeMaker::hardlink(std::string_view path_, std::string_view existing) const {
  must(make_dirs(parent_of(path(path_))));
  const int done = ::linkat(AT_FDCWD, path(existing).c_str(), AT_FDCWD, path(path_).c_str(), 0);
  check(done == 0, "link", path(path_));
  return *this;
}

const TreeMaker& TreeMaker::node(std::string_view path_, mode_t type_and_mode, dev_t device) const {
  must(make_dirs(parent_of(path(path_))));
  check(::mknod(path(path_).c_str(), type_and_mode, device) == 0, "mknod", path(path_));
  check(::chmod(path(path_).c_str(), type_and_mode & 07777U) == 0, "chmod", path(path_));
  return *this;
}

const TreeMaker& TreeMaker::xattr(std::string_view path_, const char* name,
                                  std::string_view value) const {
  const int done = ::lsetxattr(path(path_).c_str(), name, value.data(), value.size(), 0);
  check(done == 0, "setxattr", path(path_));
  return *this;
}

const TreeMaker& TreeMaker::owner(std::string_view path_, uid_t uid, gid_t gid) const {
  check(::lchown(path(path_).c_str(), uid, gid) == 0, "chown", path(path_));
  return *this;
}

const TreeMaker& TreeMaker::mtime(std::string_view path_, int64_t seconds, long nanoseconds) const {
  const struct timespec time { seconds, nanoseconds };
  const std::array<struct timespec, 2> times = {time, time};
  const int done = ::utimensat(AT_FDCWD, path(path_).c_str(), times.data(), AT_SYMLINK_NOFOLLOW);
  check(done == 0, "utimens", path(path_));
  return *this;
}

const TreeMaker& TreeMaker::remove(std::string_view path_) const {
  must(remove_tree(path(path_)));
  return *this;
}

const TreeMaker& TreeMaker::settle(int64_t seconds) const {
  const Fd fd(::open(root_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  check(fd.valid(), "open", root_);
  for (const DirEntry& child : must(list_dir(fd.get()))) {
    if (child.type == DT_DIR) {
      TreeMaker(path(child.name)).settle(seconds);
    } else {
      mtime(child.name, seconds);
    }
  }
  return mtime("", seconds);
}

std::string tree_text(const std::string& root) {
  return Describer(root).describe();
}

std::string net_bind_capability() {
  // struct vfs_cap_data, revision 2, effective; permitted bit 10.
  return std::string(
      "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00"
      "\x00\x00\x00\x00\x00\x00\x00\x00",
      20);
}

}  // namespace kiln::fake
