#include "cache/directory_transport.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "cache/entry.h"
#include "cache/mount_entry.h"

namespace kiln::cache {
namespace {

constexpr std::string_view kVersionText = "1\n";
constexpr size_t kCopyBytes = 1U << 18U;

Status write_atomically(const std::string& path, std::string_view bytes) {
  KILN_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  KILN_TRY(file.write(bytes));
  return file.commit();
}

Result<std::vector<DirEntry>> list_directory(const std::string& path) {
  KILN_TRY_ASSIGN(const Root root, Root::open(path));
  return list_dir(root.fd());
}

}  // namespace

// The tag is hashed: no name from outside becomes part of a path.
DirectoryTransport::DirectoryTransport(Config config)
    : config_(std::move(config)),
      entries_(config_.directory + "/entries/" + Digest::of(config_.tag).hex()) {}

std::string DirectoryTransport::blob_path(const Digest& blob) const {
  return config_.directory + "/blobs/sha256/" + blob.hex();
}

Status DirectoryTransport::check_kind() const {
  KILN_TRY_ASSIGN(const bool there, exists(config_.directory));
  if (!there) return fail(Code::kNotFound, "there is no such directory");
  const std::string version = config_.directory + "/kiln-cache";
  KILN_TRY_ASSIGN(const bool marked, exists(version));
  if (!marked) {
    KILN_TRY_ASSIGN(const bool layout, exists(config_.directory + "/index.json"));
    return tl::unexpected(Error(Code::kFailedPrecondition, "it holds no kiln cache")
                              .hint(layout ? "it holds an image layout, perhaps a cache that "
                                             "BuildKit wrote: kiln cannot read its keys"
                                           : "name the dest= of an earlier --cache-to"));
  }
  KILN_TRY_ASSIGN(const std::string text, read_file(version, 64));
  if (text != kVersionText)
    return fail(Code::kFailedPrecondition,
                "it is of version " + quote(trim(text)) + ", this kiln reads version 1");
  return {};
}

Status DirectoryTransport::prepare(const std::stop_token& stop) {
  auto state = state_.lock();
  if (state->writing) return {};
  KILN_TRY(make_dirs(entries_));
  KILN_TRY(make_dirs(config_.directory + "/blobs/sha256"));
  KILN_TRY_ASSIGN(FileLock lock,
                  FileLock::acquire(config_.directory + "/lock", FileLock::Mode::kShared,
                                    [&] { return stop.stop_requested(); }));
  const std::string version = config_.directory + "/kiln-cache";
  KILN_TRY_ASSIGN(const bool marked, exists(version));
  KILN_TRY(marked ? check_kind() : write_atomically(version, kVersionText));
  state->writing = std::make_unique<FileLock>(std::move(lock));
  return {};
}

Result<std::vector<std::optional<std::string>>> DirectoryTransport::lookup(
    std::span<const CacheKey> keys, std::stop_token stop) {
  KILN_TRY(check_kind());
  std::vector<std::optional<std::string>> entries(keys.size());
  if (config_.reset == Reset::kYes) return entries;  // only what is published again stays
  for (size_t i = 0; i < keys.size(); ++i) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "the lookup was stopped");
    const std::string path = entries_ + "/" + keys[i].digest.hex();
    if (auto bytes = read_file(path, kMaxEntryBytes); bytes) {
      entries[i] = *std::move(bytes);
    } else if (bytes.error().code() != Code::kNotFound) {
      return tl::unexpected(bytes.error());
    }
  }
  return entries;
}

Status DirectoryTransport::fetch(const oci::Descriptor& blob, Sink& to, std::stop_token stop) {
  const std::string path = blob_path(blob.digest);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid()) return fail_errno("open", path);
  FdSource source(std::move(fd), path);
  std::vector<std::byte> buffer(kCopyBytes);
  while (!stop.stop_requested()) {
    KILN_TRY_ASSIGN(const size_t count, source.read(buffer));
    if (count == 0) return {};
    KILN_TRY(to.write(std::span(buffer).first(count)));
  }
  return fail(Code::kCancelled, "the transfer was stopped");
}

