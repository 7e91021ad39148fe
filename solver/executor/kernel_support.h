// What this machine's kernel runs without an emulator. That a processor could is not enough: 32-bit
// programs are a choice of the kernel and of how it was booted (ia32_emulation=0, confidential
// guests), and the one sure way to know is to run one.
#pragma once

#include <string_view>

namespace kiln {

/// `architecture` as in OCI platforms. 386 on amd64 is tried once, with a program of 93 bytes; in
/// doubt the answer is yes. Thread-safe.
bool kernel_runs(std::string_view architecture);

}  // namespace kiln
