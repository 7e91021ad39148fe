// Parser directives: the "# key=value" lines at the very top of a Dockerfile (DOCKERFILE.md A.0).
#pragma once

#include "base/result.h"
#include "frontend/ast.h"

#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace kiln::dockerfile {

/// What editors may put before the text; it is no part of it.
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Reads lines from the top; the first that is not a known directive ends it for good.
class DirectiveReader {
 public:
  explicit DirectiveReader(std::string_view comment = "#") : comment_(comment) {}

  struct Found {
    std::string key;    // lower-case: "syntax", "escape" or "check"
    std::string value;  // trimmed, never ""
  };
  /// nullopt: no directive. kInvalidArgument: "only one <key> parser directive can be used";
  /// reading goes on.
  Result<std::optional<Found>> read(std::string_view line);
  bool done() const { return done_; }

 private:
  std::string comment_;
  std::set<std::string> seen_;
  bool done_ = false;
};

/// "key = value" as directives and check comments have it: a letter, then letters and digits, "=",
/// something. The key is lower-cased, both are trimmed.
std::optional<DirectiveReader::Found> split_directive(std::string_view text);

/// The frontend that a file asks for: "# syntax=", also after a "#!" line, "// syntax=", or a JSON
/// object's "syntax".
std::optional<Directive> detect_syntax(std::string_view text);

/// "# check=" at the top, also after a "#!" line.
std::optional<Directive> detect_check(std::string_view text);

}  // namespace kiln::dockerfile
