// `kiln push`.
#include <cstdio>

#include "base/strings.h"
#include "cmd/commands.h"
#include "cmd/image_lookup.h"
#include "cmd/image_pusher.h"
#include "cmd/layer_lines.h"

namespace kiln::cmd {
namespace {

class PushCommand {
 public:
  PushCommand(const PushOptions& options, const Invocation& invocation, Engine& engine)
      : options_(options),
        invocation_(invocation),
        engine_(engine),
        push_(make_pusher(engine, std::make_shared<Registries>(invocation.environment))) {}

  Status run(const oci::Reference& name) {
    std::optional<Platform> only;
    if (!options_.platform.empty()) {
      KILN_TRY_ASSIGN(only, Platform::parse(options_.platform));
    }
    KILN_TRY_ASSIGN(const std::vector<oci::StoredImage> images, images_of(name));
    say("The push refers to repository [" + name.name() + "]\n");
    for (const oci::StoredImage& image : images) {
      KILN_TRY_ASSIGN(const oci::Reference tagged, oci::Reference::parse(image.name));
      oci::Descriptor what = image.descriptor;
      if (only) {
        KILN_TRY_ASSIGN(what, manifest_for(engine_, what, *only));
      }
      KILN_TRY_ASSIGN(what, push(tagged, what));
      say(tagged.tag + ": digest: " + what.digest.to_string() +
          " size: " + std::to_string(what.size) + "\n");
      if (options_.quiet) (void)std::printf("%s\n", tagged.to_string().c_str());  // as below
    }
    return {};
  }

 private:
  void say(const std::string& text) const {
    // A closed standard output shows in the shell, not here.
    if (!options_.quiet) (void)std::fputs(text.c_str(), stdout);
  }

  Result<std::vector<oci::StoredImage>> images_of(const oci::Reference& name) {
    std::vector<oci::StoredImage> images;
    if (!options_.all_tags) {
      KILN_TRY_ASSIGN(auto found, engine_.images().find(name));
      if (found) images.push_back({name.to_string(), found->descriptor, found->created});
    } else {
      KILN_TRY_ASSIGN(const std::vector<oci::StoredImage> all, engine_.images().list());
      for (const oci::StoredImage& image : all) {
        const auto known = oci::Reference::parse(image.name);
        if (known && known->name() == name.name() && !known->digest) images.push_back(image);
      }
    }
    if (!images.empty()) return images;
    const std::string what = options_.all_tags ? name.name() : name.to_string();
    KILN_TRY_ASSIGN(const std::string meant, did_you_mean_image(engine_, name));
    return tl::unexpected(
        Error(Code::kNotFound, "an image does not exist locally with the tag: " + what + meant)
            .hint("`kiln images` lists what is here, `kiln tag` gives names"));
  }

  // Returns what was pushed. Of an image of several platforms that was pulled for one, that one.
  Result<oci::Descriptor> push(const oci::Reference& name, const oci::Descriptor& image) {
    const Status pushed = push_one(name, image);
    if (pushed) return image;
    const bool partly = pushed.error().code() == Code::kFailedPrecondition &&
                        oci::is_index(image.media_type) && options_.platform.empty();
    if (!partly) return tl::unexpected(pushed.error());
    KILN_TRY_ASSIGN(const std::vector<oci::Descriptor> here,
                    oci::present_manifests(engine_.content(), image));
    if (here.size() != 1) return tl::unexpected(pushed.error());
    KILN_TRY(push_one(name, here.front()));
    (void)std::fputs(
        "Not all multiplatform-content is present and only the available single-platform image "
        "was pushed\n",
        stderr);  // nothing to do if it is gone
    return here.front();
  }

  Status push_one(const oci::Reference& name, const oci::Descriptor& image) {
    LayerLines lines(line_style(options_.quiet), stdout);
    oci::PushEvents events;
    events.on_transfer = [&](const oci::Descriptor& blob, uint64_t done) {
      if (oci::is_layer(blob.media_type)) lines.progress(blob, "Pushing", done);
    };
    events.on_done = [&](const oci::Descriptor& blob, const oci::Upload& how) {
      if (!oci::is_layer(blob.media_type)) return;
      if (how.outcome == oci::UploadOutcome::kMounted)
        lines.end(blob, "Mounted from " + how.from);
      else
        lines.end(blob,
                  how.outcome == oci::UploadOutcome::kThere ? "Layer already exists" : "Pushed");
    };
    return push_({image, {name}, PushBy::kName, Transport::kConfigured}, events, invocation_.stop);
  }

  const PushOptions& options_;
  const Invocation& invocation_;
  Engine& engine_;
  const PushImage push_;
};

}  // namespace

CommandResult run_push(const PushOptions& options, const Invocation& invocation) {
  const Result<oci::Reference> name = oci::Reference::parse(options.reference);
  if (!name) return usage_failure(name.error());
  if (name->digest)
    return usage_failure(
        Error(Code::kInvalidArgument, "cannot push a digest reference").hint("push a tag"));
  if (options.all_tags && oci::has_tag(options.reference))
    return usage_failure(Error(Code::kInvalidArgument, "tag can't be used with --all-tags/-a"));
  if (!options.platform.empty())
    if (const auto platform = Platform::parse(options.platform); !platform)
      return usage_failure(platform.error().wrap("--platform " + quote(options.platform)));
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  if (!oci::has_tag(options.reference) && !options.all_tags && !options.quiet)
    (void)std::puts("Using default tag: latest");  // as in PushCommand::say
  KILN_CMD_TRY(PushCommand(options, invocation, *engine).run(*name));
  return {};
}

}  // namespace kiln::cmd
