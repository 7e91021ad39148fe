// Names of Linux signals, as STOPSIGNAL takes them.
#pragma once

#include "base/result.h"

#include <string>

namespace kiln::frontend {

/// "SIGTERM", "term", "15", "SIGRTMIN+3". kInvalidArgument, with did-you-mean.
Status check_stop_signal(const std::string& text);

}  // namespace kiln::frontend
