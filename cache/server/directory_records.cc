// Records of directory_storage.h: one small file each, published by rename.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/io.h"
#include "cache/server/directory_storage.h"
#include "cache/server/file_names.h"
#include "cache/server/names.h"
#include "cache/server/record_path.h"

namespace kiln::server {
namespace {

Result<std::string> absolute_path(const std::string& directory, const RecordKey& key) {
  KILN_TRY_ASSIGN(const std::string path, record_path(key));
  return directory + "/" + path;
}

// Makes durable what went from `directory`, which may be gone itself, or those above it, by who
// emptied it meanwhile: then it is the directory above that tells. `top`: length of one that stays.
Status sync_nearest(std::string directory, size_t top) {
  while (true) {
    Status synced = fsync_dir(directory);
    if (synced || synced.error().code() != Code::kNotFound || directory.size() <= top)
      return synced;
    directory.resize(directory.rfind('/'));
  }
}

}  // namespace

Result<std::vector<std::string>> names_in(const std::string& directory) {
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() && errno == ENOENT) return std::vector<std::string>();
  if (!fd.valid()) return fail_errno("open directory", directory);
  KILN_TRY_ASSIGN(std::vector<DirEntry> entries, list_dir(fd.get()));
  std::vector<std::string> names;
  names.reserve(entries.size());
  for (DirEntry& entry : entries)
    if (entry.name.front() != '.') names.push_back(std::move(entry.name));
  return names;
}

Status touch_file(const std::string& path) {
  if (::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0) return {};
  return fail_errno("touch", path);
}

TimePoint touched_at(const struct stat& st) {
  return TimePoint(std::chrono::seconds(st.st_mtim.tv_sec) +
                   std::chrono::nanoseconds(st.st_mtim.tv_nsec));
}

// That a repository holds a blob is an empty file: with no bytes of its own, its directory is all
// that needs to reach the disk.
Status DirectoryStorage::put_record(const RecordKey& key, std::string_view text) {
  KILN_TRY_ASSIGN(const std::string path, absolute_path(directory_, key));
  if (text.empty()) {
    if (touch_file(path)) return {};
  }
  KILN_TRY_ASSIGN(const std::string file, temporary(text));
  return publish(file, path);
}

Result<std::optional<std::string>> DirectoryStorage::record(const RecordKey& key) {
  KILN_TRY_ASSIGN(const std::string path, absolute_path(directory_, key));
  Result<std::string> text = read_file(path, kMaxRecordBytes);
  if (text) return std::optional<std::string>(*std::move(text));
  if (text.error().code() == Code::kNotFound) return std::nullopt;
  return tl::unexpected(text.error());
}

Status DirectoryStorage::erase_record(const RecordKey& key) {
  KILN_TRY_ASSIGN(const std::string path, absolute_path(directory_, key));
  if (::unlink(path.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno("remove", path);
  }
  const size_t top = directory_.size() + std::string_view("/repositories").size();
  std::string parent = path.substr(0, path.rfind('/'));
  KILN_TRY(sync_nearest(parent, top));
  // What is empty now goes too, up to the repository itself.
  while (parent.size() > top && ::rmdir(parent.c_str()) == 0) parent.resize(parent.rfind('/'));
  return {};
}

Status DirectoryStorage::touch_record(const RecordKey& key) {
  KILN_TRY_ASSIGN(const std::string path, absolute_path(directory_, key));
  return touch_file(path);
}

Result<std::optional<TimePoint>> DirectoryStorage::record_touched(const RecordKey& key) {
  KILN_TRY_ASSIGN(const std::string path, absolute_path(directory_, key));
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0) return touched_at(st);
  if (errno == ENOENT) return std::nullopt;
  return fail_errno("stat", path);
}

Result<std::vector<std::string>> DirectoryStorage::record_names(const std::string& repository,
                                                                RecordKind kind,
                                                                const std::string& group) {
  KILN_TRY_ASSIGN(const std::string path, record_folder(repository, kind, group));
  return names_in(directory_ + "/" + path);
}

Result<std::vector<std::string>> DirectoryStorage::referrer_groups(const std::string& repository) {
  KILN_TRY_ASSIGN(const std::string path, repository_folder(repository));
  return names_in(directory_ + "/" + path + "/referrers");
}

Result<std::vector<std::string>> DirectoryStorage::repositories() {
  KILN_TRY_ASSIGN(std::vector<std::string> names, names_in(directory_ + "/repositories"));
  for (std::string& name : names) name = repository_of_component(name);
  std::erase_if(names, [](const std::string& name) { return !is_repository_name(name); });
  std::sort(names.begin(), names.end());
  return names;
}

Result<bool> DirectoryStorage::has_repository(const std::string& repository) {
  KILN_TRY_ASSIGN(const std::string path, repository_folder(repository));
  return exists(directory_ + "/" + path);
}

}  // namespace kiln::server
