#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "oci/tar.h"

namespace kiln::oci {
namespace {

constexpr size_t kHeaderBytes = 512;
constexpr size_t kChunkBytes = 64U << 10U;
constexpr int kMaxSparseRegions = 64 << 10;

// What libarchive pulls. The last two chunks are kept, because libarchive does not tell an entry's
// type flag: the header block is looked up here (header_before).
class Feed {
 public:
  explicit Feed(std::unique_ptr<Source> from) : from_(std::move(from)) {}

  // -1: an error, kept in `error`.
  la_ssize_t pull(const void** data) {
    Chunk& chunk = chunks_[current_ ^= 1U];
    chunk.start = end_;
    chunk.size = 0;
    // Whole chunks, so that a block never spans two but at the very end.
    while (chunk.size < kChunkBytes) {
      auto count = from_->read(std::span(chunk.bytes).subspan(chunk.size));
      if (!count) {
        error = std::move(count).error();
        return -1;
      }
      if (*count == 0) break;
      chunk.size += *count;
    }
    end_ += chunk.size;
    *data = chunk.bytes.data();
    return static_cast<la_ssize_t>(chunk.size);
  }

  // The block that ends at `position`; nullptr if it has gone by.
  const std::byte* header_before(uint64_t position) const {
    if (position < kHeaderBytes) return nullptr;
    const uint64_t start = position - kHeaderBytes;
    for (const Chunk& chunk : chunks_) {
      if (start >= chunk.start && start + kHeaderBytes <= chunk.start + chunk.size) {
        return chunk.bytes.data() + (start - chunk.start);
      }
    }
    return nullptr;
  }

  // The rest, so that a source that verifies itself at its end gets there.
  Status drain() {
    while (true) {
      KILN_TRY_ASSIGN(const size_t count, from_->read(chunks_[0].bytes));
      if (count == 0) return {};
    }
  }

  std::optional<Error> error;

 private:
  struct Chunk {
    std::vector<std::byte> bytes = std::vector<std::byte>(kChunkBytes);
    uint64_t start = 0;
    size_t size = 0;
  };
  std::unique_ptr<Source> from_;
  std::array<Chunk, 2> chunks_;
  size_t current_ = 0;
  uint64_t end_ = 0;
};

la_ssize_t pull_from_feed(archive*, void* feed, const void** data) {
  return static_cast<Feed*>(feed)->pull(data);
}

struct FreeArchive {
  void operator()(archive* a) const { archive_read_free(a); }
};

bool is_header(const std::byte* block) {
  uint64_t sum = 0;
  for (size_t i = 0; i < kHeaderBytes; ++i) {
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned>(block[i]);
  }
  std::array<char, 9> stored{};
  std::memcpy(stored.data(), block + 148, 8);
  return std::strtoull(stored.data(), nullptr, 8) == sum;
}

// Whiteouts of "", "." and "..": they would act outside the directory that they lie in.
bool is_hostile_whiteout(std::string_view name) {
  return name == ".wh." || name == ".wh.." || name == ".wh...";
}

bool is_refused_xattr(std::string_view name) {
  return name.starts_with("trusted.") || name.find(".overlay.") != std::string_view::npos;
}

class LibarchiveReader : public TarReader {
 public:
  LibarchiveReader(std::unique_ptr<archive, FreeArchive> reader, std::unique_ptr<Feed> feed)
      : feed_(std::move(feed)), archive_(std::move(reader)) {}

  Result<std::optional<TarEntry>> next() override {
    if (ended_) return std::optional<TarEntry>();
    archive_entry* from = nullptr;
    const int rc = archive_read_next_header(archive_.get(), &from);
    if (rc == ARCHIVE_EOF) {
      ended_ = true;
      KILN_TRY(feed_->drain());
      return std::optional<TarEntry>();
    }
    // A warning is about character sets: kiln takes names as bytes.
    if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) return tl::unexpected(failure());
    return convert(from);
  }

  Result<size_t> read(std::span<std::byte> buffer) override {
    const la_ssize_t count = archive_read_data(archive_.get(), buffer.data(), buffer.size());
    if (count < 0) return tl::unexpected(failure());
    return static_cast<size_t>(count);
  }

 private:
  Error failure() const {
    if (feed_->error) return *feed_->error;
    const char* text = archive_error_string(archive_.get());
    return Error(Code::kDataLoss,
                 std::string("tar: ") + (text != nullptr ? text : "damaged archive"));
  }

  Error refusal(archive_entry* from, std::string_view why) const {
    const char* name = archive_entry_pathname(from);
    return Error(Code::kInvalidArgument, "tar entry \"" + std::string(name != nullptr ? name : "") +
                                             "\": " + std::string(why));
  }

  Result<std::optional<TarEntry>> convert(archive_entry* from) const {
    TarEntry entry;
    const char* name = archive_entry_pathname(from);
    if (name == nullptr) return tl::unexpected(refusal(from, "it has no name"));
    auto path = RelPath::strict(name);
    if (!path) return tl::unexpected(refusal(from, path.error().message()));
    entry.path = *std::move(path);
    if (is_hostile_whiteout(entry.path.name())) {
      return tl::unexpected(refusal(from, "a whiteout that names no entry"));
    }
    KILN_TRY(set_type(from, entry));
    KILN_TRY(set_owner(from, entry));
    KILN_TRY(set_xattrs(from, entry));
    entry.mode = static_cast<uint32_t>(archive_entry_perm(from)) & 07777U;
    entry.mtime = archive_entry_mtime(from);
    entry.mtime_ns =
        static_cast<uint32_t>(std::clamp(archive_entry_mtime_nsec(from), 0L, 999'999'999L));
    return std::optional<TarEntry>(std::move(entry));
  }

