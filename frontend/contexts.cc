#include "frontend/contexts.h"

#include "base/json.h"
#include "base/path.h"
#include "base/strings.h"
#include "frontend/conversion.h"
#include "frontend/remote_sources.h"
#include "oci/reference.h"

#include <utility>
#include <vector>

namespace kiln::frontend {
namespace {

constexpr std::string_view kPlatformMark = "::";

/// References that mean the same image get one spelling; anything else stays as it is.
std::string normalise(std::string_view name) {
  const Result<oci::Reference> reference = oci::Reference::parse(name);
  if (!reference) return std::string(name);
  std::string familiar = reference->familiar();
  if (familiar.ends_with(":latest")) familiar.resize(familiar.size() - 7);
  return familiar;
}

std::string normalise_key(const std::string& key) {
  const size_t mark = key.find(kPlatformMark);
  if (mark == std::string::npos) return normalise(key);
  return normalise(std::string_view(key).substr(0, mark)) + key.substr(mark);
}

llb::Meta named(const std::string& name) {
  llb::Meta meta;
  meta.name = without_credentials(name);
  return meta;
}

}  // namespace

Contexts::Contexts(const FrontendRequest& request, Plan& plan, Images& images)
    : request_(request), plan_(plan), images_(images) {
  for (const auto& [key, ref] : request.named_contexts) {
    by_name_[normalise_key(key)] = NamedContext{key, &ref};
  }
}

Result<Root> Contexts::main() {
  if (main_) return *main_;
  const ContextRef& ref = request_.context;
  switch (ref.kind) {
    case ContextRef::Kind::kLocal:
      main_ = add_local(ref, ref.identifier, "[internal] load build context");
      break;
    case ContextRef::Kind::kGit: {
      KILN_TRY_ASSIGN(main_,
                      add_repository(plan_, request_, ref.identifier, remote_context_step(ref)));
      break;
    }
    case ContextRef::Kind::kHttp:
      main_ = add_unpacked(plan_, ref.identifier, kDownloadName, remote_context_step(ref));
      break;
    case ContextRef::Kind::kImage:
    case ContextRef::Kind::kOciLayout: {
      KILN_TRY_ASSIGN(OpenedContext opened,
                      open({"context", &ref}, request_.platform.value_or(request_.build_platform)));
      main_ = opened.root;
      break;
    }
  }
  return *main_;
}

std::optional<NamedContext> Contexts::find(std::string_view name, const Platform& platform) const {
  if (by_name_.empty() || equal_fold(name, "scratch") || equal_fold(name, "context")) return {};
  const std::string key = normalise(name);
  for (const std::string& candidate :
       {key + std::string(kPlatformMark) + platform.to_string(), key}) {
    const auto found = by_name_.find(candidate);
    if (found != by_name_.end()) return found->second;
  }
  return {};
}

Result<OpenedContext> Contexts::open(const NamedContext& context, const Platform& platform) {
  const std::string key = context.name + " " + platform.to_string();
  if (const auto found = opened_.find(key); found != opened_.end()) return found->second;
  Result<OpenedContext> opened = open_new(context, platform);
  if (!opened) {
    return tl::unexpected(opened.error().wrap("build context \"" + context.name + "\""));
  }
  return opened_.emplace(key, *std::move(opened)).first->second;
}

Result<OpenedContext> Contexts::open_new(const NamedContext& context, const Platform& platform) {
  const std::string step = "[context " + context.name + "] ";
  const ContextRef& ref = *context.ref;
  switch (ref.kind) {
    case ContextRef::Kind::kImage:
      return open_image(context, platform);
    case ContextRef::Kind::kOciLayout:
      return open_layout(context, platform);
    case ContextRef::Kind::kGit: {
      KILN_TRY_ASSIGN(const Root root,
                      add_repository(plan_, request_, ref.identifier, step + ref.identifier));
      return OpenedContext{root, {}, {}};
    }
    case ContextRef::Kind::kHttp:
      return OpenedContext{
          add_unpacked(plan_, ref.identifier, url_file_name(ref.identifier), step + ref.identifier),
          {},
          {}};
    case ContextRef::Kind::kLocal:
      break;
  }
  return OpenedContext{
      add_local(ref, "context:" + context.name, step + "load from client"), {}, {}};
}

Root Contexts::add_local(const ContextRef& ref, const std::string& hint, const std::string& step) {
  llb::SourceOp op{"local://" + ref.identifier, {{"local.sharedkeyhint", hint}}};
  if (!ref.exclude_patterns.empty()) {
    op.attrs["local.excludepatterns"] = Json::array_of(ref.exclude_patterns).dump();
  }
  const llb::Output output = plan_.add(std::move(op), {}, std::nullopt, named(step));
  locals_[output.vertex] = Local{output, {}};
  return output;
}

Result<OpenedContext> Contexts::open_image(const NamedContext& context, const Platform& platform) {
  const std::string& text = context.ref->identifier;
  if (text == "scratch") return OpenedContext{};
  KILN_TRY_ASSIGN(const oci::Reference reference, oci::Reference::parse(text));
  KILN_TRY_ASSIGN(const ResolvedImage image, images_.resolve(reference.to_string(), platform));
  KILN_TRY_ASSIGN(ImageConfig config, ImageConfig::parse(image.config_json));
  const llb::Output output = plan_.add(images_.source(image), {}, platform,
                                       named("[context " + context.name + "] " + text));
  return OpenedContext{output, std::move(config), image.config_json};
}

Result<OpenedContext> Contexts::open_layout(const NamedContext& context, const Platform& platform) {
  KILN_TRY_ASSIGN(const ResolvedImage image,
                  images_.resolve("oci-layout://" + context.ref->identifier, platform));
  if (!image.digest) return fail(Code::kInternal, "the layout's image came without a digest");
  KILN_TRY_ASSIGN(ImageConfig config, ImageConfig::parse(image.config_json));
  // The directory stays out of the vertex: whoever executes it knows the store by the context's
  // name, with its platform, since each platform may have a store of its own.
  const std::string& store = context.name;
  const std::string plain = store.substr(0, store.find(kPlatformMark));
  const Result<oci::Reference> reference = oci::Reference::parse(plain);
  const std::string name = reference ? reference->name() : plain;
  llb::SourceOp op{"oci-layout://" + name + "@" + image.digest->to_string(),
                   {{"oci.store", store}}};
  const llb::Output output = plan_.add(
      std::move(op), {}, platform, named("[context " + context.name + "] OCI load from client"));
  return OpenedContext{output, std::move(config), image.config_json};
}

void Contexts::use(const Root& root, std::string_view path) {
  if (!root) return;
  const auto local = locals_.find(root->vertex);
  if (local == locals_.end()) return;
  const std::string clean = join_path("/", path);
  local->second.paths.insert(clean == "/" ? "." : clean.substr(1));
}

void Contexts::finish() {
  for (const auto& [id, local] : locals_) {
    if (local.paths.empty() || local.paths.contains(".")) continue;
    const std::vector<std::string> paths(local.paths.begin(), local.paths.end());
    plan_.source(id).attrs["local.followpaths"] = Json::array_of(paths).dump();
  }
}

}  // namespace kiln::frontend
