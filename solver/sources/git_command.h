// The git binary, kept on a short leash: no configuration of the system or the user, no hooks, no
// prompts, no protocol that reaches local files or starts helpers, no inherited environment. What
// it is told about secrets lies in a file of its own, never in arguments (SAFETY.md 5).
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/result.h"

namespace kiln::internal {

struct GitSettings {
  std::string search_path;           // PATH: git, ssh
  std::string scratch;               // for the repository and the configuration
  std::string remote;                // the URL that credentials are for, and itself without any
  std::string authorization;         // value of the Authorization header; "": none
  std::string ssh_socket;            // of an agent; "": none
  std::string known_hosts;           // lines of a known_hosts file; "": the system's
  std::vector<std::string> proxies;  // variables: "https_proxy=http://proxy:3128"
};

class GitCommand {
 public:
  /// Makes a private directory with the configuration; it goes with this object.
  static Result<GitCommand> create(const GitSettings& settings);
  /// Where a repository may be made: `repository` below a directory that only we know.
  std::string repository() const { return home_.path() + "/repository"; }
  /// stdout of `git ARGS…` in `directory`. kNotFound: no git. kFailedPrecondition with what git
  /// said (credentials hidden). Blocks.
  Result<std::string> run(const std::string& directory, std::vector<std::string> args,
                          std::stop_token stop) const;

 private:
  GitCommand(TempDir home, std::vector<std::string> environment, std::string remote)
      : home_(std::move(home)), environment_(std::move(environment)), remote_(std::move(remote)) {}
  TempDir home_;
  std::vector<std::string> environment_;
  std::string remote_;
};

/// An http(s) URL with "user:password@" taken out of it: git gets the URL as an argument.
struct SplitRemote {
  std::string url;
  std::string user_and_password;  // decoded; "": none
};
SplitRemote split_credentials(const std::string& remote);

/// kInvalidArgument: not http, https, ssh or git, or something that git would take for an option.
Status check_git_remote(const std::string& remote);

}  // namespace kiln::internal
