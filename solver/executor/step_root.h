// One step's hold on its root file system: everything that is resolved against the untrusted tree
// or made in it before the runtime starts, and taken out of it again afterwards.
#pragma once

#include <memory>

#include "base/fs.h"
#include "base/result.h"
#include "solver/executor/executor.h"
#include "solver/executor/mount_stubs.h"
#include "solver/executor/spec.h"

namespace kiln {

class StepRoot {
 public:
  /// Checks the tree, resolves user, working directory and mount targets, and makes mount points.
  /// Fills in what of `spec` depends on the tree. kInvalidArgument as its parts say.
  static Result<StepRoot> prepare(const ExecRequest& request, SpecInput& spec);
  /// Takes the mount points out again. Also done, errors ignored, by the destructor.
  Status clean_up() { return stubs_->remove(); }

 private:
  StepRoot(std::unique_ptr<Root> root, std::unique_ptr<MountStubs> stubs)
      : root_(std::move(root)), stubs_(std::move(stubs)) {}
  Status add_mount_points(const ExecRequest& request, SpecInput& spec);

  std::unique_ptr<Root> root_;         // on the heap: the stubs refer to it
  std::unique_ptr<MountStubs> stubs_;  // after it: removed first
};

}  // namespace kiln
