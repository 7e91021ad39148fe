// `kiln serve`: a registry for as long as it runs.
#include <cstdio>
#include <thread>

#include "base/strings.h"
#include "cache/server/serve.h"
#include "cmd/commands.h"
#include "cmd/storage_environment.h"

namespace kiln::cmd {
namespace {

struct Address {
  std::string host;
  uint16_t port = 0;
};

Result<Address> parse_address(const std::string& text) {
  const size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const Result<int64_t> port = parse_int(colon == std::string::npos ? "" : text.substr(colon + 1));
  if (host.empty() || !port || *port < 0 || *port > UINT16_MAX)
    return tl::unexpected(
        Error(Code::kInvalidArgument, quote(text) + " is not HOST:PORT")
            .hint("for example 127.0.0.1:5000, or 0.0.0.0:443 for all addresses"));
  return Address{host, static_cast<uint16_t>(*port)};
}

void say(std::string_view line) {
  (void)std::fprintf(stderr, "%s\n", printable(line).c_str());  // nobody may be listening
}

Result<server::ServerConfig> read_config(const ServeOptions& options,
                                         const Invocation& invocation) {
  KILN_TRY_ASSIGN(server::ServerConfig config, server::load_config(options.config));
  add_from_environment(invocation.environment, config.storage);
  return config;
}

Result<std::vector<std::string>> reload_server(server::RegistryServer& server,
                                               const ServeOptions& options,
                                               const Invocation& invocation) {
  KILN_TRY_ASSIGN(const server::ServerConfig config, read_config(options, invocation));
  return server.reload(config);
}

// All of it or nothing; what became of it is in the log.
void reload(server::RegistryServer& server, const ServeOptions& options,
            const Invocation& invocation) {
  const auto waiting = reload_server(server, options, invocation);
  if (!waiting) {
    const Error& error = waiting.error();
    say("not reloaded, all stays as it was: " + error.to_string() +
        (error.advice().empty() ? "" : " (" + error.advice() + ")"));
    return;
  }
  say("reloaded " + options.config);
  for (const std::string& section : *waiting)
    say(options.config + ": " + section + " has changed: restart the server for that");
}

}  // namespace

CommandResult run_serve(const ServeOptions& options, const Invocation& invocation) {
  const Result<Address> address = parse_address(options.listen);
  if (!address) return usage_failure(address.error().wrap("--listen"));
  const bool reloads = !options.config.empty();
  if (reloads) invocation.hangups.expect();
  Result<server::ServerConfig> config = read_config(options, invocation);
  if (!config) return usage_failure(config.error());
  server::ServeOptions serve{address->host,      address->port,
                             options.storage,    options.insecure_plaintext,
                             *std::move(config), say};
  if (const Status safe = server::check_exposure(serve); !safe) return usage_failure(safe.error());
  const std::string scheme = serve.config.tls ? "https" : "http";
  auto started = server::RegistryServer::start(std::move(serve));
  if (!started) return failure(started.error().wrap("serve " + quote(options.storage)));
  const std::string host =
      address->host.find(':') == std::string::npos ? address->host : "[" + address->host + "]";
  (void)std::printf("Serving %s on %s://%s:%u\n", options.storage.c_str(), scheme.c_str(),
                    host.c_str(), static_cast<unsigned>((*started)->port()));
  (void)std::fflush(stdout);  // whoever started us waits for this line
  std::jthread reloader;
  if (reloads)
    reloader = std::jthread([&](const std::stop_token& stop) {
      while (invocation.hangups.wait(stop)) reload(**started, options, invocation);
    });
  (*started)->run(invocation.stop);
  say("stopped");
  return {};
}

}  // namespace kiln::cmd
