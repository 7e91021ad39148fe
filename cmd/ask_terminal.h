// Questions to who sits at the terminal.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <stop_token>
#include <string>

namespace kiln::cmd {

enum class Echo : uint8_t { kNo, kYes };

/// Prints `prompt` on stderr and reads a line from standard input, without its end.
/// kFailedPrecondition: standard input is no terminal; kCancelled.
Result<std::string> ask_terminal(const std::string& prompt, Echo echo, std::stop_token stop);

}  // namespace kiln::cmd
