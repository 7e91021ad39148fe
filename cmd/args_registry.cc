#include "cmd/args_registry.h"

#include <CLI/CLI.hpp>

namespace kiln::cmd {

void add_registry_commands(CLI::App& app, RegistryOptions& options,
                           std::optional<Command>& chosen) {
  CLI::App& push = *app.add_subcommand("push", "Send an image to its registry");
  push.add_option("reference", options.push.reference, "Image, NAME[:TAG]")->required();
  push.add_flag("-a,--all-tags", options.push.all_tags, "All tags of the name");
  push.add_option("--platform", options.push.platform, "Only the image for this platform");
  push.add_flag("-q,--quiet", options.push.quiet, "Print the name only");
  push.callback([&] { chosen = options.push; });

  CLI::App& pull = *app.add_subcommand("pull", "Fetch an image from its registry");
  pull.add_option("reference", options.pull.reference, "Image, NAME[:TAG|@DIGEST]")->required();
  pull.add_flag("-a,--all-tags", options.pull.all_tags, "All tags of the name");
  pull.add_option("--platform", options.pull.platform, "The image for this platform");
  pull.add_flag("-q,--quiet", options.pull.quiet, "Print the name only");
  pull.callback([&] { chosen = options.pull; });

  CLI::App& login = *app.add_subcommand("login", "Check and keep the credentials for a registry");
  login.add_option("server", options.login.server, "Registry (default: Docker Hub)");
  login.add_option("-u,--username", options.login.username, "User name");
  login.add_option("-p,--password", options.login.password,
                   "Password or token; --password-stdin does not show it to others");
  login.add_flag("--password-stdin", options.login.password_stdin,
                 "Read the password from standard input");
  login.callback([&] { chosen = options.login; });

  CLI::App& logout = *app.add_subcommand("logout", "Forget the credentials for a registry");
  logout.add_option("server", options.logout.server, "Registry (default: Docker Hub)");
  logout.callback([&] { chosen = options.logout; });
}

}  // namespace kiln::cmd
