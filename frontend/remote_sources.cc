#include "frontend/remote_sources.h"

#include "base/path.h"
#include "base/strings.h"
#include "frontend/owner.h"

#include <algorithm>
#include <utility>

namespace kiln::frontend {
namespace {

llb::Meta shown_as(const std::string& step) {
  llb::Meta meta;
  meta.name = without_credentials(step);
  return meta;
}

bool asks_for_git_directory(const FrontendRequest& request) {
  bool keep = false;
  for (const auto& [key, value] : request.build_args) {
    if (key == "BUILDKIT_CONTEXT_KEEP_GIT_DIR") keep = value == "1" || equal_fold(value, "true");
  }
  return keep;
}

}  // namespace

Result<std::optional<GitRef>> parse_git_context(std::string_view text) {
  if (!text.starts_with("github.com/")) return parse_git_ref(text);
  const size_t end = std::min(text.find_first_of("?#"), text.size());
  std::string url = "https://" + std::string(text.substr(0, end));
  if (!url.ends_with(".git")) url += ".git";
  return parse_git_ref(url + std::string(text.substr(end)));
}

bool is_http_url(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

std::string url_file_name(std::string_view url) {
  const size_t start = url.find("://") + 3;
  const std::string_view rest = url.substr(start, url.find_first_of("?#", start) - start);
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return "__unnamed__";
  const std::string clean = clean_path(rest.substr(slash));
  const std::string name = clean.substr(clean.rfind('/') + 1);
  return name.empty() ? "__unnamed__" : name;
}

Result<Root> add_repository(Plan& plan, const FrontendRequest& request, const std::string& url,
                            const std::string& step) {
  KILN_TRY_ASSIGN(std::optional<GitRef> git, parse_git_context(url));
  if (!git) return fail(Code::kInvalidArgument, "not a git URL: " + without_credentials(url));
  if (!git->keep_git_dir && asks_for_git_directory(request)) git->keep_git_dir = true;
  return add_repository(plan, *git, step);
}

Root add_repository(Plan& plan, const GitRef& git, const std::string& step) {
  return plan.add(git_source(git), {}, std::nullopt, shown_as(step));
}

Status apply_add_flags(const GitFlags& flags, GitRef& git) {
  if (flags.keep_git_dir && !git.keep_git_dir.value_or(true))
    return fail(Code::kInvalidArgument, "inconsistent keep-git-dir configuration");
  if (flags.keep_git_dir) git.keep_git_dir = true;
  if (flags.checksum.empty()) return {};
  if (!git.checksum.empty() && git.checksum != flags.checksum)
    return fail(Code::kInvalidArgument,
                "checksum mismatch " + quote(flags.checksum) + " != " + quote(git.checksum));
  git.checksum = flags.checksum;
  return {};
}

Root add_download(Plan& plan, const std::string& url, const std::string& name,
                  const std::string& step) {
  return plan.add(llb::SourceOp{url, {{"http.filename", name}}}, {}, std::nullopt, shown_as(step));
}

Root add_unpacked(Plan& plan, const std::string& url, const std::string& name,
                  const std::string& step) {
  const Root file = add_download(plan, url, name, step);
  llb::CopyAction copy;
  copy.src = "/" + name;
  copy.dest = "/";
  copy.attempt_unpack = true;
  copy.owner = parse_owner("0:0", llb::kNoIndex);
  llb::FileOp unpack{{{llb::kNoIndex, 0, 0, std::move(copy)}}};
  return plan.add(std::move(unpack), {*file}, std::nullopt, shown_as(step + ": unpack"));
}

std::string remote_context_step(const ContextRef& context) {
  if (context.kind == ContextRef::Kind::kHttp) return "[internal] load remote build context";
  return "[internal] load git source " + context.identifier;
}

Result<llb::Graph> remote_context_graph(const FrontendRequest& request) {
  Plan plan;
  const ContextRef& context = request.context;
  const std::string step = remote_context_step(context);
  if (context.kind == ContextRef::Kind::kHttp)
    return std::move(plan).build(add_unpacked(plan, context.identifier, kDownloadName, step), {});
  KILN_TRY_ASSIGN(const Root root, add_repository(plan, request, context.identifier, step));
  return std::move(plan).build(root, {});
}

llb::Graph download_graph(const std::string& url, const std::string& step) {
  Plan plan;
  const Root root = add_download(plan, url, kDownloadName, step);
  return std::move(plan).build(root, {});
}

}  // namespace kiln::frontend
