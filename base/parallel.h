// The same for many, a few at a time: for what waits (transfers). Computing belongs on oneTBB.
#pragma once

#include <cstddef>
#include <functional>

#include "base/result.h"

namespace kiln {

/// Calls `each` with 0 … count-1 from up to `at_once` threads, the caller's among them. After a
/// failure nothing new is started; the error of the lowest number is returned. Blocks.
Status for_each_at_once(size_t count, size_t at_once, const std::function<Status(size_t)>& each);

}  // namespace kiln
