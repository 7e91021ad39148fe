// ContentStore in a directory laid out as image-spec image-layout.md (`oci-layout`,
// `blobs/sha256/…`), plus `ingest/` for what is being written and `quarantine/` for what failed
// verification. Rows in kiln.db say which lease used a blob last; a file without a row (crash
// between the two) is adopted when it is asked for.
#pragma once

#include "base/database.h"
#include "oci/content_store.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kiln::oci {

/// A blob as `du` and pruning see it.
struct StoredBlob {
  Digest digest;
  uint64_t bytes = 0;
  uint64_t used_seq = 0;  // of the last lease that made or used it; 0: no row says
};

class LocalContentStore : public ContentStore {
 public:
  /// Makes `directory` if absent; sweeps ingest files no process holds (each writer keeps a flock
  /// on its file).
  static Result<std::unique_ptr<LocalContentStore>> open(Database& database, Leases& leases,
                                                         std::string directory);
  ~LocalContentStore() override;
  Result<std::optional<uint64_t>> size(const Digest& blob) override;
  Result<std::unique_ptr<Source>> open(const Digest& blob) override;
  Result<Fd> open_fd(const Digest& blob) override;
  bool is_known(const Digest& blob) override;
  Result<std::unique_ptr<BlobWriter>> writer(const Lease& lease) override;
  Result<bool> touch(const Digest& blob, const Lease& lease) override;
  Result<uint64_t> remove_unreferenced(const std::vector<Digest>& keep,
                                       uint64_t before = UINT64_MAX) override;
  /// Every blob that is here, by digest.
  Result<std::vector<StoredBlob>> list();
  const std::string& directory() const { return directory_; }

 private:
  struct State;
  LocalContentStore(Database& database, Leases& leases, std::string directory);
  Database& database_;
  Leases& leases_;
  std::string directory_;
  std::unique_ptr<State> state_;
};

}  // namespace kiln::oci
