#include <algorithm>

#include "base/strings.h"
#include "cmd/build_inputs.h"

namespace kiln::cmd {
namespace {

Result<Pairs> parse_pairs(const std::vector<std::string>& texts, const char* flag) {
  Pairs pairs;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == 0 || text.empty())
      return fail(Code::kInvalidArgument,
                  std::string(flag) + " " + quote(text) + ": expected NAME=VALUE");
    pairs.emplace_back(text.substr(0, equals),
                       equals == std::string::npos ? "" : text.substr(equals + 1));
  }
  return pairs;
}

// `--build-arg NAME` takes the client's value, and is dropped if there is none. SOURCE_DATE_EPOCH
// travels by itself.
Result<Pairs> build_args(const BuildOptions& options, const Environment& environment) {
  Pairs args;
  if (const auto epoch = environment.find("SOURCE_DATE_EPOCH");
      epoch != environment.end() && !epoch->second.empty())
    args.emplace_back(*epoch);
  for (const std::string& text : options.build_args) {
    const size_t equals = text.find('=');
    if (text.empty() || equals == 0)
      return fail(Code::kInvalidArgument, "--build-arg " + quote(text) + ": expected NAME=VALUE");
    if (equals != std::string::npos) {
      args.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    } else if (const auto it = environment.find(text); it != environment.end()) {
      args.emplace_back(*it);
    }
  }
  return args;
}

Result<llb::NetMode> parse_network(const std::string& text) {
  if (text == "default" || text.empty() || text == "bridge" || text == "sandbox")
    return llb::NetMode::kSandbox;
  if (text == "none") return llb::NetMode::kNone;
  if (text == "host") return llb::NetMode::kHost;
  static const std::vector<std::string> kModes = {"default", "none", "host"};
  return tl::unexpected(
      Error(Code::kInvalidArgument,
            "--network " + quote(text) + " is not a network mode" + did_you_mean(text, kModes))
          .hint("use default, none or host"));
}

Result<std::vector<llb::HostIp>> parse_hosts(const std::vector<std::string>& texts) {
  std::vector<llb::HostIp> hosts;
  for (const std::string& text : texts) {
    size_t at = text.find('=');
    if (at == std::string::npos) at = text.find(':');
    if (at == std::string::npos || at == 0 || at + 1 == text.size())
      return fail(Code::kInvalidArgument,
                  "--add-host " + quote(text) + ": expected HOST:IP or HOST=IP");
    std::string ip = text.substr(at + 1);
    if (ip.size() > 2 && ip.front() == '[' && ip.back() == ']') ip = ip.substr(1, ip.size() - 2);
    hosts.push_back({text.substr(0, at), std::move(ip)});
  }
  return hosts;
}

Result<std::vector<llb::Ulimit>> parse_ulimits(const std::vector<std::string>& texts) {
  std::vector<llb::Ulimit> ulimits;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    const std::vector<std::string> values =
        split(equals == std::string::npos ? "" : std::string_view(text).substr(equals + 1), ':');
    const Result<int64_t> soft = parse_int(values[0]);
    const Result<int64_t> hard = values.size() > 1 ? parse_int(values[1]) : soft;
    if (equals == 0 || equals == std::string::npos || values.size() > 2 || !soft || !hard)
      return fail(
          Code::kInvalidArgument,
          "--ulimit " + quote(text) + ": expected NAME=SOFT[:HARD], such as nofile=1024:4096");
    if (*hard != -1 && *soft > *hard)
      return fail(Code::kInvalidArgument,
                  "--ulimit " + quote(text) + ": the soft limit is above the hard limit");
    ulimits.push_back({text.substr(0, equals), *soft, *hard});
  }
  return ulimits;
}

Result<int64_t> parse_size(const char* flag, const std::string& text) {
  if (text.empty()) return int64_t{0};
  if (text == "-1") return int64_t{-1};
  Result<uint64_t> bytes = parse_ram_bytes(text);
  if (!bytes) return tl::unexpected(bytes.error().wrap(std::string(flag) + " " + quote(text)));
  return static_cast<int64_t>(*bytes);
}

