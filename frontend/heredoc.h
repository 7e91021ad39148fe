// The words that open here-documents (DOCKERFILE.md A.2). Reading the bodies is the line reader's.
#pragma once

#include "frontend/ast.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::dockerfile {

/// `word` as "[fd]<<[-]NAME" with an empty body; nullopt if it is not of that form. `\` escapes in
/// it whatever the file's escape directive says.
std::optional<Heredoc> parse_heredoc_word(std::string_view word);

/// The heredocs that a logical line opens, in order. A line whose quotes do not close opens none.
std::vector<Heredoc> heredoc_words(std::string_view line);

}  // namespace kiln::dockerfile
