// Tar archives. Writing is kiln's own: deterministic PAX headers (image-spec layer.md;
// DOCKERFILE.md "Layer diff / tar rules"): names relative without "./", directories end in "/",
// mtime to the second, no atime, ctime, uname or gname, PAX records only where ustar cannot hold a
// value, xattrs as SCHILY.xattr.*. Reading is libarchive's, as a tar reader only.
#pragma once

#include "base/io.h"
#include "base/path.h"
#include "base/result.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace kiln::oci {

enum class EntryType : uint8_t {
  kFile,
  kDirectory,
  kSymlink,
  kHardlink,
  kCharDevice,
  kBlockDevice,
  kFifo
};

struct TarEntry {
  RelPath path;  // the root directory itself is ""
  EntryType type = EntryType::kFile;
  uint32_t mode = 0;  // permission bits with setuid, setgid, sticky: 07777
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0;        // of a regular file
  int64_t mtime = 0;        // seconds
  uint32_t mtime_ns = 0;    // read only: never written
  std::string link_target;  // symlink: as stored; hardlink: path in the archive, relative
  uint32_t dev_major = 0, dev_minor = 0;
  std::map<std::string, std::string> xattrs;  // full names ("security.capability"), raw values
};

class TarWriter {
 public:
  explicit TarWriter(Sink& to) : to_(to) {}
  /// Header of an entry. A file with size > 0 must be followed by exactly `size` bytes through
  /// data().
  Status add(const TarEntry& entry);
  Status data(std::span<const std::byte> bytes);
  Status finish();  // padding and the two zero blocks; kFailedPrecondition if bytes are missing

 private:
  Sink& to_;
  uint64_t left_ = 0, padding_ = 0;  // of the current entry, bytes
};

/// PAX and GNU headers over ustar (of both in one entry, the first wins). Refuses (kInvalidArgument
/// with the entry's name) what SAFETY.md 1.2 lists: "..", device 0:0, unknown types, trusted.* and
/// *.overlay.* xattrs; bounded PAX header (1 MiB). Sparse files read as their data. A path's
/// leading "/" and "./" are dropped. Truncated or garbage input is kDataLoss.
class TarReader {
 public:
  static Result<std::unique_ptr<TarReader>> open(std::unique_ptr<Source> tar);  // uncompressed
  virtual ~TarReader() = default;
  virtual Result<std::optional<TarEntry>> next() = 0;  // nullopt: end of archive
  virtual Result<size_t> read(
      std::span<std::byte> buffer) = 0;  // of the current file; 0 at its end
};

}  // namespace kiln::oci