Result<llb::Resources> parse_resources(const ResourceOptions& options) {
  llb::Resources resources;
  KILN_TRY_ASSIGN(resources.memory_bytes, parse_size("--memory", options.memory));
  KILN_TRY_ASSIGN(resources.memory_swap_bytes, parse_size("--memory-swap", options.memory_swap));
  KILN_TRY_ASSIGN(const int64_t shm, parse_size("--shm-size", options.shm_size));
  if (resources.memory_bytes < 0 || shm < 0)
    return fail(Code::kInvalidArgument, "a size below zero makes no sense");
  if (resources.memory_bytes > 0 && resources.memory_bytes < int64_t{6} << 20U)
    return tl::unexpected(Error(Code::kInvalidArgument, "--memory " + quote(options.memory) +
                                                            ": minimum memory limit allowed is 6MB")
                              .hint("units are b, k, m, g"));
  if (resources.memory_swap_bytes > 0 && resources.memory_swap_bytes < resources.memory_bytes)
    return fail(Code::kInvalidArgument,
                "--memory-swap is memory plus swap: it cannot be below --memory");
  resources.shm_bytes = static_cast<uint64_t>(shm);
  resources.cpu_shares = options.cpu_shares;
  resources.cpu_quota_us = options.cpu_quota_us;
  resources.cpu_period_us = options.cpu_period_us;
  resources.cpuset_cpus = options.cpuset_cpus;
  resources.cpuset_mems = options.cpuset_mems;
  return resources;
}

}  // namespace

Result<std::vector<Platform>> requested_platforms(const BuildOptions& options) {
  std::vector<Platform> platforms;
  for (const std::string& text : options.platforms) {
    if (text.empty()) continue;  // an unset variable of a script
    Result<Platform> platform = Platform::parse(trim(text));
    if (!platform) return tl::unexpected(platform.error().wrap("--platform " + quote(text)));
    if (std::find(platforms.begin(), platforms.end(), *platform) == platforms.end())
      platforms.push_back(*std::move(platform));
  }
  return platforms;
}

Result<bool> builds_index(const BuildOptions& options) {
  KILN_TRY_ASSIGN(const std::vector<Platform> platforms, requested_platforms(options));
  bool index = platforms.size() > 1;
  for (const std::string& text : options.build_args) {
    constexpr std::string_view kAsked = "BUILDKIT_MULTI_PLATFORM=";
    if (!text.starts_with(kAsked)) continue;
    const std::string value = to_lower(text.substr(kAsked.size()));
    const bool yes = value == "1" || value == "t" || value == "true";
    if (!yes && value != "0" && value != "f" && value != "false")
      return fail(Code::kInvalidArgument,
                  "--build-arg " + quote(text) + ": expected true or false");
    if (!yes && platforms.size() > 1)
      return fail(Code::kInvalidArgument,
                  "several platforms cannot be one without an index: "
                  "BUILDKIT_MULTI_PLATFORM is false");
    index = yes;
  }
  return index;
}

Result<frontend::FrontendRequest> make_request(const BuildOptions& options,
                                               const BuildInputs& inputs,
                                               const Environment& environment) {
  frontend::FrontendRequest request;
  request.dockerfile = inputs.dockerfile;
  request.filename = inputs.filename;
  request.target = options.target;
  KILN_TRY_ASSIGN(const std::vector<Platform> platforms, requested_platforms(options));
  if (!platforms.empty()) request.platform = platforms.front();
  KILN_TRY_ASSIGN(request.multi_platform, builds_index(options));
  KILN_TRY_ASSIGN(request.build_args, build_args(options, environment));
  KILN_TRY_ASSIGN(request.labels, parse_pairs(options.labels, "--label"));
  request.no_cache.all = options.no_cache;
  request.no_cache.stages = options.no_cache_filter;
  request.context = inputs.context;
  request.named_contexts = inputs.named;
  if (options.pull) request.resolve_mode = frontend::ResolveMode::kPull;
  KILN_TRY_ASSIGN(request.network, parse_network(options.network));
  KILN_TRY_ASSIGN(request.extra_hosts, parse_hosts(options.add_hosts));
  KILN_TRY_ASSIGN(request.ulimits, parse_ulimits(options.ulimits));
  KILN_TRY_ASSIGN(request.resources, parse_resources(options.resources));
  request.cgroup_parent = options.cgroup_parent;
  return request;
}

}  // namespace kiln::cmd
