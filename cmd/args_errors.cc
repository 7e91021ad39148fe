#include "cmd/args_errors.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/strings.h"

namespace kiln::cmd {
namespace {

std::vector<std::string> names_of_commands(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* known : command.get_subcommands({})) names.push_back(known->get_name());
  return names;
}

std::string unknown_command(const CLI::App& command, const std::string& word) {
  const std::vector<std::string> names = names_of_commands(command);
  const std::string what = "unknown command " + quote(word);
  const std::string near = did_you_mean(word, names);
  return what + (near.empty() ? ": it is one of " + join(names, ", ") : near);
}

std::string unknown_option(const CLI::App& app, const CLI::App& command, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::App* from : {&command, &app})
    for (const CLI::Option* option : from->get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  const std::string name = word.substr(0, word.find('='));
  return "unknown option " + quote(name) + did_you_mean(name, names);
}

}  // namespace

const CLI::App& given_command(const CLI::App& app) {
  const std::vector<CLI::App*> given = app.get_subcommands();
  return given.empty() ? app : given_command(*given.front());
}

std::string describe_usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const bool about_words = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr ||
                           dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  if (!about_words) return error.what();
  const CLI::App& command = given_command(app);
  const std::vector<std::string> rest = app.remaining(true);
  const auto option = std::find_if(rest.begin(), rest.end(), [](const std::string& word) {
    return word.size() > 1 && word.front() == '-';
  });
  const bool lacks_command = !command.get_subcommands({}).empty() && command.get_name() != "build";
  if (option != rest.end()) return unknown_option(app, command, *option);
  if (lacks_command)
    return rest.empty() ? "a command is needed: " + join(names_of_commands(command), ", ")
                        : unknown_command(command, rest.front());
  if (!rest.empty()) return "unexpected argument " + quote(rest.front());
  return error.what();
}

std::string not_among(const std::string& word, const std::vector<std::string>& words) {
  if (std::find(words.begin(), words.end(), word) != words.end()) return {};
  return quote(word) + " is none of " + join(words, ", ") + did_you_mean(word, words);
}

}  // namespace kiln::cmd
