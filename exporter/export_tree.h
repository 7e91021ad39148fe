// The trees that an output of files is written from: one for the only platform, one below a
// directory for each platform, or several that go into one another.
#pragma once

#include "base/fs.h"
#include "base/io.h"
#include "exporter/exporter.h"
#include "snapshotter/mount.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

namespace kiln {

/// One platform's tree, mounted for as long as this lives.
class ExportTree {
 public:
  enum class Place : uint8_t {
    kTop,        // the tree itself
    kDirectory,  // below a directory that is called as the platform, "linux_arm_v7"
  };
  static Result<ExportTree> open(const PlatformResult& platform, Place place,
                                 ExportContext& context, const std::stop_token& stop);
  ExportTree(ExportTree&&) = default;

  const Root& root() const { return only_ ? only_->root() : *root_; }
  const Platform& platform() const { return platform_; }
  std::optional<int64_t> epoch() const { return epoch_; }

 private:
  explicit ExportTree(const PlatformResult& platform)
      : platform_(platform.platform), epoch_(platform.source_date_epoch) {}
  Status make_directory(ExportContext& context);
  Status mount_below(const PlatformResult& platform, ExportContext& context,
                     const std::stop_token& stop);

  Platform platform_;
  std::optional<int64_t> epoch_;
  // In the order in which they depend on each other: what is mounted goes first.
  std::unique_ptr<TempDir> directory_;
  std::unique_ptr<SnapshotView> view_;
  std::unique_ptr<MountPoint> mount_;
  std::unique_ptr<MountedTree> only_;
  std::unique_ptr<Root> root_;
};

/// The trees of all platforms, in the order in which they are written: by the names of their
/// directories if they have some, else as the platforms are given. `split` nullopt: they have if
/// there are several. kInvalidArgument: trees that go into one another have a path in common that
/// is not a directory in both.
Result<std::vector<ExportTree>> open_export_trees(const ExportInput& input,
                                                  const std::optional<bool>& split,
                                                  ExportContext& context,
                                                  const std::stop_token& stop);

}  // namespace kiln
