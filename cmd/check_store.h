// Looks whether a root is what its records say: the database, every blob's bytes, and that images,
// snapshots and cache records lead to something.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "cmd/engine.h"

namespace kiln::cmd {

struct StoreCheck {
  uint64_t blobs = 0, bytes = 0;  // read and hashed
  size_t problems = 0;
  size_t repaired = 0;  // nothing leads there any more: the next build makes it anew
};
enum class RepairStore : uint8_t { kNo, kYes };

/// `tell` hears of every problem, in one line. Builds may run meanwhile. A damaged blob is moved to
/// quarantine whoever meets it; images that miss content are told of and kept: pulling or building
/// them again makes them whole. An Engine of Need::kBuild. Blocks; kCancelled.
Result<StoreCheck> check_store(Engine& engine, RepairStore repair,
                               const std::function<void(const std::string&)>& tell,
                               const std::stop_token& stop);

}  // namespace kiln::cmd
