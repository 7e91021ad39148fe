#include "solver/ops/source_op.h"

#include <algorithm>
#include <array>

#include "base/guarded.h"
#include "base/json.h"
#include "base/strings.h"
#include "solver/ops/file_op.h"
#include "solver/ops/snapshot_ref.h"
#include "solver/sources/git.h"
#include "solver/sources/http.h"

namespace kiln {

/// Digests of one directory are one file: refs that share the directory share the cache.
struct OpsState {
  Guarded<std::map<std::string, std::shared_ptr<StatCache>>> stat_caches;
};

std::shared_ptr<OpsState> make_ops_state() {
  return std::make_shared<OpsState>();
}

namespace {

constexpr std::string_view kLocal = "local://";

std::string attr(const llb::SourceOp& op, const std::string& name) {
  const auto found = op.attrs.find(name);
  return found == op.attrs.end() ? std::string() : found->second;
}

Result<std::vector<std::string>> list_attr(const llb::SourceOp& op, const std::string& name) {
  const std::string text = attr(op, name);
  if (text.empty()) return std::vector<std::string>();
  KILN_TRY_ASSIGN(const Json json, Json::parse(text));
  if (!json.is_array())
    return fail(Code::kInvalidArgument, "attribute " + name + " is no list: " + quote(text));
  return json.strings();
}

/// Refused rather than passed over: an attribute may be a check the sender relies on.
Status check_attrs(const llb::SourceOp& op, std::span<const std::string_view> known) {
  for (const auto& [name, value] : op.attrs) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      return fail(Code::kUnimplemented,
                  quote(op.identifier) + ": unknown source attribute " + quote(name));
  }
  return {};
}

class ImageOperation : public Operation {
 public:
  ImageOperation(const OpsEnvironment& environment, const llb::Vertex& vertex)
      : environment_(environment),
        op_(std::get<llb::SourceOp>(vertex.op)),
        platform_(vertex.platform.value_or(environment.platform)) {}

  Result<CacheMap> cache_map(JobContext& job) override {
    // What it is keeps its layers away until a step reads them.
    KILN_TRY_ASSIGN(const ResolvedImage image, resolve(ImageExtent::kConfigOnly, job));
    CacheMap map;
    map.op.add("kind", "image");
    map.op.add("platform", platform_.to_string());
    // The chain and not the manifest: two names for the same layers are the same base.
    map.op.add("chain", image.layers.empty() ? "" : chain_id(image.layers).to_string());
    return map;
  }

  Result<Digest> content_key(size_t /*input*/, Ref& /*ref*/, JobContext& /*job*/) override {
    return fail(Code::kInternal, "an image has no inputs");
  }

  Result<std::vector<RefPtr>> execute(std::span<const RefPtr> /*inputs*/,
                                      JobContext& job) override {
    KILN_TRY_ASSIGN(const ResolvedImage image, resolve(ImageExtent::kWhole, job));
    std::optional<SnapshotId> top;
    for (const oci::LayerBlob& layer : image.layers) {
      KILN_TRY_ASSIGN(top, environment_.snapshotter->add_layer(top, layer, *environment_.lease));
    }
    return std::vector<RefPtr>{make_snapshot_ref(*environment_.snapshotter, top,
                                                 environment_.scratch, environment_.clock->now())};
  }

 private:
  Result<ResolvedImage> resolve(ImageExtent extent, JobContext& job) {
    std::map<std::string, std::string> attrs = op_.attrs;
    // A vertex may only name stores that were given: a path in it would reach any file here.
    constexpr std::string_view kLayout = "oci-layout://";
    if (op_.identifier.starts_with(kLayout) && attrs["oci.store"].empty()) {
      const std::string name = op_.identifier.substr(kLayout.size());
      attrs["oci.store"] = name.substr(0, name.find_first_of("@:"));
    }
    std::string identifier = op_.identifier;
    // What cache_map() saw is what is used, whatever the name means by then.
    const bool open = identifier.find('@') == std::string::npos;
    if (seen_ && open && !identifier.starts_with(kLayout)) identifier += "@" + seen_->to_string();
    auto image = resolve_image(environment_.images, identifier, attrs, platform_, extent, job);
    if (image) seen_ = image->root.digest;
    return image;
  }

  const OpsEnvironment& environment_;
  const llb::SourceOp op_;
  const Platform platform_;
  std::optional<Digest> seen_;  // the image's, once it was resolved
};

class LocalOperation : public Operation {
 public:
  LocalOperation(const OpsEnvironment& environment, std::shared_ptr<OpsState> state,
                 llb::SourceOp op)
      : environment_(environment), state_(std::move(state)), op_(std::move(op)) {}

