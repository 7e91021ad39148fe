// The few questions that a directory of records asks its file system.
#pragma once

#include "base/result.h"
#include "cache/server/storage.h"

#include <sys/stat.h>

#include <string>
#include <vector>

namespace kiln::server {

/// Sorted, without those that begin with "."; none if the directory is not there.
Result<std::vector<std::string>> names_in(const std::string& directory);
/// Sets its time to now; kNotFound.
Status touch_file(const std::string& path);
TimePoint touched_at(const struct stat& st);

}  // namespace kiln::server
