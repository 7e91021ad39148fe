#include "solver/sources/git_command.h"

#include <fcntl.h>

#include <algorithm>
#include <array>

#include "base/process.h"
#include "base/strings.h"
#include "solver/sources/http_fetch.h"

namespace kiln::internal {
namespace {

constexpr uint64_t kMaxOutputBytes = 16U << 20U;

/// Only what cannot end the quoted string it is written into.
bool is_plain(const std::string& text) {
  return text.find_first_of("\"\\\n\r") == std::string::npos;
}

Status write_private(const std::string& path, const std::string& text) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.valid()) return fail_errno("create", path);
  return write_fully(file.get(), std::as_bytes(std::span(text.data(), text.size())), path);
}

Result<std::string> configuration(const GitSettings& settings) {
  std::string text =
      "[core]\n\thooksPath = /dev/null\n\tfsmonitor = false\n\tautocrlf = false\n"
      "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[advice]\n\tdetachedHead = false\n"
      "[init]\n\tdefaultBranch = main\n[fetch]\n\trecurseSubmodules = false\n"
      "[submodule]\n\trecurse = false\n"
      "[http]\n\tlowSpeedLimit = 1\n\tlowSpeedTime = 60\n\tfollowRedirects = ";
  // git would send the header to wherever it is redirected (SAFETY.md 4.1).
  text += settings.authorization.empty() ? "initial\n" : "false\n";
  if (settings.authorization.empty()) return text;
  if (!is_plain(settings.authorization) || !is_plain(settings.remote))
    return fail(Code::kInvalidArgument, "the credentials for git hold a quote or a line break");
  const size_t scheme = settings.remote.find("://");
  const size_t end = settings.remote.find('/', scheme + 3);
  const std::string origin = without_credentials(settings.remote.substr(0, end));
  text += "[http \"" + origin + "/\"]\n\textraHeader = \"Authorization: " + settings.authorization +
          "\"\n";
  return text;
}

std::string ssh_command(const std::string& known_hosts_file) {
  std::string command =
      "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes "
      "-o IdentityFile=none -o ForwardAgent=no";
  if (!known_hosts_file.empty()) command += " -o UserKnownHostsFile=" + known_hosts_file;
  return command;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char small = static_cast<char>(c | 0x20);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = i + 2 < text.size() && text[i] == '%' ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    out += low >= 0 ? static_cast<char>(high * 16 + low) : text[i];
    if (low >= 0) i += 2;
  }
  return out;
}

/// What to do about it, where git's words tell.
std::string advice(const std::string& said) {
  const auto says = [&said](const char* words) { return said.find(words) != std::string::npos; };
  if (says("could not read Username") || says("Authentication failed"))
    return "the repository needs credentials: --secret id=GIT_AUTH_TOKEN, or GIT_AUTH_HEADER";
  if (says("Permission denied (publickey"))
    return "no key of the agent given with --ssh is welcome there";
  if (says("Host key verification failed"))
    return "add the host's key to /etc/ssh/ssh_known_hosts or to root's known_hosts";
  if (says("redirection"))
    return "credentials do not follow a redirect: use the URL that the server leads to";
  return {};
}

}  // namespace

SplitRemote split_credentials(const std::string& remote) {
  const bool is_http = remote.starts_with("http://") || remote.starts_with("https://");
  if (!is_http) return {remote, ""};
  const size_t start = remote.find("://") + 3;
  const std::string authority = remote.substr(start, remote.find_first_of("/?#", start) - start);
  const size_t at = authority.rfind('@');
  if (at == std::string::npos) return {remote, ""};
  std::string who = authority.substr(0, at);
  if (who.find(':') == std::string::npos) who += ':';
  const size_t colon = who.find(':');
  return {remote.substr(0, start) + remote.substr(start + at + 1),
          percent_decoded(std::string_view(who).substr(0, colon)) + ":" +
              percent_decoded(std::string_view(who).substr(colon + 1))};
}

