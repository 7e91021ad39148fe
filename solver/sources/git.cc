#include "solver/sources/git.h"

#include <algorithm>

#include "base/strings.h"
#include "oci/base64.h"
#include "solver/ops/directory_view.h"
#include "solver/ops/file_plan.h"
#include "solver/ops/plan_apply.h"
#include "solver/ops/work_tree.h"
#include "solver/sources/git_command.h"

namespace kiln {
namespace {

constexpr size_t kSha1Digits = 40;
constexpr size_t kSha256Digits = 64;
constexpr int64_t kNanoseconds = 1'000'000'000;

struct GitRequest {
  std::string remote, user_and_password, ref, subdirectory, checksum, known_hosts;
  std::string token_secret, header_secret, ssh_id;
  bool keeps_git_directory = false;
  bool skips_submodules = false;
};

bool is_hex(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isdigit(c) != 0 || (c >= 'a' && c <= 'f');
  });
}
bool is_commit(const std::string& text) {
  return (text.size() == kSha1Digits || text.size() == kSha256Digits) && is_hex(text);
}

Status apply_attr(const std::string& name, const std::string& value, GitRequest& request) {
  if (name == "git.fullurl") {
    request.remote = value;
  } else if (name == "git.keepgitdir") {
    request.keeps_git_directory = value == "true";
  } else if (name == "git.skipsubmodules") {
    request.skips_submodules = value == "true";
  } else if (name == "git.checksum") {
    request.checksum = to_lower(value);
  } else if (name == "git.knownsshhosts") {
    request.known_hosts = value;
  } else if (name == "git.authtokensecret") {
    request.token_secret = value;
  } else if (name == "git.authheadersecret") {
    request.header_secret = value;
  } else if (name == "git.mountsshsock") {
    request.ssh_id = value;
  } else if (name != "git.mtime" && name != "git.fetchbycommit") {
    // The time of checkout would make equal commits differ: both settings give the commit's.
    return fail(Code::kUnimplemented, "unknown source attribute " + quote(name));
  }
  return {};
}

Result<GitRequest> parse_request(const llb::SourceOp& op) {
  GitRequest request;
  const std::string url = op.identifier;
  const size_t hash = url.find('#');
  request.remote = "https://" + url.substr(6, hash - 6);
  if (hash != std::string::npos) {
    const std::string fragment = url.substr(hash + 1);
    const size_t colon = fragment.find(':');
    request.ref = fragment.substr(0, colon);
    if (colon != std::string::npos) request.subdirectory = fragment.substr(colon + 1);
  }
  for (const auto& [name, value] : op.attrs) KILN_TRY(apply_attr(name, value, request));
  internal::SplitRemote split = internal::split_credentials(request.remote);
  request.remote = std::move(split.url);
  request.user_and_password = std::move(split.user_and_password);
  KILN_TRY(internal::check_git_remote(request.remote));
  if (request.ref.starts_with('-') || request.ref.find_first_of(" ~^:?*[\\\n") != std::string::npos)
    return fail(Code::kInvalidArgument, "not a git ref: " + quote(request.ref));
  if (!is_hex(request.checksum))
    return fail(Code::kInvalidArgument, "not a commit: " + quote(request.checksum));
  return request;
}

/// "<object>\t<ref>" lines. A branch wins over a tag; of a tag, the commit it stands for.
RemoteFacts::Commit pick_commit(const std::string& listing, const std::string& ref) {
  const std::vector<std::string> order = {
      "refs/heads/" + ref, "refs/tags/" + ref + "^{}", "refs/tags/" + ref, ref + "^{}", ref,
      "refs/" + ref};
  const std::vector<std::string> lines = split(listing, '\n');
  for (const std::string& wanted : order) {
    for (const std::string& line : lines) {
      const size_t tab = line.find('\t');
      if (tab == std::string::npos || line.substr(tab + 1) != wanted) continue;
      return {line.substr(0, tab), wanted.substr(0, wanted.find('^'))};
    }
  }
  return {};
}

class GitOperation : public Operation {
 public:
  GitOperation(const OpsEnvironment& environment, GitRequest request)
      : environment_(environment), request_(std::move(request)) {}

  Result<CacheMap> cache_map(JobContext& job) override {
    KILN_TRY(resolve(job));
    CacheMap map;
    map.op.add("kind", "git");
    map.op.add("commit", commit_);
    map.op.add("subdirectory", request_.subdirectory);
    if (request_.keeps_git_directory) map.op.add("keeps_git_directory", "true");
    if (request_.skips_submodules) map.op.add("skips_submodules", "true");
    return map;
  }

