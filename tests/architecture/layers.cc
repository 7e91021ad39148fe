#include "tests/architecture/layers.h"

#include <algorithm>

namespace kiln {

const std::vector<Layer>& layers() {
  static const std::vector<Layer> kLayers = {
      {"base", {}},
      {"oci", {"base"}},
      {"llb", {"base"}},
      {"frontend", {"base", "llb", "oci/base64.h", "oci/reference.h", "oci/image.h"}},
      {"snapshotter", {"base", "oci"}},
      {"cache", {"base", "oci"}},
      {"cache/server", {"base", "oci", "cache"}},
      {"solver/executor", {"base", "llb", "snapshotter/types.h"}},
      {"solver", {"base", "llb", "cache", "snapshotter/types.h"}},
      {"solver/ops", {"base", "oci", "llb", "snapshotter", "cache", "solver"}},
      {"solver/sources", {"base", "oci", "llb", "snapshotter", "cache", "solver"}},
      {"exporter",
       {"base", "oci", "llb", "snapshotter", "cache", "solver/operation.h", "solver/solver.h",
        "solver/ops/snapshot_ref.h", "solver/ops/tree_ref.h"}},
      {"cmd", {"base", "oci", "llb", "frontend", "snapshotter", "cache", "solver", "exporter"}},
      {"tests",
       {"base", "oci", "llb", "frontend", "snapshotter", "cache", "solver", "exporter", "cmd"}},
      {"bench", {"base", "oci", "llb", "frontend", "snapshotter", "cache", "solver", "exporter"}},
  };
  return kLayers;
}

bool is_below(const std::string& path, const std::string& folder_or_file) {
  return path == folder_or_file || path.starts_with(folder_or_file + "/");
}

bool is_below_any(const std::string& path, const Names& places) {
  return std::any_of(places.begin(), places.end(),
                     [&](const std::string& place) { return is_below(path, place); });
}

const Layer* layer_of(const std::string& path) {
  const Layer* best = nullptr;
  for (const Layer& layer : layers())
    if (is_below(path, layer.folder) &&
        (best == nullptr || layer.folder.size() > best->folder.size()))
      best = &layer;
  return best;
}

}  // namespace kiln
