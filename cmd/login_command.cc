// `kiln login` and `kiln logout`: credentials into and out of Docker's config.json, or the helper
// program that it names.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>

#include "base/fs.h"
#include "base/io.h"
#include "base/strings.h"
#include "cmd/ask_terminal.h"
#include "cmd/commands.h"
#include "cmd/registries.h"
#include "oci/registry_login.h"

namespace kiln::cmd {
namespace {

constexpr uint64_t kPasswordLimit = 64U << 10U;

void tell(const std::string& text) {
  (void)std::fputs(text.c_str(), stderr);  // nothing to do if it is gone
}

// The file's own place, where it is a link: a home is often kept elsewhere.
std::string real_place(const std::string& path) {
  std::error_code failed;
  const auto real = std::filesystem::canonical(path, failed);
  return failed ? path : real.string();
}

class DockerConfig {
 public:
  static Result<DockerConfig> read(const Environment& environment) {
    const std::string path = docker_config_path(environment);
    if (path.empty())
      return tl::unexpected(Error(Code::kFailedPrecondition, "there is no home directory")
                                .hint("set HOME or DOCKER_CONFIG"));
    KILN_TRY_ASSIGN(const std::string text, read_docker_config(path));
    auto file = oci::CredentialFile::parse(text);
    if (!file) return tl::unexpected(file.error().wrap("read " + quote(path)));
    return DockerConfig(path, *std::move(file));
  }
  const std::string& path() const { return path_; }
  const oci::CredentialFile& file() const { return file_; }  // as it was read
  /// Changes what the file has by then: others log in at the same time. A lock file beside it is
  /// held meanwhile, which docker does not know; against it the window is that of one write.
  Status update(const std::function<void(oci::CredentialFile&)>& change,
                const std::stop_token& stop) const {
    const std::string place = real_place(path_);
    if (const size_t slash = place.rfind('/'); slash != std::string::npos && slash > 0)
      KILN_TRY(make_dirs(place.substr(0, slash), 0700));
    KILN_TRY_ASSIGN(const FileLock alone,
                    FileLock::acquire(place + ".kiln-lock", FileLock::Mode::kExclusive,
                                      [&] { return stop.stop_requested(); }));
    KILN_TRY_ASSIGN(const std::string text, read_docker_config(path_));
    auto fresh = oci::CredentialFile::parse(text);
    if (!fresh) return tl::unexpected(fresh.error().wrap("read " + quote(path_)));
    change(*fresh);
    KILN_TRY_ASSIGN(AtomicFile file, AtomicFile::create(place, 0600));
    KILN_TRY(file.write(fresh->text()));
    return file.commit();
  }

