#include "cache/server/config.h"

#define TOML_EXCEPTIONS 0  // NOLINT(readability-identifier-naming): the library's name
#include <toml++/toml.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "base/clock.h"
#include "base/strings.h"
#include "cache/server/names.h"
#include "oci/reference.h"

namespace kiln::server {
namespace {

using std::chrono::seconds;

SourceRange place_of(const toml::source_region& source, const std::string& file) {
  const int line = static_cast<int>(source.begin.line);
  return {file, line, line};
}

// One table: every key is asked for by name, and whatever is left in the end is unknown. The first
// mistake is kept.
class Section {
 public:
  Section(const toml::table& table, std::string name, const std::string& file)
      : table_(table), name_(std::move(name)), file_(file) {}

  void text(const char* key, std::string& out) {
    if (const toml::node* node = find(key)) {
      if (const auto value = node->value_exact<std::string>())
        out = *value;
      else
        wrong(*node, key, "is not a string");
    }
  }
  void flag(const char* key, bool& out) {
    if (const toml::node* node = find(key)) {
      if (const auto value = node->value_exact<bool>())
        out = *value;
      else
        wrong(*node, key, "is neither true nor false");
    }
  }
  template <class T>
  void number(const char* key, T& out, T least) {
    if (const toml::node* node = find(key)) {
      const auto value = node->value<double>();
      if (node->is_number() && value && *value >= static_cast<double>(least))
        out = static_cast<T>(*value);
      else
        wrong(*node, key, "is not a number of at least " + std::to_string(least));
    }
  }
  void bytes(const char* key, uint64_t& out) {
    if (const toml::node* node = find(key)) {
      if (const auto plain = node->value_exact<int64_t>(); plain && *plain >= 0) {
        out = static_cast<uint64_t>(*plain);
        return;
      }
      const auto parsed = parse_ram_bytes(node->value_exact<std::string>().value_or("?"));
      if (parsed)
        out = *parsed;
      else
        wrong(*node, key, "is not a size like \"10GiB\"");
    }
  }
  template <class Duration>
  void duration(const char* key, Duration& out) {
    if (const toml::node* node = find(key)) {
      const auto parsed = parse_duration(node->value_exact<std::string>().value_or("?"));
      if (parsed && parsed->count() >= 0)
        out = std::chrono::duration_cast<Duration>(*parsed);
      else
        wrong(*node, key, "is not a duration like \"30s\" or \"6h\"");
    }
  }
  void texts(const char* key, std::vector<std::string>& out) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const toml::array* list = node->as_array();
    if (list == nullptr) return wrong(*node, key, "is not a list of strings");
    for (const toml::node& element : *list) {
      const auto value = element.value_exact<std::string>();
      if (!value) return wrong(element, key, "is not a list of strings");
      out.push_back(*value);
    }
  }
  template <class F>
  void section(const char* key, const F& read) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const toml::table* table = node->as_table();
    if (table == nullptr) return wrong(*node, key, "is not a table");
    Section inner(*table, std::string("[") + key + "]", file_);
    read(inner);
    take(inner);
  }
  template <class F>
  void sections(const char* key, const F& read) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const toml::array* list = node->as_array();
    if (list == nullptr) return wrong(*node, key, "is written as [[" + std::string(key) + "]]");
    for (const toml::node& element : *list) {
      const toml::table* table = element.as_table();
      if (table == nullptr)
        return wrong(element, key, "is written as [[" + std::string(key) + "]]");
      Section inner(*table, "[[" + std::string(key) + "]]", file_);
      read(inner);
      take(inner);
    }
  }

  void need(const char* key) {
    if (!table_.contains(key)) fault(table_.source(), "has no \"" + std::string(key) + "\"");
  }
  void wrong(const char* key, const std::string& what) {
    const toml::node* node = table_.get(key);
    fault(node != nullptr ? node->source() : table_.source(),
          "\"" + std::string(key) + "\" " + what);
  }

  Status finish() {
    for (const auto& [key, node] : table_) {
      if (error_ || asked_.contains(std::string(key.str()))) continue;
      const std::vector<std::string> known(asked_.begin(), asked_.end());
      fault(key.source(), "knows no \"" + std::string(key.str()) + "\"" +
                              did_you_mean(std::string(key.str()), known));
    }
    if (error_) return tl::unexpected(*error_);
    return {};
  }

 private:
  const toml::node* find(const char* key) {
    asked_.insert(key);
    return table_.get(key);
  }
  void wrong(const toml::node& node, const char* key, const std::string& what) {
    fault(node.source(), "\"" + std::string(key) + "\" " + what);
  }
  void fault(const toml::source_region& source, const std::string& what) {
    if (!error_)
      error_ = Error(Code::kInvalidArgument, (name_.empty() ? "the file" : name_) + ": " + what)
                   .at(place_of(source, file_));
  }
  void take(Section& inner) {
    const Status status = inner.finish();
    if (!status && !error_) error_ = status.error();
  }

  const toml::table& table_;
  const std::string name_;
  const std::string& file_;
  std::set<std::string> asked_;
  std::optional<Error> error_;
};

