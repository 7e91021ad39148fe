// `kiln pull`.
#include <atomic>
#include <cstdio>

#include "base/strings.h"
#include "cmd/commands.h"
#include "cmd/layer_lines.h"
#include "cmd/registries.h"
#include "oci/image.h"
#include "oci/transfer.h"

namespace kiln::cmd {
namespace {

class PullCommand {
 public:
  PullCommand(const PullOptions& options, const Invocation& invocation, Engine& engine,
              Platform platform)
      : options_(options),
        invocation_(invocation),
        engine_(engine),
        platform_(std::move(platform)),
        registries_(invocation.environment) {}

  Status run(oci::Reference name) {
    KILN_TRY_ASSIGN(access_, registries_.access());
    if (!options_.all_tags) return pull(name);
    KILN_TRY_ASSIGN(const auto repository, oci::Repository::open(access_, name, invocation_.stop));
    const auto tags = repository->tags(invocation_.stop);
    if (!tags) return tl::unexpected(tags.error().wrap("list the tags of " + quote(name.name())));
    bool any_new = false;
    for (const std::string& tag : *tags) {
      name.tag = tag;
      KILN_TRY_ASSIGN(const bool is_new, pull_one(name));
      any_new = any_new || is_new;
    }
    name.tag.clear();
    say_end(name, any_new);
    return {};
  }

 private:
  void say(const std::string& text) const {
    // A closed standard output shows in the shell, not here.
    if (!options_.quiet) (void)std::fputs(text.c_str(), stdout);
  }

  void say_end(const oci::Reference& name, bool is_new) const {
    say(std::string("Status: ") +
        (is_new ? "Downloaded newer image for " : "Image is up to date for ") + name.familiar() +
        "\n");
    (void)std::printf("%s\n", name.to_string().c_str());  // as above
  }

  Status pull(const oci::Reference& name) {
    KILN_TRY_ASSIGN(const bool is_new, pull_one(name));
    say_end(name, is_new);
    return {};
  }

  /// Whether it is another image than the name had here.
  Result<bool> pull_one(const oci::Reference& name) {
    KILN_TRY_ASSIGN(const auto before, engine_.images().find(name));
    // Without the registry's own name, as docker says it.
    say((name.digest ? name.to_string() : name.tag) + ": Pulling from " + name.path + "\n");
    std::atomic<bool> fetched = false;
    KILN_TRY_ASSIGN(const oci::Descriptor image, fetch(name, fetched));
    KILN_TRY(engine_.images().tag(name, image));
    say("Digest: " + image.digest.to_string() + "\n");
    return fetched || !before || before->descriptor.digest != image.digest;
  }

  Result<oci::Descriptor> fetch(const oci::Reference& name, std::atomic<bool>& fetched) {
    LayerLines lines(line_style(options_.quiet), stdout);
    oci::PullEvents events;
    events.on_transfer = [&](const oci::Descriptor& blob, uint64_t done) {
      fetched = true;
      if (!oci::is_layer(blob.media_type)) return;
      lines.progress(blob, "Downloading", done);
    };
    events.on_done = [&](const oci::Descriptor& blob, oci::Arrival how) {
      if (!oci::is_layer(blob.media_type)) return;
      lines.end(blob, how == oci::Arrival::kHere ? "Already exists" : "Pull complete");
    };
    return oci::pull_image(access_, engine_.content(), engine_.lease(), name, platform_, events,
                           invocation_.stop);
  }

  const PullOptions& options_;
  const Invocation& invocation_;
  Engine& engine_;
  const Platform platform_;
  Registries registries_;
  oci::RegistryAccess access_;
};

}  // namespace

CommandResult run_pull(const PullOptions& options, const Invocation& invocation) {
  const Result<oci::Reference> name = oci::Reference::parse(options.reference);
  if (!name) return usage_failure(name.error());
  const bool named = oci::has_tag(options.reference) || name->digest;
  if (options.all_tags && named)
    return usage_failure(Error(Code::kInvalidArgument, "tag can't be used with --all-tags/-a"));
  const Result<Platform> platform = options.platform.empty() ? Result<Platform>(Platform::host())
                                                             : Platform::parse(options.platform);
  if (!platform)
    return usage_failure(platform.error().wrap("--platform " + quote(options.platform)));
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  if (!named && !options.all_tags && !options.quiet)
    (void)std::puts("Using default tag: latest");  // as in PullCommand::say
  KILN_CMD_TRY(PullCommand(options, invocation, *engine, *platform).run(*name));
  return {};
}

}  // namespace kiln::cmd
