// What of a file op enters its cache key (docs/cache-keys.md).
#pragma once

#include <vector>

#include "solver/ops/ops.h"

namespace kiln {

/// How the vertex's inputs are used.
struct FileInputUse {
  bool is_base = false;                        // some action changes it: all of it matters
  std::vector<const llb::CopyAction*> copies;  // that read it
  bool has_accounts = false;                   // names of owners are looked up in it
};
std::vector<FileInputUse> input_uses(const llb::FileOp& op, size_t inputs);

KeyFields file_key(const llb::FileOp& op, std::optional<int64_t> source_date_epoch);

}  // namespace kiln