void read_tls(Section& section, ServerConfig& config) {
  TlsFiles& tls = config.tls.emplace();
  section.need("certificate");
  section.need("key");
  section.text("certificate", tls.certificate);
  section.text("key", tls.key);
  section.text("client_ca", tls.client_ca);
  section.flag("client_certificate_optional", tls.client_optional);
}

void read_listen(Section& section, ServerConfig& config) {
  std::vector<std::string> networks;
  section.texts("trusted_proxies", networks);
  Result<TrustedProxies> proxies = TrustedProxies::parse(networks);
  if (!proxies)
    section.wrong("trusted_proxies", "is wrong: " + proxies.error().message());
  else
    config.trusted_proxies = *std::move(proxies);
}

void read_auth(Section& section, ServerConfig& config) {
  section.text("realm", config.realm);
  section.text("public_url", config.public_url);
  section.text("htpasswd", config.htpasswd);
  section.texts("administrators", config.access.administrators);
  section.sections("token", [&](Section& token) {
    StaticToken read;
    token.need("name");
    token.need("sha256");
    token.text("name", read.name);
    token.text("sha256", read.sha256);
    if (!BlobDigest::parse("sha256:" + read.sha256))
      token.wrong("sha256", "is not 64 lower-case hex digits: printf %s TOKEN | sha256sum");
    config.credentials.tokens.push_back(std::move(read));
  });
}

void read_access(Section& section, ServerConfig& config) {
  Grant grant;
  std::vector<std::string> allow;
  for (const char* key : {"who", "repositories", "allow"}) section.need(key);
  section.texts("who", grant.who);
  section.texts("repositories", grant.repositories);
  section.texts("allow", allow);
  for (const std::string& word : allow) {
    if (word == "pull")
      grant.actions.push_back(Action::kPull);
    else if (word == "push")
      grant.actions.push_back(Action::kPush);
    else if (word == "delete")
      grant.actions.push_back(Action::kDelete);
    else
      section.wrong("allow", "knows pull, push and delete, not " + quote(word));
  }
  config.has_access_rules = true;
  config.access.grants.push_back(std::move(grant));
}

void read_limits(Section& section, ServerConfig& config) {
  HttpOptions& http = config.http;
  section.bytes("blob", config.max_blob_bytes);
  section.number<size_t>("connections", http.max_connections, 1);
  section.number<size_t>("connections_per_client", http.max_connections_per_client, 1);
  section.number("requests_per_second", config.requests.per_second, 0.0);
  section.number("request_burst", config.requests.burst, 1.0);
  section.number("failed_logins_per_second", config.failed_logins.per_second, 0.0);
  section.number("failed_login_burst", config.failed_logins.burst, 1.0);
  section.number<size_t>("disk_threads", http.disk_threads, 1);
  section.duration("header_timeout", http.header_timeout);
  section.duration("idle_timeout", http.idle_timeout);
  section.duration("stall_timeout", http.stall_timeout);
  section.duration("stop_grace", http.stop_grace);
  config.requests.burst = std::max(config.requests.burst, config.requests.per_second);
}

void read_quota(Section& section, ServerConfig& config) {
  Quota quota;
  section.need("repositories");
  section.need("bytes");
  section.text("repositories", quota.repositories);
  section.bytes("bytes", quota.bytes);
  config.quotas.push_back(std::move(quota));
}

