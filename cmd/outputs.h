// -o, --push, --load and -t to exporters (CLI.md B.2).
#pragma once

#include "cmd/options.h"
#include "exporter/exporter.h"
#include "solver/ops/ops.h"

#include <memory>
#include <vector>

namespace kiln::cmd {

struct OutputPlan {
  std::vector<std::unique_ptr<Exporter>>
      exporters;                        // in the order given; empty: only the cache is filled
  oci::CompressionOptions compression;  // of the first output that has layers
  PackTargets pack_targets = PackTargets::kNo;  // every output takes layers
  bool writes_to_stdout = false;
  bool makes_image = false;
  bool sends_image = false;     // to a registry or into an archive
  bool rewrites_times = false;  // of an image's layers
};

/// kInvalidArgument with did-you-mean: unknown type or option, bad value, two outputs to one place,
/// a tag that is no reference. kUnimplemented: types and options that kiln does not have (estargz,
/// …).
Result<OutputPlan> plan_outputs(const BuildOptions& options);

}  // namespace kiln::cmd
