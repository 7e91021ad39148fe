// The files under a content store's directory and nothing else: no rows, no leases, no decisions.
// Whoever publishes, quarantines or trashes a blob does so inside the database's write transaction
// (FORMAT.md, "Crash safety").
#pragma once

#include "base/digest.h"
#include "base/fd.h"
#include "base/result.h"
#include "base/write_behind.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace kiln::oci {

/// A file under `ingest/` with a flock on it, so that sweeping leaves it alone. Unlinked by the
/// destructor unless published.
class IngestFile {
 public:
  IngestFile(IngestFile&& other) noexcept;
  IngestFile& operator=(IngestFile&&) = delete;
  ~IngestFile();
  /// kResourceExhausted with a hint if the disk is full, perhaps for what was written before: small
  /// pieces, as they come from a socket, are written together.
  Status write(std::span<const std::byte> data);
  Status sync();  // writes the rest and fdatasync; an error is final for this file

 private:
  friend class BlobFiles;
  IngestFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Status write_now(std::span<const std::byte> data);
  Fd fd_;
  std::vector<std::byte> pending_;
  WriteBehind behind_;
  std::string path_;  // "" once published
};

/// Thread-safe; movable.
class BlobFiles {
 public:
  /// Makes the directories, removes ingest files that nobody holds and what is left in `trash/`.
  static Result<BlobFiles> open(const std::string& directory);

  Result<std::optional<uint64_t>> size(const Digest& blob) const;
  Result<Fd> open_blob(const Digest& blob) const;  // an invalid Fd: absent
  Result<std::vector<Digest>> list() const;        // files with other names are left out
  Result<IngestFile> ingest() const;
  /// Renames the (synced) file to its final name and syncs the directory. Replaces a blob of that
  /// name.
  Status publish(IngestFile& file, const Digest& blob) const;
  Status quarantine(const Digest& blob) const;  // absent is success
  Result<uint64_t> move_to_trash(
      const Digest& blob) const;  // bytes; what is still hard-linked elsewhere counts too
  Status empty_trash() const;

 private:
  BlobFiles(std::string directory, Fd blobs)
      : directory_(std::move(directory)), blobs_(std::move(blobs)) {}
  Status sweep_ingest() const;
  std::string directory_;
  Fd blobs_;  // blobs/sha256
};

}  // namespace kiln::oci
