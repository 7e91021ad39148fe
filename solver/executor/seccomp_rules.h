// The system calls that a sandbox may use, as data: equal in effect to Docker's default profile for
// Docker's default capabilities. What is not named here answers ENOSYS, so that programs fall back
// from calls newer than the list; what Docker refuses by name answers EPERM.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace kiln {

enum class SeccompOp : uint8_t { kEqual, kLess, kGreater, kMaskedEqual };
struct SeccompArgument {
  unsigned index = 0;
  SeccompOp op = SeccompOp::kEqual;
  uint64_t value = 0;      // kMaskedEqual: the mask
  uint64_t value_two = 0;  // kMaskedEqual: what the masked argument must be
};
enum class SeccompVerdict : uint8_t { kAllow, kRefuse };  // kRefuse: EPERM
/// Applies if every argument matches. One comparison an argument: libseccomp's limit.
struct SeccompRule {
  std::vector<std::string_view> names;
  SeccompVerdict verdict = SeccompVerdict::kAllow;
  std::vector<SeccompArgument> arguments;
};

/// `architecture`: as in OCI platforms ("amd64"). Names unknown to a kernel or library are skipped
/// by whoever compiles the rules.
std::vector<SeccompRule> default_seccomp_rules(std::string_view architecture);

}  // namespace kiln
