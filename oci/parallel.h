// A list of blobs worked on by a few threads at once: they wait for sockets.
#pragma once

#include "base/parallel.h"

namespace kiln::oci {

inline constexpr size_t kParallelBlobs = 4;  // as BuildKit: more gain little, and registries count

/// for_each_at_once with kParallelBlobs.
inline Status for_each_blob(size_t count, const std::function<Status(size_t)>& one) {
  return for_each_at_once(count, kParallelBlobs, one);
}

}  // namespace kiln::oci
