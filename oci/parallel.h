// A list of blobs worked on by a few threads at once: they wait for sockets.
#pragma once

#include "base/result.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace kiln::oci {

inline constexpr size_t kParallelBlobs = 3;  // as Docker: more gain little, and registries count

/// Calls `one` with 0 to `count` - 1, from kParallelBlobs threads. After a failure no further one
/// is started; the first failure by position is returned, whichever thread met one first.
inline Status for_each_blob(size_t count, const std::function<Status(size_t)>& one) {
  std::vector<Status> results(count);
  std::atomic<size_t> next = 0;
  std::atomic<bool> failed = false;
  const auto work = [&] {
    for (size_t i = next++; i < count && !failed; i = next++) {
      results[i] = one(i);
      if (!results[i]) failed = true;
    }
  };
  {
    std::vector<std::jthread> more;
    for (size_t i = 1; i < std::min(kParallelBlobs, count); ++i) more.emplace_back(work);
    work();
  }
  for (Status& result : results) KILN_TRY(std::move(result));
  return {};
}

}  // namespace kiln::oci
