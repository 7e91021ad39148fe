// The build context and the named contexts as vertices. A context is opened when something first
// reads it; which paths of a local one are read is collected meanwhile, so that its source
// transfers no more than that (DOCKERFILE.md C22).
#pragma once

#include "frontend/frontend.h"
#include "frontend/image_config.h"
#include "frontend/images.h"
#include "frontend/plan.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace kiln::frontend {

/// A `--build-context`, found.
struct NamedContext {
  std::string name;  // as the user gave it, for step names
  const ContextRef* ref = nullptr;
};

/// What a context or an image is to a stage.
struct OpenedContext {
  Root root;
  std::optional<ImageConfig> config;  // of an image
  std::string config_json;            // the same, as resolved
};

class Contexts {
 public:
  /// All are borrowed.
  Contexts(const FrontendRequest& request, Plan& plan, Images& images);

  /// The build context. kInvalidArgument: its URL is not one.
  Result<Root> main();
  /// "alpine" finds "alpine", "alpine:latest", "docker.io/library/alpine" and, before those,
  /// "alpine::<platform>".
  std::optional<NamedContext> find(std::string_view name, const Platform& platform) const;
  Result<OpenedContext> open(const NamedContext& context, const Platform& platform);

  /// Notes that `path` (absolute, may hold wildcards) of `root` is read. Nothing to do unless
  /// `root` is a local context.
  void use(const Root& root, std::string_view path);
  /// Fills in what the local sources have to transfer.
  void finish();

 private:
  struct Local {
    llb::Output output;
    std::set<std::string> paths;  // relative to the context, "." for all of it
  };

  Root add_local(const ContextRef& ref, const std::string& hint, const std::string& step);
  Result<OpenedContext> open_image(const NamedContext& context, const Platform& platform);
  Result<OpenedContext> open_layout(const NamedContext& context, const Platform& platform);
  Result<OpenedContext> open_new(const NamedContext& context, const Platform& platform);

  const FrontendRequest& request_;
  Plan& plan_;
  Images& images_;
  std::map<std::string, NamedContext> by_name_;  // normalised, perhaps with "::platform"
  std::optional<Root> main_;
  std::map<std::string, OpenedContext> opened_;
  std::map<llb::VertexId, Local> locals_;
};

}  // namespace kiln::frontend
