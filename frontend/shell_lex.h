// Variable expansion and word splitting as the builder does it (DOCKERFILE.md A.0, "Variable
// expansion"): a small relative of a shell's word expansion, not a shell. Pure: no process
// environment, no files. What is expanded where is the converter's business; RUN's text never comes
// here.
#pragma once

#include "base/result.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

/// The value of a variable; nullopt: unset. The view must live until expand() returns.
using EnvLookup = std::function<std::optional<std::string_view>(std::string_view name)>;

enum class Quotes : uint8_t {
  kRemove,   // quotes group and vanish: the usual case
  kKeep,     // quotes group and stay in the result: heredoc words
  kLiteral,  // quotes are ordinary characters: heredoc bodies of COPY and ADD
};
enum class Escapes : uint8_t {
  kRemove,
  kKeep
};  // is the escape character dropped once it has acted?
enum class Unset : uint8_t {
  kEmpty,
  kKeep
};  // an unset variable: nothing, or its reference as written
enum class Split : uint8_t { kNo, kYes };  // fill Expansion::words?

struct ExpandOptions {
  char escape = '\\';
  Quotes quotes = Quotes::kRemove;
  Escapes escapes = Escapes::kRemove;
  Unset unset = Unset::kEmpty;
  Split split = Split::kNo;
};

struct Expansion {
  std::string text;
  std::vector<std::string> words;  // Split::kYes: `text` split at unquoted blanks, after expansion
  std::vector<std::string> used;   // variables that were set, sorted, once each
  std::vector<std::string> undefined;  // variables that were read and unset, sorted, once each;
                                       // "${v:-w}" and its kin ask for it and do not count
};

/// kInvalidArgument with the texts of A.0: "syntax error: bad substitution", "unsupported modifier
/// (:=) in substitution", "v: msg" of ${v:?msg}, ... wrapped as `failed to process "<word>": `.
/// Linear in the word but for the pattern operators, which are O(pattern × value). Nesting deeper
/// than 100 is kInvalidArgument.
Result<Expansion> expand(std::string_view word, const EnvLookup& env,
                         const ExpandOptions& options = {});

}  // namespace kiln::dockerfile
