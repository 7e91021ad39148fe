#include "cmd/args_words.h"

#include <CLI/CLI.hpp>
#include <map>
#include <utility>

namespace kiln::cmd {
namespace {

using Words = std::vector<std::string>;

// Docker's other names of commands that kiln has. `image prune` is none: its --all are images.
const std::map<std::pair<std::string, std::string>, std::string>& other_names() {
  static const std::map<std::pair<std::string, std::string>, std::string> kNames = {
      {{"image", "build"}, "build"},   {{"image", "history"}, "history"},
      {{"image", "import"}, "import"}, {{"image", "inspect"}, "inspect"},
      {{"image", "list"}, "images"},   {{"image", "load"}, "load"},
      {{"image", "ls"}, "images"},     {{"image", "pull"}, "pull"},
      {{"image", "push"}, "push"},     {{"image", "remove"}, "rmi"},
      {{"image", "rm"}, "rmi"},        {{"image", "save"}, "save"},
      {{"image", "tag"}, "tag"},       {{"builder", "build"}, "build"},
      {{"builder", "prune"}, "prune"}, {{"buildx", "b"}, "build"},
      {{"buildx", "build"}, "build"},  {{"buildx", "du"}, "du"},
      {{"buildx", "prune"}, "prune"},  {{"buildx", "imagetools"}, "imagetools"},
  };
  return kNames;
}

const CLI::App* command_named(const CLI::App& app, const std::string& word) {
  const auto named = app.get_subcommands(
      std::function([&](const CLI::App* command) { return command->check_name(word); }));
  return named.empty() ? nullptr : named.front();
}

void use_own_names(const CLI::App& app, Words& words) {
  for (size_t i = 1; i + 1 < words.size(); ++i) {
    if (command_named(app, words[i]) != nullptr) return;
    const auto found = other_names().find({words[i], words[i + 1]});
    if (found == other_names().end()) continue;
    words[i] = found->second;
    words.erase(words.begin() + static_cast<ptrdiff_t>(i) + 1);
    return;
  }
}

// "-f=FILE" is "-f FILE" to docker's clients, and "-q=true" is "-q"; to CLI11 the value is "=FILE",
// and the flag another option. By its long name both mean the same to everybody.
void use_long_names(const CLI::App& app, Words& words) {
  const CLI::App* command = &app;
  for (size_t i = 1; i < words.size() && words[i] != "--"; ++i) {
    std::string& word = words[i];
    if (const CLI::App* const below = command_named(*command, word)) command = below;
    if (word.size() < 3 || word[0] != '-' || word[1] == '-' || word[2] != '=') continue;
    const CLI::Option* option = command->get_option_no_throw(word.substr(0, 2));
    if (option == nullptr) option = app.get_option_no_throw(word.substr(0, 2));
    if (option == nullptr || option->get_lnames().empty()) continue;
    word = "--" + option->get_lnames().front() + word.substr(2);
  }
}

// CLI11 takes the next word as the value of "--target=", which scripts write for an empty variable.
Words with_empty_values(const Words& given) {
  Words words;
  for (const std::string& word : given) {
    const bool empty_value =
        word.starts_with("--") && word.size() > 3 && word.find('=') == word.size() - 1;
    words.push_back(empty_value ? word.substr(0, word.size() - 1) : word);
    if (empty_value) words.emplace_back();
  }
  return words;
}

}  // namespace

std::vector<std::string> plain_words(const CLI::App& app, std::vector<std::string> words) {
  use_own_names(app, words);
  use_long_names(app, words);
  return with_empty_values(words);
}

void add_ignored(CLI::App& command, const std::vector<std::string>& flags) {
  for (const std::string& flag : flags) command.add_flag(flag)->group("");
}

}  // namespace kiln::cmd
