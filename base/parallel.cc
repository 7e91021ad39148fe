#include "base/parallel.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <vector>

namespace kiln {

Status for_each_at_once(size_t count, size_t at_once, const std::function<Status(size_t)>& each) {
  std::vector<std::optional<Error>> errors(count);
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  const auto work = [&] {
    for (size_t i = next++; i < count && !failed; i = next++) {
      Status done = each(i);
      if (done) continue;
      errors[i] = std::move(done).error();
      failed = true;
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (size_t i = 1; i < std::min(count, at_once); ++i) helpers.emplace_back(work);
    work();
  }
  for (const std::optional<Error>& error : errors)
    if (error) return tl::unexpected(*error);
  return {};
}

}  // namespace kiln
