// Mount points that a root file system lacks. A runtime would create them and leave them in the
// layer; here they are made before it runs and removed afterwards, with the times of their parents
// as they were (DOCKERFILE.md A.4). Everything goes through Root, so that a symlink of the image
// leads nowhere outside.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/fs.h"
#include "base/result.h"

namespace kiln {

class MountStubs {
 public:
  enum class Kind : uint8_t { kDirectory, kFile };
  /// Parents that had to be made: gone with the stub, or left to the layer as BuildKit did before
  /// it had ExecMeta::remove_mount_stubs_recursive.
  enum class Parents : uint8_t { kRemove, kKeep };

  explicit MountStubs(const Root& rootfs) : rootfs_(rootfs) {}
  MountStubs(const MountStubs&) = delete;
  MountStubs& operator=(const MountStubs&) = delete;
  ~MountStubs();  // removes; errors are ignored

  /// Makes what is missing of `target` and returns where it truly is: absolute, without symlinks.
  /// kInvalidArgument: something that is not a directory is in the way.
  Result<std::string> add(const std::string& target, Kind kind, Parents parents);
  /// Removes what is still as it was made, in reverse order. The first error, but all are tried.
  Status remove();

 private:
  struct Stub {
    Fd parent;  // O_PATH
    std::string name;
    struct stat made {};
  };
  Result<Fd> make_one(const Fd& parent, const std::string& name, Kind kind, Parents keep);
  static Status remove_one(const Stub& stub);

  const Root& rootfs_;
  std::vector<Stub> stubs_;
};

}  // namespace kiln
