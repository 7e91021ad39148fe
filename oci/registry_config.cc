#define TOML_EXCEPTIONS 0
#include "oci/registry_config.h"

#include <toml++/toml.h>

#include <algorithm>

#include "base/fs.h"
#include "base/strings.h"

namespace kiln::oci {
namespace {

constexpr uint64_t kCertificateLimit = 1U << 20U;

// Reads the tables and says where what it cannot read stands.
class ConfigReader {
 public:
  explicit ConfigReader(const std::string& file)
      : file_(file), directory_(file.substr(0, file.rfind('/') + 1)) {}

  Result<std::map<std::string, HostConfig>> read(const toml::table& root) {
    std::map<std::string, HostConfig> hosts;
    for (const auto& [key, node] : root) {
      if (key.str() != "registry") return unknown(key, {"registry"});
      const toml::table* registries = node.as_table();
      if (registries == nullptr) return wrong(node, "registry", "a table: [registry.\"HOST\"]");
      for (const auto& [host, about] : *registries) {
        const toml::table* table = about.as_table();
        const std::string name(host.str());
        if (table == nullptr) return wrong(about, name, "a table: [registry.\"" + name + "\"]");
        KILN_TRY_ASSIGN(HostConfig config, read_host(*table));
        hosts.emplace(to_lower(name), std::move(config));
      }
    }
    return hosts;
  }

 private:
  static constexpr const char* kKeys[] = {"mirrors", "http", "insecure", "ca", "keypair"};

  Result<HostConfig> read_host(const toml::table& table) {
    HostConfig config;
    for (const auto& [key, node] : table) {
      const std::string_view name = key.str();
      if (name == "mirrors") {
        KILN_TRY_ASSIGN(config.mirrors, read_strings(node, name));
      } else if (name == "http") {
        KILN_TRY_ASSIGN(config.http, read_bool(node, name));
      } else if (name == "insecure") {
        KILN_TRY_ASSIGN(config.insecure, read_bool(node, name));
      } else if (name == "ca") {
        KILN_TRY_ASSIGN(const std::vector<std::string> files, read_strings(node, name));
        for (const std::string& file : files) config.ca_files.push_back(place_of(file));
      } else if (name == "keypair") {
        KILN_TRY_ASSIGN(config.client_certificates, read_keypairs(node));
      } else {
        return unknown(key, {kKeys, std::size(kKeys)});
      }
    }
    return config;
  }

  Result<bool> read_bool(const toml::node& node, std::string_view name) {
    if (const auto value = node.value_exact<bool>()) return *value;
    return wrong(node, name, "true or false");
  }

  Result<std::string> read_string(const toml::node& node, std::string_view name) {
    const auto value = node.value_exact<std::string>();
    if (value && !value->empty()) return *value;
    return wrong(node, name, "a string");
  }

  Result<std::vector<std::string>> read_strings(const toml::node& node, std::string_view name) {
    std::vector<std::string> values;
    const toml::array* array = node.as_array();
    if (array == nullptr) return wrong(node, name, "a list of strings");
    for (const toml::node& element : *array) {
      KILN_TRY_ASSIGN(std::string value, read_string(element, name));
      values.push_back(std::move(value));
    }
    return values;
  }

  Result<std::vector<ClientCertificate>> read_keypairs(const toml::node& node) {
    std::vector<ClientCertificate> pairs;
    const toml::array* array = node.as_array();
    if (array == nullptr) return wrong(node, "keypair", "a table: [[registry.\"HOST\".keypair]]");
    for (const toml::node& element : *array) {
      KILN_TRY_ASSIGN(ClientCertificate pair, read_keypair(element));
      pairs.push_back(std::move(pair));
    }
    return pairs;
  }

  Result<ClientCertificate> read_keypair(const toml::node& node) {
    ClientCertificate pair;
    const toml::table* table = node.as_table();
    if (table == nullptr) return wrong(node, "keypair", "a table: [[registry.\"HOST\".keypair]]");
    for (const auto& [key, value] : *table) {
      static constexpr const char* kPairKeys[] = {"key", "cert"};
      const std::string_view name = key.str();
      if (name != "key" && name != "cert") return unknown(key, {kPairKeys, std::size(kPairKeys)});
      KILN_TRY_ASSIGN(const std::string file, read_string(value, name));
      (name == "key" ? pair.key_file : pair.certificate_file) = place_of(file);
    }
    if (pair.key_file.empty() || pair.certificate_file.empty())
      return wrong(node, "keypair", "a key and a cert");
    return pair;
  }