 private:
  DockerConfig(std::string path, oci::CredentialFile file)
      : path_(std::move(path)), file_(std::move(file)) {}
  std::string path_;
  oci::CredentialFile file_;
};

Result<std::string> password_from_stdin() {
  FdSource in(Fd(::dup(STDIN_FILENO)), "standard input");
  KILN_TRY_ASSIGN(std::string text, read_all(in, kPasswordLimit, "password"));
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

struct Login {
  const LoginOptions& options;
  const Invocation& invocation;
  std::string domain;
  DockerConfig config;
  oci::RegistryAccess access;

  Status run() {
    KILN_TRY_ASSIGN(const bool known, with_known());
    if (known) return {};
    KILN_TRY_ASSIGN(oci::Credentials credentials, ask());
    const auto identity = oci::check_login(access, domain, credentials, invocation.stop);
    if (!identity) return tl::unexpected(identity.error().wrap("log in to " + quote(domain)));
    credentials.identity_token = *identity;
    KILN_TRY(keep(credentials));
    return {};
  }

 private:
  // Without a name and a password those that are kept are tried.
  Result<bool> with_known() {
    if (!options.username.empty() || !options.password.empty() || options.password_stdin)
      return false;
    const auto found = access.credentials->find(domain, invocation.stop);
    if (!found && found.error().code() != Code::kInvalidArgument)
      return tl::unexpected(found.error());
    if (!found || !*found) return false;  // none, or damaged ones, which are replaced
    tell("Authenticating with existing credentials...\n");
    const auto checked = oci::check_login(access, domain, **found, invocation.stop);
    if (checked) return true;
    if (checked.error().code() != Code::kUnauthenticated) return tl::unexpected(checked.error());
    tell("Login did not succeed, error: " + checked.error().message() + "\n");
    return false;
  }

  Result<oci::Credentials> ask() {
    oci::Credentials credentials{options.username, options.password, ""};
    if (options.password_stdin) {
      KILN_TRY_ASSIGN(credentials.password, password_from_stdin());
    }
    if (credentials.username.empty()) {
      KILN_TRY_ASSIGN(credentials.username,
                      ask_terminal("Username: ", Echo::kYes, invocation.stop));
    }
    if (credentials.username.empty()) return fail(Code::kInvalidArgument, "username required");
    if (credentials.password.empty() && !options.password_stdin) {
      KILN_TRY_ASSIGN(credentials.password, ask_terminal("Password: ", Echo::kNo, invocation.stop));
    }
    if (credentials.password.empty()) return fail(Code::kInvalidArgument, "password required");
    return credentials;
  }

  Status keep(const oci::Credentials& credentials) {
    const std::string name = config.file().helper(domain);
    if (name.empty()) {
      tell("WARNING! Your credentials are stored unencrypted in '" + config.path() +
           "'.\nA credential helper (\"credsStore\" there) would keep them elsewhere.\n");
      return config.update([&](oci::CredentialFile& file) { file.set(domain, credentials); },
                           invocation.stop);
    }
    KILN_TRY_ASSIGN(const oci::CredentialHelper helper,
                    oci::CredentialHelper::named(helper_place(invocation.environment), name));
    KILN_TRY(helper.store(oci::credential_key(domain), credentials, invocation.stop));
    return config.update([&](oci::CredentialFile& file) { file.set_kept_by_helper(domain); },
                         invocation.stop);
  }
};

std::string domain_or_hub(const std::string& server) {
  return server.empty() ? "docker.io" : oci::credential_domain(server);
}

Status log_out(const std::string& domain, const Invocation& invocation) {
  KILN_TRY_ASSIGN(const DockerConfig config, DockerConfig::read(invocation.environment));
  const std::string shown = oci::credential_key(domain);
  const std::string name = config.file().helper(domain);
  if (!config.file().has(domain) && name.empty()) {
    (void)std::printf("Not logged in to %s\n", shown.c_str());  // closed: the shell shows it
    return {};
  }
  (void)std::printf("Removing login credentials for %s\n", shown.c_str());  // as above
  if (!name.empty()) {
    KILN_TRY_ASSIGN(const oci::CredentialHelper helper,
                    oci::CredentialHelper::named(helper_place(invocation.environment), name));
    KILN_TRY(helper.erase(shown, invocation.stop));
  }
  if (!config.file().has(domain)) return {};
  return config.update([&](oci::CredentialFile& file) { file.erase(domain); }, invocation.stop);
}

}  // namespace

CommandResult run_login(const LoginOptions& options, const Invocation& invocation) {
  if (options.password_stdin && !options.password.empty())
    return usage_failure(
        Error(Code::kInvalidArgument, "--password and --password-stdin are mutually exclusive"));
  if (options.password_stdin && options.username.empty())
    return usage_failure(
        Error(Code::kInvalidArgument, "must provide --username with --password-stdin"));
  if (!options.password.empty())
    tell("WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n");
  Registries registries(invocation.environment);
  KILN_CMD_TRY_ASSIGN(const oci::RegistryAccess access, registries.access());
  KILN_CMD_TRY_ASSIGN(DockerConfig config, DockerConfig::read(invocation.environment));
  Login login{options, invocation, domain_or_hub(options.server), std::move(config), access};
  KILN_CMD_TRY(login.run());
  (void)std::puts("Login Succeeded");  // closed: the shell shows it
  return {};
}

CommandResult run_logout(const LogoutOptions& options, const Invocation& invocation) {
  KILN_CMD_TRY(log_out(domain_or_hub(options.server), invocation));
  return {};
}

}  // namespace kiln::cmd