  Result<Digest> content_key(size_t /*input*/, Ref& /*ref*/, JobContext& /*job*/) override {
    return fail(Code::kInternal, "a repository has no inputs");
  }

  Result<std::vector<RefPtr>> execute(std::span<const RefPtr> /*inputs*/,
                                      JobContext& job) override {
    KILN_TRY(resolve(job));
    KILN_TRY_ASSIGN(const auto git, internal::GitCommand::create(*settings_));
    KILN_TRY(check_out(git, job));
    KILN_TRY_ASSIGN(const std::string time,
                    git.run(git.repository(), {"show", "-s", "--format=%ct", commit_}, job.stop));
    KILN_TRY_ASSIGN(const int64_t seconds, parse_int(trim(time)));
    KILN_TRY_ASSIGN(RefPtr ref, copy_tree(git.repository(), seconds, job));
    return std::vector<RefPtr>{std::move(ref)};
  }

 private:
  Status resolve(JobContext& job) {
    if (!commit_.empty()) return {};
    KILN_TRY(make_settings());
    std::string commit = request_.ref;
    if (!is_commit(commit)) {
      KILN_TRY_ASSIGN(commit, commit_of_ref(job));
    }
    if (!commit.starts_with(request_.checksum))
      return tl::unexpected(
          Error(Code::kFailedPrecondition,
                "expected checksum to match " + request_.checksum + ", got " + commit)
              .hint("the ref has moved since: pin what it names now, or name "
                    "the commit itself"));
    commit_ = std::move(commit);
    return {};
  }

  /// Once a build: what was found the first time holds (remote_facts.h).
  Result<std::string> commit_of_ref(JobContext& job) {
    const std::string ref = request_.ref.empty() ? "HEAD" : request_.ref;
    const std::string question = request_.remote + "\n" + ref;
    std::optional<RemoteFacts::Commit> found;
    if (environment_.remotes) found = environment_.remotes->commit(question);
    if (!found) {
      KILN_TRY_ASSIGN(const auto git, internal::GitCommand::create(*settings_));
      KILN_TRY_ASSIGN(
          const std::string listing,
          git.run("", {"ls-remote", "--", request_.remote, ref, ref + "^{}"}, job.stop));
      found = pick_commit(listing, ref);
      if (!is_commit(found->id)) return no_ref(ref);
      if (environment_.remotes) found = environment_.remotes->settle_commit(question, *found);
    }
    full_ref_ = found->ref;
    return found->id;
  }

  static tl::unexpected<Error> no_ref(const std::string& ref) {
    const Error error(Code::kNotFound, "the repository does not contain ref " + quote(ref));
    constexpr size_t kShortCommit = 7;
    if (ref.size() < kShortCommit || !is_hex(ref)) return tl::unexpected(error);
    return tl::unexpected(error.hint("a commit without a branch or tag needs all its 40 digits"));
  }

  Status make_settings() {
    internal::GitSettings settings;
    settings.search_path = environment_.search_path;
    settings.scratch = environment_.scratch;
    settings.remote = request_.remote;
    settings.known_hosts = request_.known_hosts;
    settings.proxies = environment_.proxies;
    if (!request_.ssh_id.empty()) {
      const auto socket = environment_.ssh_sockets.find(request_.ssh_id);
      if (socket == environment_.ssh_sockets.end())
        return tl::unexpected(
            Error(Code::kFailedPrecondition,
                  "no SSH key " + quote(request_.ssh_id) + " forwarded from the client")
                .hint("start ssh-agent and add --ssh " + request_.ssh_id));
      settings.ssh_socket = socket->second;
    }
    if (!request_.user_and_password.empty()) {
      settings.authorization = "basic " + oci::encode_base64(request_.user_and_password);
      settings_ = std::move(settings);
      return {};
    }
    if (request_.remote.starts_with("http")) {
      KILN_TRY_ASSIGN(settings.authorization, secret(request_.header_secret));
    }
    if (request_.remote.starts_with("http") && settings.authorization.empty()) {
      KILN_TRY_ASSIGN(const std::string token, secret(request_.token_secret));
      if (!token.empty())
        settings.authorization = "basic " + oci::encode_base64("x-access-token:" + token);
    }
    settings_ = std::move(settings);
    return {};
  }

  /// The secret for the remote's host, or the general one; "": not given.
  Result<std::string> secret(const std::string& id) const {
    if (id.empty()) return std::string();
    std::string host = request_.remote.substr(request_.remote.find("://") + 3);
    host = host.substr(0, host.find('/'));
    host.erase(0, host.rfind('@') + 1);
    for (const std::string& name : {std::string(id).append(".").append(host), id}) {
      const auto found = environment_.secrets.find(name);
      if (found == environment_.secrets.end()) continue;
      KILN_TRY_ASSIGN(const std::string value, found->second());
      return std::string(trim(value));
    }
    return std::string();
  }

