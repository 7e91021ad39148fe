#include "cache/server/serve.h"

#include <fcntl.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "base/fs.h"
#include "base/io.h"
#include "base/strings.h"
#include "cache/cache_protocol.h"
#include "cache/server/cache_api.h"
#include "cache/server/http_server.h"
#include "cache/server/open_storage.h"
#include "oci/url.h"

namespace kiln::server {
namespace {

constexpr uint64_t kMaxConfigFileBytes = 4U << 20U;
constexpr size_t kMirrorThreads = 48;
constexpr size_t kBucketThreads = 24;  // more, since they wait for a network

// Whole lines, each with one write, so that those of several threads do not mix.
Result<LineWriter> open_audit(const std::string& file) {
  if (file.empty()) return LineWriter();
  std::shared_ptr<Fd> fd;
  if (file == "-") {
    fd = std::make_shared<Fd>(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
  } else {
    fd =
        std::make_shared<Fd>(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  }
  if (!fd->valid()) return fail_errno("open audit log", file);
  return LineWriter([fd, file](std::string_view line) {
    const std::string text = std::string(line) + "\n";
    (void)write_fully(fd->get(), as_bytes(text), file);  // a full disk must not stop the registry
  });
}

}  // namespace

Result<ServerConfig> load_config(const std::string& file) {
  if (file.empty()) {
    ServerConfig config;
    config.access.everyone_may_all = true;
    return config;
  }
  KILN_TRY_ASSIGN(const std::string text, read_file(file, kMaxConfigFileBytes));
  KILN_TRY_ASSIGN(ServerConfig config, parse_config(text, file));
  if (!config.htpasswd.empty()) {
    KILN_TRY_ASSIGN(const std::string passwords, read_file(config.htpasswd, kMaxConfigFileBytes));
    KILN_TRY_ASSIGN(config.credentials.passwords, parse_htpasswd(passwords, config.htpasswd));
  }
  config.access.everyone_may_all = !config.has_access_rules && config.credentials.empty() &&
                                   (!config.tls || config.tls->client_ca.empty());
  if (!config.has_access_rules && !config.access.everyone_may_all) {
    // Who can log in may do everything, unless it is said who may do what.
    for (const auto& [user, hash] : config.credentials.passwords)
      config.access.grants.push_back(
          {{user}, {"**"}, {Action::kPull, Action::kPush, Action::kDelete}});
    for (const StaticToken& token : config.credentials.tokens)
      config.access.grants.push_back(
          {{token.name}, {"**"}, {Action::kPull, Action::kPush, Action::kDelete}});
  }
  return config;
}

Result<StorageFacts> load_storage_facts(const std::string& file) {
  if (file.empty()) return StorageFacts{};
  KILN_TRY_ASSIGN(const std::string text, read_file(file, kMaxConfigFileBytes));
  KILN_TRY_ASSIGN(const ServerConfig config, parse_config(text, file));
  return config.storage;
}

Status check_exposure(const ServeOptions& options) {
  if (oci::is_loopback_host(options.host)) return {};
  const std::string where = quote(options.host + ":" + std::to_string(options.port));
  if (!options.config.tls && !options.plaintext_anywhere)
    return tl::unexpected(
        Error(Code::kInvalidArgument, where + " is no loopback address, and there is no TLS")
            .hint("name a certificate in [tls] of --config, or say --insecure-plaintext if "
                  "something in front of kiln speaks TLS"));
  if (options.config.access.everyone_may_all)
    return tl::unexpected(
        Error(Code::kInvalidArgument,
              "on " + where + " everybody who reaches it could push and delete")
            .hint("say in --config who may: [auth] and [[access]]; \"anonymous\" may be among "
                  "them"));
  return {};
}

// In the order in which they are needed: the server goes first.
struct RegistryServer::Parts {
  std::unique_ptr<BlobStorage> storage;
  ServeOptions options;
  Metrics metrics;
  std::optional<Registry> registry;
  std::unique_ptr<Mirror> mirror;  // null: none
  std::optional<Service> service;
  std::optional<CacheApi> cache;
  std::unique_ptr<HttpServer> http;
};

RegistryServer::RegistryServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
RegistryServer::~RegistryServer() = default;

Result<std::unique_ptr<RegistryServer>> RegistryServer::start(ServeOptions options) {
  KILN_TRY(check_exposure(options));
  auto parts = std::make_unique<Parts>();
  parts->options = std::move(options);
  ServerConfig& config = parts->options.config;
  // A balancer may send who got a token from one server to another one.
  if (is_bucket(parts->options.storage))
    config.credentials.token_key =
        keyed_hash(config.storage.secret_access_key, "kiln serve: key of tokens");
  if (is_bucket(parts->options.storage)) KILN_TRY(check_shared_settings(config));
  KILN_TRY_ASSIGN(parts->storage,
                  open_storage(parts->options.storage, config.storage, parts->options.log));
  parts->registry.emplace(*parts->storage, RegistryOptions{config.quotas, config.collect_grace});
  HttpOptions http = config.http;
  if (is_bucket(parts->options.storage)) http.disk_threads += kBucketThreads;
  if (!config.upstreams.empty()) {
    // Threads that wait for another registry are not missed by those who ask for what is here.
    const size_t waiting = http.disk_threads + kMirrorThreads;
    http.disk_threads += waiting;
    KILN_TRY_ASSIGN(parts->mirror, Mirror::create(config.upstreams, *parts->registry, waiting,
                                                  parts->options.log));
  }
  KILN_TRY_ASSIGN(LineWriter audit, open_audit(config.audit_file));
  parts->service.emplace(config,
                         Service::Parts{*parts->registry, parts->metrics, parts->mirror.get(),
                                        std::move(audit), parts->options.log});
  parts->cache.emplace(*parts->registry, parts->mirror.get(), parts->options.log);
  parts->service->mount(std::string(cache::protocol::kRoot), *parts->cache);
  http.host = parts->options.host;
  http.port = parts->options.port;
  http.tls = config.tls;
  KILN_TRY_ASSIGN(parts->http, HttpServer::start(http, *parts->service, parts->metrics.gauges));
  return std::unique_ptr<RegistryServer>(new RegistryServer(std::move(parts)));
}

uint16_t RegistryServer::port() const {
  return parts_->http->port();
}

Service& RegistryServer::service() {
  return *parts_->service;
}

Result<std::vector<std::string>> RegistryServer::reload(const ServerConfig& config) {
  const ServerConfig& started = parts_->options.config;
  ServeOptions wanted = parts_->options;
  wanted.config = config;
  KILN_TRY(check_exposure(wanted));
  // The last that can fail.
  if (started.tls && config.tls) KILN_TRY(parts_->http->replace_tls(*config.tls));
  parts_->service->replace_rules(config);
  return sections_for_next_start(started, config);
}

void RegistryServer::run(const std::stop_token& stop) {
  const std::chrono::seconds interval = parts_->options.config.collect_interval;
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    if (interval.count() == 0) {
      changed.wait(lock, stop, [] { return false; });
    } else {
      (void)changed.wait_for(lock, stop, interval, [] { return false; });
      // What it did, or why it did not, is in the log.
      if (!stop.stop_requested()) (void)parts_->service->collect();
    }
  }
  parts_->service->set_draining();
  if (parts_->mirror) parts_->mirror->stop();
  parts_->http->stop();
}

}  // namespace kiln::server
