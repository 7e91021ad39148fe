// Which processes are at work on a root, and since when. A lease has a sequence number, unique and
// growing in a root; its holder keeps a flock on run/leases/<number>, so a killed process's lease
// ends with it. Whatever a lease makes or uses is stamped with the lease's number (column
// used_seq). Pruning may take only rows with used_seq below the oldest live lease: a build that
// found a row has stamped it in the same transaction, so the row is either kept or was never found.
#pragma once

#include "base/database.h"
#include "base/fs.h"

#include <cstdint>
#include <memory>
#include <string>

namespace kiln::oci {

class Lease {
 public:
  uint64_t sequence() const { return sequence_; }
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

 private:
  friend class Leases;
  Lease(uint64_t sequence, std::string path, FileLock lock);
  uint64_t sequence_;
  std::string path_;
  FileLock lock_;
};

class Leases {
 public:
  /// `directory` is made if absent. Files of dead holders are removed on the way.
  static Result<std::unique_ptr<Leases>> open(Database& database, std::string directory);
  Result<std::unique_ptr<Lease>> acquire();
  /// The smallest sequence number of a live lease; the next unused one if there is none. Call it
  /// inside the write transaction that uses the answer.
  Result<uint64_t> oldest_live();

 private:
  Leases(Database& database, std::string directory);
  Database& database_;
  std::string directory_;
};

}  // namespace kiln::oci
