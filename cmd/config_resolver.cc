#include "cmd/config_resolver.h"

#include "oci/reference.h"

namespace kiln::cmd {
namespace {

std::string mode_name(frontend::ResolveMode mode) {
  switch (mode) {
    case frontend::ResolveMode::kPull:
      return "pull";
    case frontend::ResolveMode::kLocal:
      return "local";
    case frontend::ResolveMode::kDefault:
      break;
  }
  return "default";
}

// Shows a resolve that takes time (a pull) as a step of its own; one that the local store answers
// shows nothing.
class ResolveProgress : public ProgressSink {
 public:
  ResolveProgress(ProgressSink& next, Digest vertex, std::string name)
      : next_(next), vertex_(vertex), name_(std::move(name)) {}
  void on_event(const Event& event) noexcept override {
    if (!started_) next_.on_event(VertexStarted{vertex_, name_});
    started_ = true;
    next_.on_event(event);
  }
  void end(const std::optional<Error>& error) {
    if (started_)
      next_.on_event(
          VertexDone{vertex_, error ? VertexOutcome::kFailed : VertexOutcome::kDone, error});
  }

 private:
  ProgressSink& next_;
  Digest vertex_;
  std::string name_;
  bool started_ = false;
};

}  // namespace

Result<frontend::ResolvedImage> ConfigResolver::resolve(const std::string& reference,
                                                        const Platform& platform,
                                                        frontend::ResolveMode mode,
                                                        std::stop_token stop) {
  const bool layout = reference.starts_with("oci-layout://");
  const std::string identifier = layout ? reference : "docker-image://" + reference;
  std::map<std::string, std::string> attrs;
  if (!layout) attrs["image.resolvemode"] = mode_name(mode);
  const Digest vertex = Digest::of("load metadata for " + reference + " " + platform.to_string());
  ResolveProgress progress(progress_, vertex, "[internal] load metadata for " + reference);
  JobContext job{stop, progress, vertex, OutputUse::kInput};
  Result<ResolvedImage> image =
      resolve_image(sources_, identifier, attrs, platform, ImageExtent::kConfigOnly, job);
  progress.end(image ? std::nullopt : std::optional<Error>(image.error()));
  if (!image) return tl::unexpected(image.error());
  std::string name = reference;
  if (const Result<oci::Reference> parsed = oci::Reference::parse(reference); !layout && parsed) {
    oci::Reference tagged = *parsed;
    tagged.digest.reset();
    name = tagged.to_string();
  }
  return frontend::ResolvedImage{std::move(name), image->root.digest,
                                 std::move(image->config_json)};
}

std::vector<std::string> ConfigResolver::known_names() {
  std::vector<std::string> names;
  if (sources_.images == nullptr) return names;
  const auto stored = sources_.images->list();
  if (!stored) return names;  // an error is being told already
  constexpr std::string_view kLatest = ":latest";
  for (const oci::StoredImage& image : *stored) {
    const Result<oci::Reference> name = oci::Reference::parse(image.name);
    if (!name) continue;
    names.push_back(name->familiar());
    if (names.back().ends_with(kLatest))
      names.push_back(names.back().substr(0, names.back().size() - kLatest.size()));
  }
  return names;
}

}  // namespace kiln::cmd
