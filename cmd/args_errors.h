// What is wrong with a command line.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace kiln::cmd {

/// The innermost command that was given.
const CLI::App& given_command(const CLI::App& app);

/// What CLI11 says, in words that name the mistake and what was perhaps meant.
std::string describe_usage_error(const CLI::App& app, const CLI::ParseError& error);

/// "" if `word` is one of `words`; else what is wrong, naming a near miss.
std::string not_among(const std::string& word, const std::vector<std::string>& words);

}  // namespace kiln::cmd