  Result<CacheMap> cache_map(JobContext& /*job*/) override {
    CacheMap map;
    map.op.add("kind", "local");
    map.op.add("identifier", op_.identifier);
    map.uncacheable = true;
    return map;
  }

  Result<Digest> content_key(size_t /*input*/, Ref& /*ref*/, JobContext& /*job*/) override {
    return fail(Code::kInternal, "a local source has no inputs");
  }

  Result<std::vector<RefPtr>> execute(std::span<const RefPtr> /*inputs*/,
                                      JobContext& job) override {
    const std::string name = op_.identifier.substr(kLocal.size());
    const auto context = environment_.contexts.find(name);
    if (context == environment_.contexts.end())
      return tl::unexpected(Error(Code::kNotFound, "there is no local source " + quote(name))
                                .hint("give it with --build-context " + name + "=DIRECTORY"));
    ContextOptions options;
    KILN_TRY_ASSIGN(options.selection.exclude_patterns, list_attr(op_, "local.excludepatterns"));
    // The frontend hands the ignore file's rules down: once is enough.
    if (options.selection.exclude_patterns == context->second.exclude_patterns)
      options.selection.exclude_patterns.clear();
    KILN_TRY_ASSIGN(options.selection.include_patterns, list_attr(op_, "local.includepattern"));
    KILN_TRY_ASSIGN(options.selection.follow_paths, list_attr(op_, "local.followpaths"));
    options.digests = digests(context->second.stat_cache_file);
    options.materialize = [&environment = environment_](const TreeView& view,
                                                        std::stop_token stop) {
      return materialize_view(environment, view, std::move(stop));
    };
    KILN_TRY_ASSIGN(auto ref, open_context(context->second, std::move(options), job.stop));
    return std::vector<RefPtr>{std::move(ref)};
  }

 private:
  std::shared_ptr<StatCache> digests(const std::string& file) {
    if (file.empty()) return nullptr;
    auto caches = state_->stat_caches.lock();
    std::shared_ptr<StatCache>& cache = (*caches)[file];
    if (!cache) cache = StatCache::open(file);
    return cache;
  }

  const OpsEnvironment& environment_;
  const std::shared_ptr<OpsState> state_;
  const llb::SourceOp op_;
};

Result<std::unique_ptr<Operation>> make_image(const OpsEnvironment& environment,
                                              const llb::Vertex& vertex) {
  // Sessions and record types are about BuildKit's transport and its own records.
  constexpr std::array<std::string_view, 5> kKnown = {"image.resolvemode", "image.recordtype",
                                                      "image.checksum", "oci.store", "oci.session"};
  KILN_TRY(check_attrs(std::get<llb::SourceOp>(vertex.op), kKnown));
  return std::make_unique<ImageOperation>(environment, vertex);
}

Result<std::unique_ptr<Operation>> make_local(const OpsEnvironment& environment,
                                              std::shared_ptr<OpsState> state,
                                              const llb::SourceOp& op) {
  // How a client would transfer the directory does not matter where nothing is transferred.
  constexpr std::array<std::string_view, 9> kKnown = {
      "local.session",     "local.unique",           "local.includepattern",
      "local.followpaths", "local.sharedkeyhint",    "local.excludepatterns",
      "local.differ",      "local.metadatatransfer", "local.metadatatransferexclude"};
  KILN_TRY(check_attrs(op, kKnown));
  return std::make_unique<LocalOperation>(environment, std::move(state), op);
}

}  // namespace

Result<std::unique_ptr<Operation>> make_source_op(const OpsEnvironment& environment,
                                                  std::shared_ptr<OpsState> state,
                                                  const llb::Vertex& vertex) {
  const auto& op = std::get<llb::SourceOp>(vertex.op);
  if (op.identifier.starts_with("docker-image://") || op.identifier.starts_with("oci-layout://"))
    return make_image(environment, vertex);
  if (op.identifier.starts_with(kLocal)) return make_local(environment, std::move(state), op);
  if (op.identifier.starts_with("http://") || op.identifier.starts_with("https://"))
    return make_http_op(environment, vertex);
  if (op.identifier.starts_with("git://")) return make_git_op(environment, vertex);
  return fail(Code::kUnimplemented, "unknown source " + quote(op.identifier));
}

}  // namespace kiln