  Status set_type(archive_entry* from, TarEntry& entry) const {
    KILN_TRY(check_type_flag(from));
    if (const char* target = archive_entry_hardlink(from)) return set_hardlink(from, target, entry);
    switch (archive_entry_filetype(from)) {
      case AE_IFREG:
        entry.type = EntryType::kFile;
        return set_size(from, entry);
      case AE_IFDIR:
        entry.type = EntryType::kDirectory;
        return {};
      case AE_IFLNK:
        entry.type = EntryType::kSymlink;
        return set_symlink(from, entry);
      case AE_IFCHR:
        entry.type = EntryType::kCharDevice;
        return set_device(from, entry);
      case AE_IFBLK:
        entry.type = EntryType::kBlockDevice;
        return set_device(from, entry);
      case AE_IFIFO:
        entry.type = EntryType::kFifo;
        return {};
      default:
        return tl::unexpected(refusal(from, "its type is not known"));
    }
  }

  // libarchive reads a type that it does not know as a regular file. NUL and "7" are regular files
  // by the standard, "S" is GNU's sparse file. A sparse map may lie between header and data: then
  // the block is no header, and nothing is hidden.
  Status check_type_flag(archive_entry* from) const {
    const auto position = archive_filter_bytes(archive_.get(), -1);
    if (position <= 0) return {};
    const std::byte* block = feed_->header_before(static_cast<uint64_t>(position));
    if (block == nullptr || !is_header(block)) return {};
    const char flag = static_cast<char>(block[156]);
    if (flag == '\0' || std::string_view("01234567S").find(flag) != std::string_view::npos)
      return {};
    return tl::unexpected(refusal(from, "its type is not known"));
  }

  Status set_hardlink(archive_entry* from, const char* target, TarEntry& entry) const {
    auto path = RelPath::strict(target);
    if (!path) return tl::unexpected(refusal(from, "its link target: " + path.error().message()));
    entry.type = EntryType::kHardlink;
    entry.link_target = path->str();
    return {};
  }

  Status set_size(archive_entry* from, TarEntry& entry) const {
    const int64_t size = archive_entry_size(from);
    if (size < 0) return tl::unexpected(refusal(from, "its size is negative"));
    if (archive_entry_sparse_count(from) > kMaxSparseRegions) {
      return tl::unexpected(refusal(from, "more than 65536 sparse regions"));
    }
    entry.size = static_cast<uint64_t>(size);
    return {};
  }

  Status set_symlink(archive_entry* from, TarEntry& entry) const {
    const char* target = archive_entry_symlink(from);
    if (target == nullptr || *target == '\0') {
      return tl::unexpected(refusal(from, "a symlink without a target"));
    }
    entry.link_target = target;
    return {};
  }

  // Device 0:0 is overlayfs's whiteout: an archive must not smuggle one in.
  Status set_device(archive_entry* from, TarEntry& entry) const {
    entry.dev_major = static_cast<uint32_t>(archive_entry_rdevmajor(from));
    entry.dev_minor = static_cast<uint32_t>(archive_entry_rdevminor(from));
    if (entry.dev_major == 0 && entry.dev_minor == 0) {
      return tl::unexpected(refusal(from, "device 0:0"));
    }
    return {};
  }

  Status set_owner(archive_entry* from, TarEntry& entry) const {
    const int64_t uid = archive_entry_uid(from);
    const int64_t gid = archive_entry_gid(from);
    if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX) {
      return tl::unexpected(refusal(from, "its owner is out of range"));
    }
    entry.uid = static_cast<uint32_t>(uid);
    entry.gid = static_cast<uint32_t>(gid);
    return {};
  }

  Status set_xattrs(archive_entry* from, TarEntry& entry) const {
    archive_entry_xattr_reset(from);
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
      if (is_refused_xattr(name)) {
        return tl::unexpected(refusal(from, "extended attribute \"" + std::string(name) + "\""));
      }
      entry.xattrs[name] = std::string(static_cast<const char*>(value), size);
    }
    return {};
  }

  std::unique_ptr<Feed> feed_;
  std::unique_ptr<archive, FreeArchive> archive_;  // pulls from `feed_` until freed
  bool ended_ = false;
};

}  // namespace

Result<std::unique_ptr<TarReader>> TarReader::open(std::unique_ptr<Source> tar) {
  auto feed = std::make_unique<Feed>(std::move(tar));
  std::unique_ptr<archive, FreeArchive> reader(archive_read_new());
  if (!reader) return fail(Code::kResourceExhausted, "tar: out of memory");
  if (archive_read_support_format_tar(reader.get()) != ARCHIVE_OK ||
      archive_read_support_filter_none(reader.get()) != ARCHIVE_OK ||
      archive_read_open(reader.get(), feed.get(), nullptr, pull_from_feed, nullptr) != ARCHIVE_OK) {
    if (feed->error) return tl::unexpected(*feed->error);
    return fail(Code::kDataLoss, std::string("tar: ") + archive_error_string(reader.get()));
  }
  return std::make_unique<LibarchiveReader>(std::move(reader), std::move(feed));
}

}  // namespace kiln::oci
