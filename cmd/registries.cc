#include "cmd/registries.h"

#include "base/fs.h"
#include "base/http_client.h"

namespace kiln::cmd {
namespace {

constexpr uint64_t kDockerConfigLimit = 4U << 20U;
constexpr uint64_t kRegistriesLimit = 1U << 20U;
constexpr const char* kSystemConfig = "/etc/kiln/registries.toml";
constexpr const char* kDockerCertificates = "/etc/docker/certs.d";

std::string variable(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

// One file counts: what a variable names, else the user's, else the machine's.
Result<std::string> registries_file(const Environment& environment) {
  if (std::string named = variable(environment, "KILN_CONFIG"); !named.empty()) return named;
  std::string user = variable(environment, "XDG_CONFIG_HOME");
  if (user.empty() && !variable(environment, "HOME").empty())
    user = variable(environment, "HOME") + "/.config";
  if (!user.empty()) {
    user += "/kiln/registries.toml";
    KILN_TRY_ASSIGN(const bool there, exists(user));
    if (there) return user;
  }
  KILN_TRY_ASSIGN(const bool there, exists(kSystemConfig));
  return there ? std::string(kSystemConfig) : std::string();
}

Result<oci::RegistryConfig> read_registries(const Environment& environment) {
  oci::RegistryConfig config;
  KILN_TRY_ASSIGN(const std::string file, registries_file(environment));
  if (!file.empty()) {
    KILN_TRY_ASSIGN(const std::string text, read_file(file, kRegistriesLimit));
    KILN_TRY_ASSIGN(config, oci::RegistryConfig::parse(text, file));
  }
  config.use_certificates_of(kDockerCertificates);
  return config;
}

}  // namespace

struct Registries::Parts {
  std::unique_ptr<HttpClient> http;
  oci::CredentialStore credentials;
  oci::RegistryConfig config;
};

std::string http_proxy(const Environment& environment) {
  if (!variable(environment, "http_proxy").empty()) return "";
  return variable(environment, "HTTP_PROXY");
}

std::string docker_config_path(const Environment& environment) {
  if (const std::string own = variable(environment, "DOCKER_CONFIG"); !own.empty())
    return own + "/config.json";
  const std::string home = variable(environment, "HOME");
  return home.empty() ? "" : home + "/.docker/config.json";
}

Result<std::string> read_docker_config(const std::string& path) {
  if (path.empty()) return std::string();
  KILN_TRY_ASSIGN(const bool there, exists(path));
  if (!there) return std::string();
  return read_file(path, kDockerConfigLimit);
}

oci::HelperPlace helper_place(const Environment& environment) {
  oci::HelperPlace place;
  place.search_path = variable(environment, "PATH");
  for (const auto& [name, value] : environment)
    place.environment.emplace_back(name).append("=").append(value);
  return place;
}

Status Registries::prepare() {
  if (parts_) return {};
  auto parts = std::make_shared<Parts>();
  const std::string file = docker_config_path(environment_);
  KILN_TRY_ASSIGN(const std::string text, read_docker_config(file));
  const oci::HelperPlace helpers = helper_place(environment_);
  Result<oci::CredentialStore> credentials = oci::CredentialStore::parse(text, &helpers);
  if (!credentials) return tl::unexpected(credentials.error().wrap("read \"" + file + "\""));
  parts->credentials = *std::move(credentials);
  KILN_TRY_ASSIGN(parts->config, read_registries(environment_));
  parts->http = HttpClient::create("kiln/" KILN_VERSION, http_proxy(environment_));
  parts_ = std::move(parts);
  return {};
}

Result<oci::RegistryAccess> Registries::access() {
  const std::lock_guard hold(mutex_);
  KILN_TRY(prepare());
  return oci::RegistryAccess{parts_->http.get(), &parts_->credentials, &parts_->config};
}

Result<oci::RegistryAccess> Registries::insecure_access(const std::string& domain) {
  KILN_TRY_ASSIGN(oci::RegistryAccess access, this->access());
  const std::lock_guard hold(mutex_);
  auto& own = insecure_[domain];
  if (!own) {
    own = std::make_unique<oci::RegistryConfig>(parts_->config);
    KILN_TRY_ASSIGN(oci::HostConfig host, own->find(domain));
    host.http = host.insecure = true;
    own->set(domain, std::move(host));
  }
  access.config = own.get();
  return access;
}

void Registries::remember(const oci::Reference& name, const Digest& image) {
  const std::lock_guard hold(mutex_);
  meanings_.insert_or_assign(name.name() + ":" + name.tag, image);
}

bool Registries::remembers(const oci::Reference& name, const Digest& image) {
  const std::lock_guard hold(mutex_);
  const auto found = meanings_.find(name.name() + ":" + name.tag);
  return found != meanings_.end() && found->second == image;
}

}  // namespace kiln::cmd
