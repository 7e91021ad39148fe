// What a whole selection of files hashed to, by what one stat of each of them showed. With it a
// rebuild of an unchanged context costs its walk and nothing for each file.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/guarded.h"

namespace kiln::internal {

/// At most kMost selections, the last used first, in one small file (FORMAT.md, "Selections"). A
/// torn or foreign file is an empty memo. Thread-safe.
class SelectionMemo {
 public:
  struct Known {
    Digest digest;
    uint64_t files = 0;  // that were selected
  };
  static constexpr size_t kMost = 64;

  explicit SelectionMemo(std::string file);
  std::optional<Known> find(const Digest& key);
  void insert(const Digest& key, const Known& known);
  /// The files of all selections that were found since it was opened.
  uint64_t files_found();
  /// Replaces the file if anything was inserted; not synced: it is only a cache.
  Status save();

 private:
  struct Record {
    std::array<std::byte, Digest::kBytes> key, digest;
    uint64_t files;
  };
  struct Header {
    uint64_t magic, count, checksum;  // of the records
  };
  struct State {
    std::vector<Record> records;
    uint64_t files_found = 0;
    bool changed = false;
  };
  static std::vector<Record> read(const std::string& file);

  const std::string file_;
  Guarded<State> state_;
};

}  // namespace kiln::internal
