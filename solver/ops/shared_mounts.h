// Cache mounts that other machines have, too.
#pragma once

#include <stop_token>
#include <string>

namespace kiln {

/// Thread-safe.
class SharedMounts {
 public:
  virtual ~SharedMounts() = default;
  enum class Filled : uint8_t { kNo, kPartly, kYes };
  /// Puts into the empty directory `path` what others have of the mount `id`; kPartly: it did not
  /// come whole. Blocks, but never for long.
  virtual Filled fill(const std::string& id, const std::string& path, std::stop_token stop) = 0;
  /// A step of this build has the mount.
  virtual void on_use(const std::string& id) = 0;
};

}  // namespace kiln
