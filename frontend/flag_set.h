// The flags of one instruction, judged: which exist, which take a value, which may repeat
// (DOCKERFILE.md A.0, "Instruction flags").
#pragma once

#include "base/result.h"
#include "frontend/ast.h"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

enum class FlagKind : uint8_t {
  kBool,    // "--x", "--x=true", "--x=false"
  kString,  // "--x=value", once
  kList,    // "--x=value", any number of times
};
struct FlagSpec {
  std::string_view name;
  FlagKind kind;
};

class FlagSet {
 public:
  /// kInvalidArgument: "unknown flag: --x (did you mean y?)", "duplicate flag specified: --x",
  /// "missing a value on flag:
  /// --x", "expecting boolean value for flag --x, not: v".
  static Result<FlagSet> judge(const std::vector<Flag>& flags, std::span<const FlagSpec> specs);

  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
  std::string text(std::string_view name) const;  // "" if absent; the last value of a list
  bool is_true(std::string_view name) const { return text(name) == "true"; }
  std::vector<std::string> list(std::string_view name) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

}  // namespace kiln::dockerfile