void read_storage(Section& section, ServerConfig& config) {
  StorageFacts& storage = config.storage;
  section.text("endpoint", storage.endpoint);
  section.text("region", storage.region);
  section.text("addressing", storage.addressing);
  section.text("ca_file", storage.ca_file);
  section.text("access_key_id", storage.access_key_id);
  section.text("secret_access_key", storage.secret_access_key);
  section.text("session_token", storage.session_token);
  if (!storage.addressing.empty() && storage.addressing != "path" && storage.addressing != "host")
    section.wrong("addressing", "is \"path\" or \"host\"");
  if (storage.access_key_id.empty() != storage.secret_access_key.empty())
    section.wrong("access_key_id", "and \"secret_access_key\" go together");
}

void read_cache(Section& section, ServerConfig& config) {
  seconds age{0};
  uint64_t bytes = 0;
  section.duration("max_age", age);
  section.bytes("max_bytes", bytes);
  if (age.count() > 0) config.cache.max_age = age;
  if (bytes > 0) config.cache.max_bytes = bytes;
}

void read_proxy(Section& section, ServerConfig& config) {
  Upstream upstream;
  section.need("remote");
  section.text("remote", upstream.remote);
  section.text("prefix", upstream.prefix);
  section.text("username", upstream.username);
  section.text("password_file", upstream.password_file);
  section.duration("refresh", upstream.refresh);
  section.duration("keep", upstream.keep);
  if (!upstream.prefix.empty() && !is_repository_name(upstream.prefix))
    section.wrong("prefix", "is no repository name");
  if (!oci::Reference::parse(upstream.remote + "/name"))
    section.wrong("remote", "is no registry like \"docker.io\" or \"registry.example:5000\"");
  if (upstream.username.empty() != upstream.password_file.empty())
    section.wrong("username", "and \"password_file\" go together");
  config.upstreams.push_back(std::move(upstream));
}

}  // namespace

Result<ServerConfig> parse_config(std::string_view text, const std::string& file) {
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed)
    return tl::unexpected(Error(Code::kInvalidArgument, std::string(parsed.error().description()))
                              .at(place_of(parsed.error().source(), file)));
  ServerConfig config;
  Section top(parsed.table(), "", file);
  top.section("tls", [&](Section& s) { read_tls(s, config); });
  top.section("listen", [&](Section& s) { read_listen(s, config); });
  top.section("auth", [&](Section& s) { read_auth(s, config); });
  top.sections("access", [&](Section& s) { read_access(s, config); });
  top.sections("quota", [&](Section& s) { read_quota(s, config); });
  top.sections("proxy", [&](Section& s) { read_proxy(s, config); });
  top.section("limits", [&](Section& s) { read_limits(s, config); });
  top.section("collect", [&](Section& s) {
    s.duration("interval", config.collect_interval);
    s.duration("grace", config.collect_grace);
    s.duration("upload_age", config.upload_age);
  });
  top.section("storage", [&](Section& s) { read_storage(s, config); });
  top.section("cache", [&](Section& s) { read_cache(s, config); });
  top.section("audit", [&](Section& s) {
    s.text("file", config.audit_file);
    s.flag("reads", config.audit_reads);
  });
  KILN_TRY(top.finish());
  return config;
}

std::vector<std::string> sections_for_next_start(const ServerConfig& running,
                                                 const ServerConfig& wanted) {
  std::vector<std::string> names;
  const auto look = [&](const char* name, bool same) {
    if (!same) names.emplace_back(name);
  };
  const auto limits = [](const ServerConfig& c) {
    return std::tie(c.max_blob_bytes, c.requests, c.failed_logins, c.http);
  };
  const auto collect = [](const ServerConfig& c) {
    return std::tie(c.collect_interval, c.collect_grace, c.upload_age);
  };
  const auto audit = [](const ServerConfig& c) { return std::tie(c.audit_file, c.audit_reads); };
  look("[tls]", running.tls.has_value() == wanted.tls.has_value());  // certificates are reloaded
  look("[[quota]]", running.quotas == wanted.quotas);
  look("[[proxy]]", running.upstreams == wanted.upstreams);
  look("[limits]", limits(running) == limits(wanted));
  look("[collect]", collect(running) == collect(wanted));
  look("[storage]", running.storage == wanted.storage);
  look("[cache]", running.cache == wanted.cache);
  look("[audit]", audit(running) == audit(wanted));
  return names;
}

}  // namespace kiln::server
