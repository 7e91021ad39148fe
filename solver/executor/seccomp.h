// The default seccomp filter in the two forms that runtimes take: as runtime-spec "linux.seccomp"
// (config-linux.md, "Seccomp"), and compiled. Compiling takes several milliseconds; a runtime that
// takes the compiled form need not repeat it for each step.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace kiln {

/// Pure. `architecture`: as in OCI platforms.
Json seccomp_spec(std::string_view architecture);

/// The filter for this machine as the kernel takes it: an array of struct sock_filter.
/// kUnimplemented if libseccomp does not know the machine.
Result<std::string> compile_seccomp();

}  // namespace kiln
