// Where records lie below a storage's root, be it a directory or a bucket (FORMAT.md). Names come
// here validated; a mistake elsewhere must not become a path, so all of these fail with kInternal
// for what is none.
#pragma once

#include "base/result.h"
#include "cache/server/storage.h"

#include <string>

namespace kiln::server {

Result<std::string> repository_folder(const std::string& repository);  // "repositories/a+b"
Result<std::string> record_folder(const std::string& repository, RecordKind kind,
                                  const std::string& group);
Result<std::string> record_path(const RecordKey& key);

}  // namespace kiln::server
