// Git repositories and downloads as vertices: what the build context, named contexts and the
// Dockerfile itself may come from. Nothing is fetched here.
#pragma once

#include "frontend/frontend.h"
#include "frontend/git_ref.h"
#include "frontend/plan.h"

#include <optional>
#include <string>
#include <string_view>

namespace kiln::frontend {

/// The name of a download that is a build context.
inline constexpr char kDownloadName[] = "context";

/// parse_git_ref, and "github.com/owner/repo" for "https://github.com/owner/repo.git", as docker
/// has it for contexts.
Result<std::optional<GitRef>> parse_git_context(std::string_view text);
/// http or https, and no repository if parse_git_ref says so.
bool is_http_url(std::string_view text);
/// The last element of a URL's path; "__unnamed__" if it has none.
std::string url_file_name(std::string_view url);

/// kInvalidArgument: `url` is not one of a repository.
Result<Root> add_repository(Plan& plan, const FrontendRequest& request, const std::string& url,
                            const std::string& step);
/// The same for one that is parsed.
Root add_repository(Plan& plan, const GitRef& git, const std::string& step);

/// What ADD's flags say of a repository, over what its URL says.
struct GitFlags {
  bool keep_git_dir = false;
  std::string checksum;  // "": none
};
/// kInvalidArgument: they contradict each other.
Status apply_add_flags(const GitFlags& flags, GitRef& git);

/// One file called `name`.
Root add_download(Plan& plan, const std::string& url, const std::string& name,
                  const std::string& step);
/// The files of the archive that a download is; root's, as all of a context. What is no archive is
/// a file called `name`.
Root add_unpacked(Plan& plan, const std::string& url, const std::string& name,
                  const std::string& step);

/// The main context of `request` (git or http) alone, for reading the Dockerfile from it: its
/// vertices are those of the whole build. Errors as add_repository.
Result<llb::Graph> remote_context_graph(const FrontendRequest& request);
/// A download called kDownloadName, as the main context's is.
llb::Graph download_graph(const std::string& url, const std::string& step);
/// The step that fetches the main context.
std::string remote_context_step(const ContextRef& context);

}  // namespace kiln::frontend
