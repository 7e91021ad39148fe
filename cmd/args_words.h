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

/// Flags of docker's that make no difference here; --help does not list them.
void add_ignored(CLI::App& command, const std::vector<std::string>& flags);

}  // namespace kiln::cmd