  Status check_out(const internal::GitCommand& git, JobContext& job) {
    const std::string repository = git.repository();
    // No template: hooks and notes of this machine's git are no part of a kept .git.
    const char* format = commit_.size() == kSha256Digits ? "sha256" : "sha1";
    KILN_TRY(git.run(
        "",
        {"init", "--quiet", "--template=", std::string("--object-format=") + format, repository},
        job.stop));
    KILN_TRY(git.run(repository, {"remote", "add", "origin", request_.remote}, job.stop));
    KILN_TRY(fetch(git, job));
    KILN_TRY(git.run(repository, {"checkout", "--quiet", "--detach", commit_}, job.stop));
    KILN_TRY_ASSIGN(const std::string head, git.run(repository, {"rev-parse", "HEAD"}, job.stop));
    // The ref may have named a tag object: what counts is that it leads to this commit.
    if (!is_commit(std::string(trim(head))))
      return fail(Code::kDataLoss, "git checked out something that is no commit");
    KILN_TRY_ASSIGN(const bool has_modules, exists(repository + "/.gitmodules"));
    if (!has_modules || request_.skips_submodules) return {};
    return add_submodules(git, job);
  }

  /// Servers may refuse single commits, and some cannot do shallow fetches.
  Status fetch(const internal::GitCommand& git, JobContext& job) {
    const std::string repository = git.repository();
    const auto shallow = git.run(
        repository, {"fetch", "--quiet", "--depth=1", "--no-tags", "--", request_.remote, commit_},
        job.stop);
    if (shallow) return {};
    if (shallow.error().code() == Code::kCancelled) return tl::unexpected(shallow.error());
    std::vector<std::string> all = {
        "fetch", "--quiet", "--tags", "--", request_.remote, "+refs/heads/*:refs/remotes/origin/*"};
    if (full_ref_.starts_with("refs/") && !full_ref_.starts_with("refs/heads/"))
      all.push_back("+" + full_ref_ + ":refs/kiln/wanted");
    return git.run(repository, std::move(all), job.stop).map([](const std::string&) {});
  }

  static Status add_submodules(const internal::GitCommand& git, JobContext& job) {
    std::vector<std::string> update = {"submodule", "--quiet", "update", "--init", "--recursive"};
    std::vector<std::string> shallow = update;
    shallow.emplace_back("--depth=1");
    const auto done = git.run(git.repository(), std::move(shallow), job.stop);
    if (done) return {};
    if (done.error().code() == Code::kCancelled) return tl::unexpected(done.error());
    return git.run(git.repository(), std::move(update), job.stop).map([](const std::string&) {});
  }

  Result<RefPtr> copy_tree(const std::string& repository, int64_t seconds, JobContext& job) {
    KILN_TRY_ASSIGN(Root root, Root::open(repository));
    const DirectoryView view(std::move(root));
    llb::CopyAction copy;
    copy.src = "/" + request_.subdirectory;
    copy.dest = "/";
    copy.dir_copy_contents = copy.follow_symlink = copy.create_dest_path = true;
    copy.mode_str = "u=rwX,go=rX";
    copy.timestamp = seconds * kNanoseconds;
    if (!request_.keeps_git_directory) copy.exclude_patterns = {"**/.git"};
    PlanOptions options;
    options.owner = Owner{};
    KILN_TRY_ASSIGN(const auto matches, select_matches(view, copy));
    PlannedTree plan(nullptr);
    for (const CopyMatch& match : matches)
      KILN_TRY(plan_copy(plan, copy, match, PlanSource{&view, 0}, options, job.stop));
    KILN_TRY_ASSIGN(auto tree, WorkTree::create(environment_, nullptr, job.stop));
    {
      const TreeView* sources[] = {&view};
      KILN_TRY_ASSIGN(const Root target, tree->root());
      KILN_TRY(plan_apply(plan, sources, target, job.stop));
    }
    return tree->commit();
  }

  const OpsEnvironment& environment_;
  const GitRequest request_;
  std::optional<internal::GitSettings> settings_;
  std::string commit_;
  std::string full_ref_;  // "": the commit was named
};

}  // namespace

Result<std::unique_ptr<Operation>> make_git_op(const OpsEnvironment& environment,
                                               const llb::Vertex& vertex) {
  KILN_TRY_ASSIGN(GitRequest request, parse_request(std::get<llb::SourceOp>(vertex.op)));
  return std::make_unique<GitOperation>(environment, std::move(request));
}

}  // namespace kiln
