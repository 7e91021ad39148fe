// Blobs by digest. A blob is visible only when complete and verified; what is visible never
// changes. Leases protect what a running process made or used from pruning by another (lease.h).
#pragma once

#include "base/io.h"
#include "oci/descriptor.h"
#include "oci/lease.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kiln::oci {

/// Destroying an uncommitted writer discards its bytes.
class BlobWriter : public Sink {
 public:
  struct Committed {
    Digest digest;
    uint64_t size = 0;
  };
  /// Durable on success: file fsynced, then published. kDataLoss if `expected` does not match.
  /// Committing a blob that is there already succeeds. At most once.
  virtual Result<Committed> commit(const std::optional<Digest>& expected) = 0;
};

/// Thread-safe, and safe for several kiln processes on one root.
class ContentStore {
 public:
  virtual ~ContentStore() = default;
  /// nullopt: absent. A present blob is marked as used by `lease` in the same transaction.
  virtual Result<std::optional<uint64_t>> size(const Digest& blob) = 0;
  /// kNotFound. Verified at end of stream: the read that would return 0 returns kDataLoss instead
  /// if the bytes do not match, and the blob is quarantined (moved aside, absent from then on).
  virtual Result<std::unique_ptr<Source>> open(const Digest& blob) = 0;
  /// Not verified: for blobs that are is_known(); kNotFound.
  virtual Result<Fd> open_fd(const Digest& blob) = 0;
  /// True: this process has written the blob or read it to its end, so reading it again need not
  /// verify it.
  virtual bool is_known(const Digest& /*blob*/) { return false; }
  virtual Result<std::unique_ptr<BlobWriter>> writer(const Lease& lease) = 0;
  /// Keeps `blob` for `lease`; false: absent.
  virtual Result<bool> touch(const Digest& blob, const Lease& lease) = 0;
  /// For pruning: removes every blob that is not in `keep` and that no live lease uses. Returns
  /// bytes freed. `before`: the pruner's bound, Leases::oldest_live() as it was before it collected
  /// `keep`; what a build used that has ended since stays, although no live lease guards it any
  /// more.
  virtual Result<uint64_t> remove_unreferenced(const std::vector<Digest>& keep,
                                               uint64_t before = UINT64_MAX) = 0;
};

/// A small blob in one go, bounded and verified; kNotFound, kResourceExhausted, kDataLoss.
Result<std::string> read_blob(ContentStore& store, const Digest& blob, uint64_t limit_bytes);
Result<Digest> write_blob(ContentStore& store, const Lease& lease, std::string_view bytes);

/// Reads `blob` to its end: the store's error if it is corrupt (and moved aside now); nullopt: it
/// is sound, or gone.
std::optional<Error> damage_of(ContentStore& store, const Digest& blob);

/// For a reader that gave up on the bytes of `blob` with `seen`: where they made no sense
/// (kDataLoss, kInvalidArgument), reads the blob to its end. Only so does the store meet the damage
/// and move the blob aside; else it would count as present for ever, and fetching it anew would be
/// skipped. Returns the store's error if it is corrupt, else `seen`.
Error verified_error(ContentStore& store, const Digest& blob, Error seen);

}  // namespace kiln::oci
