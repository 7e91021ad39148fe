// What a tree of files takes on the disk.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace kiln {

/// st_blocks of everything below, in bytes; a file with several names counts once.
Result<uint64_t> disk_usage(const std::string& directory);

}  // namespace kiln
