// What `--storage` names: a directory, or a bucket as "s3://BUCKET/PREFIX".
#pragma once

#include "base/result.h"
#include "cache/server/config.h"
#include "cache/server/storage.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace kiln::server {

bool is_bucket(std::string_view storage);

/// `facts`: for a bucket. kInvalidArgument: a name, or settings, that cannot be, or nothing is
/// there and that is refused; otherwise as directory_storage.h and s3_storage.h have it. `log`: may
/// be empty.
Result<std::unique_ptr<BlobStorage>> open_storage(const std::string& storage,
                                                  const StorageFacts& facts,
                                                  std::function<void(std::string_view)> log,
                                                  Absent absent = Absent::kMake);

/// kInvalidArgument: settings that only one server alone may have.
Status check_shared_settings(const ServerConfig& config);

}  // namespace kiln::server
