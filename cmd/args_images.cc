#include "cmd/args_images.h"

#include <CLI/CLI.hpp>

#include "cmd/args_errors.h"

namespace kiln::cmd {
namespace {

void add_lists(CLI::App& app, ImageCommandOptions& o, std::optional<Command>& chosen) {
  CLI::App& images = *app.add_subcommand("images", "List images");
  images.add_option("reference", o.images.references, "Only these names");
  images.add_flag("-a,--all", o.images.all,
                  "Accepted for docker's sake: there are no intermediate images");
  images.add_flag("-q,--quiet", o.images.quiet, "Image IDs only");
  images.add_flag("--no-trunc", o.images.no_trunc, "Do not shorten IDs");
  images.add_flag("--digests", o.images.digests, "Show manifest digests");
  images
      .add_option("-f,--filter", o.images.filters,
                  "dangling=true|false, label=NAME[=VALUE], before=IMAGE, since=IMAGE, "
                  "reference=PATTERN")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  images.add_option("--format", o.images.format, "json, table, table TEMPLATE, or TEMPLATE");
  images.add_flag("--tree", o.images.tree, "Show the platforms of images");
  images.callback([&] { chosen = o.images; });

  CLI::App& inspect = *app.add_subcommand("inspect", "Show what images are, as JSON");
  inspect.add_option("reference", o.inspect.references, "Images")->required();
  inspect.add_option("-f,--format", o.inspect.format, "json, or TEMPLATE");
  inspect.add_option("--type", o.inspect.type, "image")->check([](const std::string& word) {
    return not_among(word, {"image"});
  });
  inspect.add_flag("-s,--size")->description("Accepted for docker's sake: sizes are shown");
  inspect.add_option("--platform", o.inspect.platform, "The image for this platform");
  inspect.callback([&] { chosen = o.inspect; });

  CLI::App& history = *app.add_subcommand("history", "Show the steps that an image was made by");
  history.add_option("reference", o.history.reference, "Image")->required();
  history.add_flag("-q,--quiet", o.history.quiet, "Image IDs only");
  history.add_flag("--no-trunc", o.history.no_trunc, "Do not shorten");
  history.add_option("--format", o.history.format, "json, table, table TEMPLATE, or TEMPLATE");
  history.add_flag("-H,--human,!--no-human", o.history.human,
                   "Sizes and times for people (default); --human=false: bytes and dates");
  history.add_option("--platform", o.history.platform, "The image for this platform");
  history.callback([&] { chosen = o.history; });
}

void add_archives(CLI::App& app, ImageCommandOptions& o, std::optional<Command>& chosen) {
  CLI::App& import =
      *app.add_subcommand("import", "Make an image of one layer from a tar of a root file system");
  import.add_option("file", o.import.file, "Tar, compressed or not; -: standard input")->required();
  import.add_option("reference", o.import.reference, "Name of the image");
  import.add_option("-m,--message", o.import.message, "Comment in the history");
  import
      .add_option("-c,--change", o.import.changes,
                  "Dockerfile instruction to apply to the config: CMD, ENV, …")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  import.add_option("--platform", o.import.platform, "Platform of the files");
  import.callback([&] { chosen = o.import;
});

CLI::App& save = *app.add_subcommand("save", "Write images to an archive");
save.add_option("reference", o.save.references, "Images")->required();
save.add_option("-o,--output", o.save.output, "File (default: standard output)");
save.add_option("--format", o.save.format, "docker or oci")->check([](const std::string& word) {
  return not_among(word, {"docker", "oci"});
});
save.add_option("--platform", o.save.platform, "Only the image for this platform");
save.callback([&] { chosen = o.save; });

CLI::App& load =
    *app.add_subcommand("load", "Read images from an archive (docker save, OCI layout)");
load.add_option("-i,--input", o.load.input, "File (default: standard input)");
load.add_flag("-q,--quiet", o.load.quiet,
              "Accepted for docker's sake: there is no progress to hide");
load.callback([&] { chosen = o.load; });
}  // namespace

void add_names(CLI::App& app, ImageCommandOptions& o, std::optional<Command>& chosen) {
  CLI::App& tag = *app.add_subcommand("tag", "Give an image another name");
  tag.add_option("source", o.tag.source, "Image")->required();
  tag.add_option("target", o.tag.target, "New name")->required();
  tag.callback([&] { chosen = o.tag; });

  CLI::App& rmi = *app.add_subcommand("rmi", "Remove images");
  rmi.add_option("reference", o.rmi.references, "Images")->required();
  rmi.add_flag("-f,--force", o.rmi.force, "Also an image with several names");
  rmi.add_flag("--no-prune", o.rmi.no_prune,
               "Accepted for docker's sake: data goes with `kiln prune`");
  rmi.callback([&] { chosen = o.rmi; });
}

// One value an option: `--filter a --filter b`, never `--filter a b`.
CLI::Option* add_filters(CLI::App& command, const std::string& names,
                         std::vector<std::string>& filters, const std::string& text) {
  return command.add_option(names, filters, text)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

void add_storage(CLI::App& app, ImageCommandOptions& o, std::optional<Command>& chosen) {
  CLI::App& prune = *app.add_subcommand("prune", "Remove what no image and no cached step needs");
  prune.add_flag("-a,--all", o.prune.all, "Also the whole build cache, and cache mounts");
  prune.add_flag("-f,--force", o.prune.force, "Accepted for docker's sake: kiln never asks");
  add_filters(prune, "--filter", o.prune.filters,
              "Only this of the build cache and of dangling images: until=24h, id=ID, type=TYPE, "
              "description~=REGEX, label=NAME[=VALUE]");
  prune.add_option("--until", o.prune.until, "The same as --filter until=")->type_name("DURATION");
  prune
      .add_option("--reserved-space,--keep-storage", o.prune.reserved_space,
                  "Build cache that may always stay; the least recently used goes first")
      ->type_name("BYTES");
  prune.add_option("--max-used-space", o.prune.max_used_space, "The most that the cache may take")
      ->type_name("BYTES");
  prune
      .add_option("--min-free-space", o.prune.min_free_space,
                  "Space that is to be free on the disk afterwards")
      ->type_name("BYTES");
  prune.callback([&] { chosen = o.prune; });

  CLI::App& du = *app.add_subcommand("du", "Show what takes space: images, cache, cache mounts");
  add_filters(du, "--filter", o.du.filters,
              "Only id=ID, type=TYPE, description~=REGEX, parents=ID, inuse, shared, private, "
              "mutable, immutable, reclaimable, label=NAME[=VALUE], until=24h; != for not");
  du.add_option("--format", o.du.format, "json, table, pretty, table TEMPLATE, or TEMPLATE");
  du.add_flag("-v,--verbose", o.du.verbose, "The same as --format=pretty");
  du.callback([&] { chosen = o.du; });
}

}  // namespace kiln::cmd

void add_image_commands(CLI::App& app, ImageCommandOptions& options,
                        std::optional<Command>& chosen) {
  add_lists(app, options, chosen);
  add_archives(app, options, chosen);
  add_names(app, options, chosen);
  add_storage(app, options, chosen);
}

}  // namespace kiln::cmd
