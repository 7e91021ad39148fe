// The command line to options, with CLI11 (its only user). Values are checked by the commands,
// which know what they mean.
#pragma once

#include "cmd/options.h"

#include <map>
#include <string>
#include <variant>

namespace kiln::cmd {

using Environment = std::map<std::string, std::string>;  // the process's, read once in main

/// Text to print, and the status to exit with: help, version, or what is wrong with the arguments.
struct Usage {
  std::string text;
  int exit_code = 0;  // 0: help was asked for; 2: wrong usage
};

std::variant<Command, Usage> parse_args(int argc, const char* const* argv,
                                        const Environment& environment);

}  // namespace kiln::cmd
