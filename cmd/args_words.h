// A command line's words as CLI11 understands them: what docker's clients take and it does not.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace kiln::cmd {

/// "image ls" becomes "images" and so on; "-f=x" and "-q=true" the long names; "--target=" an
/// option with an empty value. What stands behind "--" stays.
std::vector<std::string> plain_words(const CLI::App& app, std::vector<std::string> words);

}  // namespace kiln::cmd
