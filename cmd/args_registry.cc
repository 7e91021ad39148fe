#include "cmd/args_registry.h"

#include <CLI/CLI.hpp>

#include "cmd/args_words.h"

namespace kiln::cmd {
namespace {

// One value an option: `-t a -t b`, never `-t a b`.
void add_each(CLI::App& command, const std::string& names, std::vector<std::string>& values,
              const std::string& text) {
  command.add_option(names, values, text)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

void add_imagetools(CLI::App& app, RegistryOptions& options, std::optional<Command>& chosen) {
  CLI::App& tools =
      *app.add_subcommand("imagetools", "Work on images in registries")->require_subcommand(1);
  CLI::App& inspect = *tools.add_subcommand("inspect", "Show what an image in a registry is");
  ImagetoolsInspectOptions& i = options.inspect;
  inspect.add_option("reference", i.reference, "Image, NAME[:TAG|@DIGEST]")->required();
  inspect.add_flag("--raw", i.raw, "The manifest or index, byte for byte");
  inspect.add_option("--format", i.format, "TEMPLATE over .Name, .Manifest and .Image");
  inspect.callback([&] { chosen = options.inspect; });

  CLI::App& create =
      *tools.add_subcommand("create", "Make an index of images that are in registries");
  ImagetoolsCreateOptions& c = options.create;
  create.add_option("source", c.sources, "Images, digests, or descriptors as JSON");
  add_each(create, "-f,--file", c.files, "Read a source from a file");
  add_each(create, "-t,--tag", c.tags, "Name of the index; may be repeated");
  add_each(create, "--annotation", c.annotations,
           "NAME=VALUE of the index, or manifest-descriptor[PLATFORM]:NAME=VALUE of its entries");
  add_each(create, "-p,--platform", c.platforms, "Only what is for this platform");
  create.add_flag("--append", c.append, "Add to what the first --tag names");
  create.add_flag("--dry-run", c.dry_run, "Show the index and change nothing");
  create.add_flag("--prefer-index,!--no-prefer-index", c.prefer_index,
                  "Make an index also of a single image (default)");
  create.add_option("--metadata-file", c.metadata_file, "Write what was made as JSON to a file")
      ->type_name("FILE");
  create.callback([&] { chosen = options.create; });
  for (CLI::App* command : tools.get_subcommands({})) command->fallthrough();
}

}  // namespace

void add_registry_commands(CLI::App& app, RegistryOptions& options,
                           std::optional<Command>& chosen) {
  CLI::App& push = *app.add_subcommand("push", "Send an image to its registry");
  add_ignored(push, {"--disable-content-trust"});
  push.add_option("reference", options.push.reference, "Image, NAME[:TAG]")->required();
  push.add_flag("-a,--all-tags", options.push.all_tags, "All tags of the name");
  push.add_option("--platform", options.push.platform, "Only the image for this platform");
  push.add_flag("-q,--quiet", options.push.quiet, "Print the name only");
  push.callback([&] { chosen = options.push; });

  CLI::App& pull = *app.add_subcommand("pull", "Fetch an image from its registry");
  add_ignored(pull, {"--disable-content-trust"});
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
  add_imagetools(app, options, chosen);
}

}  // namespace kiln::cmd
