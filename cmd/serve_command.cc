// `kiln serve`: a registry for as long as it runs.
#include <cstdio>

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

}  // namespace

CommandResult run_serve(const ServeOptions& options, const Invocation& invocation) {
  const Result<Address> address = parse_address(options.listen);
  if (!address) return usage_failure(address.error().wrap("--listen"));
  Result<server::ServerConfig> config = server::load_config(options.config);
  if (!config) return usage_failure(config.error());
  add_from_environment(invocation.environment, config->storage);
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
  (*started)->run(invocation.stop);
  say("stopped");
  return {};
}

}  // namespace kiln::cmd