Status DirectoryTransport::upload(const oci::BlobContent& content, std::stop_token stop) {
  const oci::Descriptor& blob = content.blob;
  KILN_TRY(prepare(stop));
  const std::string path = blob_path(blob.digest);
  struct stat st {};
  if (::lstat(path.c_str(), &st) == 0 && static_cast<uint64_t>(st.st_size) == blob.size) return {};
  KILN_TRY_ASSIGN(const auto source, content.open(0));
  KILN_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  std::vector<std::byte> buffer(kCopyBytes);
  while (!stop.stop_requested()) {
    KILN_TRY_ASSIGN(const size_t count, source->read(buffer));  // verifies at its end
    if (count == 0) return file.commit();
    KILN_TRY(file.write(as_text(std::span(buffer).first(count))));
  }
  return fail(Code::kCancelled, "the transfer was stopped");
}

Status DirectoryTransport::publish(std::span<const Publication> publications,
                                   std::stop_token stop) {
  KILN_TRY(prepare(stop));
  for (const Publication& publication : publications) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "the export was stopped");
    KILN_TRY(publish_one(publication));
    state_.lock()->published.insert(publication.key.digest.hex());
  }
  return {};
}

// Of two at once either may win: both entries are whole. One that does not read is replaced.
Status DirectoryTransport::publish_one(const Publication& publication) const {
  const std::string path = entries_ + "/" + publication.key.digest.hex();
  const auto present = read_file(path, kMaxEntryBytes);
  if (!publication.replaces && present && decode_entry(publication.key, *present)) return {};
  return write_atomically(path, publication.entry);
}

Status DirectoryTransport::finish(std::stop_token stop) {
  std::set<std::string> published;
  {
    auto state = state_.lock();
    if (!state->writing) return {};
    state->writing.reset();
    published = std::exchange(state->published, {});
  }
  if (config_.reset == Reset::kNo) return {};
  KILN_TRY_ASSIGN(const FileLock alone,
                  FileLock::acquire(config_.directory + "/lock", FileLock::Mode::kExclusive,
                                    [&] { return stop.stop_requested(); }));
  KILN_TRY(drop_entries(published));
  return drop_blobs();
}

Status DirectoryTransport::drop_entries(const std::set<std::string>& keep) const {
  KILN_TRY_ASSIGN(const std::vector<DirEntry> entries, list_directory(entries_));
  for (const DirEntry& entry : entries)
    if (!keep.contains(entry.name)) KILN_TRY(remove_tree(entries_ + "/" + entry.name));
  return {};
}

Status DirectoryTransport::drop_blobs() const {
  std::set<std::string> used;
  const std::string all = config_.directory + "/entries";
  KILN_TRY_ASSIGN(const std::vector<DirEntry> tags, list_directory(all));
  for (const DirEntry& tag : tags) {
    KILN_TRY_ASSIGN(const std::vector<DirEntry> entries, list_directory(all + "/" + tag.name));
    for (const DirEntry& file : entries) {
      KILN_TRY_ASSIGN(const std::string bytes,
                      read_file(all + "/" + tag.name + "/" + file.name, kMaxEntryBytes));
      const auto key = Digest::parse("sha256:" + file.name);
      if (!key) continue;
      if (const auto mount = as_mount(bytes))
        for (const MountChunk& chunk : mount->chunks) used.insert(chunk.blob.digest.hex());
      const auto entry = decode_entry(CacheKey{*key}, bytes);
      if (!entry) continue;
      if (const auto* result = std::get_if<ResultEntry>(&*entry))
        for (const oci::LayerBlob& layer : result->result.layers)
          used.insert(layer.descriptor.digest.hex());
    }
  }
  const std::string blobs = config_.directory + "/blobs/sha256";
  KILN_TRY_ASSIGN(const std::vector<DirEntry> files, list_directory(blobs));
  for (const DirEntry& file : files)
    if (!used.contains(file.name)) KILN_TRY(remove_tree(blobs + "/" + file.name));
  return {};
}

}  // namespace kiln::cache