  std::string place_of(const std::string& path) const {
    return path.starts_with('/') ? path : directory_ + path;
  }

  tl::unexpected<Error> at(const toml::source_region& where, const std::string& what) const {
    return fail(Code::kInvalidArgument,
                file_ + ":" + std::to_string(where.begin.line) + ": " + what);
  }
  tl::unexpected<Error> wrong(const toml::node& node, std::string_view name,
                              const std::string& wanted) const {
    return at(node.source(), quote(name) + ": expected " + wanted);
  }
  tl::unexpected<Error> unknown(const toml::key& key, std::vector<std::string> known) const {
    return at(key.source(), "unknown key " + quote(key.str()) + did_you_mean(key.str(), known));
  }
  tl::unexpected<Error> unknown(const toml::key& key, std::span<const char* const> known) const {
    return unknown(key, std::vector<std::string>(known.begin(), known.end()));
  }

  const std::string file_, directory_;
};

// The name under which a URL's host stands in the configuration.
std::string domain_of(const Url& url) {
  if (url.host == "registry-1.docker.io") return "docker.io";
  const std::string origin = url.origin();
  const std::string with_port = origin.substr(origin.find("://") + 3);
  const bool usual = url.port == (url.scheme == "https" ? 443 : 80);
  return usual ? with_port.substr(0, with_port.rfind(':')) : with_port;
}

}  // namespace

Result<RegistryConfig> RegistryConfig::parse(std::string_view text, const std::string& file) {
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return fail(Code::kInvalidArgument, file + ":" + std::to_string(error.source().begin.line) +
                                            ": " + printable(error.description()));
  }
  RegistryConfig config;
  KILN_TRY_ASSIGN(config.hosts_, ConfigReader(file).read(parsed.table()));
  return config;
}

void RegistryConfig::set(const std::string& domain, HostConfig config) {
  hosts_[to_lower(domain)] = std::move(config);
}

Result<HostConfig> RegistryConfig::find(const std::string& domain) const {
  HostConfig config;
  if (const auto found = hosts_.find(to_lower(domain)); found != hosts_.end()) {
    config = found->second;
  }
  if (certificates_.empty()) return config;
  KILN_TRY_ASSIGN(const bool there, exists(certificates_));
  if (!there) return config;
  // Looked up, not joined: a registry's name is no path (SAFETY.md 1.4).
  KILN_TRY_ASSIGN(const Root root, Root::open(certificates_));
  KILN_TRY_ASSIGN(const std::vector<DirEntry> entries, list_dir(root.fd()));
  for (const DirEntry& entry : entries) {
    if (entry.name == domain) KILN_TRY(add_certificates(certificates_ + "/" + domain, config));
  }
  return config;
}

Status RegistryConfig::add_certificates(const std::string& directory, HostConfig& config) const {
  KILN_TRY_ASSIGN(const Root root, Root::open(directory));
  KILN_TRY_ASSIGN(const std::vector<DirEntry> entries, list_dir(root.fd()));
  std::vector<std::string> names;
  for (const DirEntry& entry : entries) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string file = directory + "/" + name;
    if (name.ends_with(".crt")) config.ca_files.push_back(file);
    if (!name.ends_with(".cert")) continue;
    const std::string key = file.substr(0, file.size() - 4) + "key";
    KILN_TRY_ASSIGN(const bool whole, exists(key));
    if (!whole) return fail(Code::kNotFound, quote(file) + " has no " + quote(key) + " beside it");
    config.client_certificates.push_back({file, key});
  }
  return {};
}

Status RegistryConfig::prepare(const Url& url, HttpRequest& request) const {
  if (url.scheme != "https") return {};
  KILN_TRY_ASSIGN(const HostConfig config, find(domain_of(url)));
  request.ca_pem.clear();
  for (const std::string& file : config.ca_files) {
    KILN_TRY_ASSIGN(const std::string pem, read_file(file, kCertificateLimit));
    request.ca_pem.append(pem).append("\n");
  }
  request.client_certificates = config.client_certificates;
  const bool known_ca = !config.ca_files.empty();
  request.insecure_tls = config.insecure.value_or(is_loopback_host(url.host) && !known_ca);
  return {};
}

}  // namespace kiln::oci
