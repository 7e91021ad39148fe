// The text rules that turn a line's tokens into AST words: what quotes and escapes leave, and how a
// rest is split.
#pragma once

#include "base/result.h"
#include "frontend/ast.h"

#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

inline constexpr std::string_view kBlanks = " \t\r\n\v\f";

/// Words between kBlanks; quotes mean nothing.
std::vector<std::string> split_blanks(std::string_view text);

/// A flag's word with quotes removed and backslash escapes resolved, cut at its first "=". An open
/// quote closes at the end.
Flag decode_flag(std::string_view word);

/// The arguments of ENV and LABEL, as key, value, separator for each pair, from their words (quotes
/// kept) and the text the words were cut from. `command` names the instruction in errors: "ENV must
/// have two arguments", "Syntax error - can't find = in ...".
Result<std::vector<std::string>> key_value_args(const std::vector<std::string>& words,
                                                std::string_view text, std::string_view command);

/// A JSON string literal with its quotes, known to be lexically valid. Escaped lone surrogates
/// become U+FFFD.
std::string decode_json_string(std::string_view literal);

}  // namespace kiln::dockerfile
