#include "cmd/fetch_dockerfile.h"

#include "base/io.h"
#include "base/strings.h"
#include "cmd/run_inputs.h"
#include "cmd/stream_context.h"
#include "frontend/remote_sources.h"

namespace kiln::cmd {
namespace {

constexpr uint64_t kFetchedDockerfileLimit = 64U << 20U;

/// A regular file's path with links resolved; nullopt: there is none.
Result<std::optional<RelPath>> find_file(const TreeView& tree, const std::string& name) {
  KILN_TRY_ASSIGN(const RelPath path, RelPath::rooted(name));
  KILN_TRY_ASSIGN(const RelPath resolved, resolve_in_tree(tree, path, FollowLast::kYes));
  KILN_TRY_ASSIGN(const std::optional<struct stat> st, tree.stat(resolved));
  if (!st || !S_ISREG(st->st_mode)) return std::nullopt;
  return resolved;
}

Result<std::string> read_in(const TreeView& tree, const RelPath& path) {
  FileScratch scratch;
  KILN_TRY_ASSIGN(Fd file, tree.open_file(path, scratch));
  FdSource source(std::move(file), path.str());
  return read_all(source, kFetchedDockerfileLimit, path.str());
}

Error nothing_called(const TreeView& tree, const std::string& name) {
  Error error(Code::kNotFound, "failed to read dockerfile: open " + name +
                                   ": no such file or directory in the context");
  const auto entries = tree.list(RelPath());
  if (!entries) return error;
  std::vector<std::string> names;
  for (const TreeNames::Entry& entry : *entries) {
    const std::string lower = to_lower(entry.name);
    if (lower.find("dockerfile") != std::string::npos ||
        lower.find("containerfile") != std::string::npos)
      return error.hint("there is " + quote(entry.name) + ": name it with -f");
    if (names.size() < 10) names.push_back(printable(entry.name));
  }
  if (names.empty()) return error.hint("the context is empty");
  return error.hint("name it with -f, relative to the top of the context, which has " +
                    join(names, ", ") + (entries->size() > names.size() ? ", …" : ""));
}

class Fetching {
 public:
  Fetching(const FetchDockerfile& how, BuildInputs& inputs, frontend::FrontendRequest& request)
      : how_(how), inputs_(inputs), request_(request), wanted_(*inputs.remote) {}

  Status run() {
    if (!wanted_.url.empty()) return from_url();
    if (request_.context.kind == frontend::ContextRef::Kind::kGit) return from_context();
    return from_download();
  }

 private:
  Result<RefPtr> download(const std::string& url, const std::string& step) const {
    return how_.solve(frontend::download_graph(url, step));
  }

  Status from_url() {
    KILN_TRY_ASSIGN(const RefPtr ref, download(wanted_.url, "[internal] load remote Dockerfile"));
    return read_download(*ref, wanted_.url);
  }

  Status from_download() {
    const std::string url = request_.context.identifier;
    KILN_TRY_ASSIGN(const RefPtr ref,
                    download(url, frontend::remote_context_step(request_.context)));
    KILN_TRY_ASSIGN(const bool archive, is_archive_download(*ref));
    if (archive) return from_context();
    if (!wanted_.file.empty())
      return tl::unexpected(
          Error(Code::kInvalidArgument, quote(without_credentials(url)) +
                                            " is a Dockerfile and no archive: there is no " +
                                            quote(wanted_.file) + " in it")
              .hint("leave out -f"));
    KILN_TRY(read_download(*ref, url));
    return use_empty_context();
  }

  Result<bool> is_archive_download(Ref& ref) const {
    KILN_TRY_ASSIGN(TreeRef * tree, as_tree(ref));
    KILN_TRY_ASSIGN(const auto view, tree->open(how_.stop));
    FileScratch scratch;
    KILN_TRY_ASSIGN(const RelPath path, RelPath::rooted(frontend::kDownloadName));
    KILN_TRY_ASSIGN(Fd file, view->open_file(path, scratch));
    FdSource source(std::move(file), frontend::kDownloadName);
    KILN_TRY_ASSIGN(const std::string head, read_head(source));
    return looks_like_archive(head);
  }

  Status read_download(Ref& ref, const std::string& url) {
    KILN_TRY_ASSIGN(TreeRef * tree, as_tree(ref));
    KILN_TRY_ASSIGN(const auto view, tree->open(how_.stop));
    KILN_TRY(read_dockerfile_in(*view, frontend::kDownloadName, inputs_));
    inputs_.filename = frontend::url_file_name(url);
    return {};
  }

  Status from_context() {
    KILN_TRY_ASSIGN(const llb::Graph graph, frontend::remote_context_graph(request_));
    KILN_TRY_ASSIGN(const RefPtr ref, how_.solve(graph));
    KILN_TRY_ASSIGN(TreeRef * tree, as_tree(*ref));
    KILN_TRY_ASSIGN(const auto view, tree->open(how_.stop));
    return read_dockerfile_in(*view, wanted_.file, inputs_);
  }

  Status use_empty_context() {
    KILN_TRY_ASSIGN(TempDir empty, TempDir::create(how_.scratch, "context-"));
    inputs_.unpacked = std::make_unique<TempDir>(std::move(empty));
    inputs_.local["context"].directory = inputs_.unpacked->path();
    inputs_.context = frontend::ContextRef();
    return {};
  }

  const FetchDockerfile& how_;
  BuildInputs& inputs_;
  frontend::FrontendRequest& request_;
  const RemoteDockerfile wanted_;
};

}  // namespace

Status read_dockerfile_in(const TreeView& tree, const std::string& file, BuildInputs& inputs) {
  std::vector<std::string> names = {file};
  if (file.empty()) names = {"Dockerfile", "dockerfile"};
  for (const std::string& name : names) {
    KILN_TRY_ASSIGN(const std::optional<RelPath> path, find_file(tree, name));
    if (!path) continue;
    KILN_TRY_ASSIGN(inputs.dockerfile, read_in(tree, *path));
    inputs.filename = name;
    return {};
  }
  return tl::unexpected(nothing_called(tree, names.front()));
}

Status fetch_dockerfile(const FetchDockerfile& how, BuildInputs& inputs,
                        frontend::FrontendRequest& request) {
  if (!inputs.remote) return {};
  KILN_TRY(Fetching(how, inputs, request).run());
  inputs.remote.reset();
  request.dockerfile = inputs.dockerfile;
  request.filename = inputs.filename;
  request.context = inputs.context;
  return {};
}

Status fetch_dockerfile(const FetchAlone& how, BuildInputs& inputs,
                        frontend::FrontendRequest& request) {
  if (!inputs.remote) return {};
  const Invocation& invocation = how.invocation;
  KILN_TRY_ASSIGN(const RunInputs run, read_run_inputs(how.options, invocation.environment));
  const OpsEnvironment ops =
      operations_of({how.engine, inputs, run, invocation.environment, invocation.search_path,
                     std::make_shared<Registries>(invocation.environment)});
  const auto solve = [&](const llb::Graph& graph) {
    return solve_tree(how.engine, ops, graph, how.progress, invocation.stop);
  };
  return fetch_dockerfile(FetchDockerfile{solve, how.engine.scratch(), invocation.stop}, inputs,
                          request);
}

}  // namespace kiln::cmd