Status check_git_remote(const std::string& remote) {
  constexpr std::array<std::string_view, 4> kSchemes = {"https://", "http://", "ssh://", "git://"};
  const bool known = std::any_of(kSchemes.begin(), kSchemes.end(), [&](std::string_view scheme) {
    return remote.starts_with(scheme);
  });
  // user@host:path, as ssh has it.
  const size_t colon = remote.find(':');
  const bool is_scp = colon != std::string::npos && remote.find('@') < colon &&
                      remote.find("://") == std::string::npos;
  const size_t authority = known ? remote.find("://") + 3 : 0;
  const bool is_option =
      remote.substr(authority).starts_with('-') || remote.find("@-") != std::string::npos;
  if ((known || is_scp) && !is_option && remote.find('\0') == std::string::npos) return {};
  return fail(Code::kInvalidArgument,
              "not a git URL that kiln fetches from: " + quote(without_credentials(remote)));
}

Result<GitCommand> GitCommand::create(const GitSettings& settings) {
  KILN_TRY(check_git_remote(settings.remote));
  KILN_TRY_ASSIGN(TempDir home, TempDir::create(settings.scratch, "git-"));
  KILN_TRY_ASSIGN(const std::string config, configuration(settings));
  KILN_TRY(write_private(home.path() + "/config", config));
  std::string known_hosts;
  if (!settings.known_hosts.empty()) {
    known_hosts = home.path() + "/known_hosts";
    KILN_TRY(write_private(known_hosts, settings.known_hosts + "\n"));
  }
  std::vector<std::string> environment = {
      "PATH=" + settings.search_path,
      "HOME=" + home.path(),
      "LC_ALL=C",
      "GIT_CONFIG_NOSYSTEM=1",
      "GIT_CONFIG_GLOBAL=" + home.path() + "/config",
      "GIT_TERMINAL_PROMPT=0",
      "GIT_ASKPASS=/bin/false",
      "GIT_LFS_SKIP_SMUDGE=1",
      "GIT_SSH_COMMAND=" + ssh_command(known_hosts),
  };
  environment.insert(environment.end(), settings.proxies.begin(), settings.proxies.end());
  if (!settings.ssh_socket.empty()) environment.push_back("SSH_AUTH_SOCK=" + settings.ssh_socket);
  return GitCommand(std::move(home), std::move(environment), settings.remote);
}

Result<std::string> GitCommand::run(const std::string& directory, std::vector<std::string> args,
                                    std::stop_token stop) const {
  ProcessSpec spec;
  spec.argv = {"git"};
  const std::string what = args.front();
  spec.argv.insert(spec.argv.end(), std::make_move_iterator(args.begin()),
                   std::make_move_iterator(args.end()));
  spec.env = environment_;
  // A redirect must not lead from https to http (SAFETY.md 4.1). A submodule names its own URL.
  const bool never_http = remote_.starts_with("https://") && what != "submodule";
  spec.env.emplace_back(never_http ? "GIT_ALLOW_PROTOCOL=https:ssh:git"
                                   : "GIT_ALLOW_PROTOCOL=http:https:ssh:git");
  spec.cwd = directory.empty() ? home_.path() : directory;
  // git talks through helpers (git-remote-http, ssh), which would outlive it where a server is
  // silent: the kernel ends them with it.
  spec.isolation.emplace();
  auto ran = run_captured(spec, "", kMaxOutputBytes, std::move(stop));
  if (!ran) {
    const Error error = ran.error().wrap("git " + what);
    return tl::unexpected(ran.error().code() == Code::kNotFound
                              ? error.hint("fetching from repositories needs git: install it")
                              : error);
  }
  if (ran->exit.ok()) return std::move(ran->out);
  const Error error(Code::kFailedPrecondition,
                    "git " + what + " failed: " + printable(trim(without_credentials(ran->err))));
  const std::string hint = advice(ran->err);
  return tl::unexpected(hint.empty() ? error : error.hint(hint));
}

}  // namespace kiln::internal
