// Looks whether a registry's storage is what it says: every blob's bytes, and that every name leads
// to something.
#pragma once

#include "base/result.h"
#include "cache/server/storage.h"

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

namespace kiln::server {

enum class Repair : uint8_t { kNo, kYes };

struct FsckReport {
  uint64_t blobs = 0, bytes = 0;  // read and hashed
  size_t problems = 0;
  size_t repaired = 0;  // damaged blobs are in quarantine, what led nowhere is gone
};

/// `tell` hears of every problem and what to do about it, in one line. A manifest whose layers are
/// gone is told of and kept: pushing them again makes it whole. Where several processes share a
/// storage they may go on: what they make or remove meanwhile is no problem. Only a tag or manifest
/// that is pushed in the moment in which a repair takes away a broken one of that name may go too.
/// kFailedPrecondition: a repair, and another process is collecting garbage. kCancelled.
Result<FsckReport> check_storage(BlobStorage& storage, Repair repair,
                                 const std::function<void(const std::string&)>& tell,
                                 const std::stop_token& stop);

}  // namespace kiln::server
