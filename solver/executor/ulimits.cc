#include "solver/executor/ulimits.h"

#include <linux/capability.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "base/strings.h"

namespace kiln {
namespace {

struct Name {
  const char* name;
  int resource;
};
constexpr std::array<Name, 15> kNames = {{{"core", RLIMIT_CORE},
                                          {"cpu", RLIMIT_CPU},
                                          {"data", RLIMIT_DATA},
                                          {"fsize", RLIMIT_FSIZE},
                                          {"locks", RLIMIT_LOCKS},
                                          {"memlock", RLIMIT_MEMLOCK},
                                          {"msgqueue", RLIMIT_MSGQUEUE},
                                          {"nice", RLIMIT_NICE},
                                          {"nofile", RLIMIT_NOFILE},
                                          {"nproc", RLIMIT_NPROC},
                                          {"rss", RLIMIT_RSS},
                                          {"rtprio", RLIMIT_RTPRIO},
                                          {"rttime", RLIMIT_RTTIME},
                                          {"sigpending", RLIMIT_SIGPENDING},
                                          {"stack", RLIMIT_STACK}}};

// -1 is RLIM_INFINITY, which is also the largest value of rlim_t.
rlim_t value_of(int64_t limit) {
  return limit < 0 ? RLIM_INFINITY : static_cast<rlim_t>(limit);
}

std::string text_of(rlim_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : std::to_string(limit);
}

Error unknown_name(const std::string& name) {
  std::vector<std::string> names;
  names.reserve(std::size(kNames));
  for (const Name& known : kNames) names.emplace_back(known.name);
  return Error(Code::kInvalidArgument,
               "unknown ulimit " + quote(name) + did_you_mean(to_lower(name), names));
}

}  // namespace

Status check_ulimits(const std::vector<llb::Ulimit>& ulimits, uint64_t capabilities) {
  const bool may_raise = (capabilities & (1ULL << static_cast<unsigned>(CAP_SYS_RESOURCE))) != 0;
  for (const llb::Ulimit& wanted : ulimits) {
    const auto known = std::find_if(kNames.begin(), kNames.end(), [&](const Name& name) {
      return equal_fold(name.name, wanted.name);
    });
    if (known == kNames.end()) return tl::unexpected(unknown_name(wanted.name));
    if (value_of(wanted.soft) > value_of(wanted.hard))
      return fail(Code::kInvalidArgument,
                  "ulimit " + wanted.name + ": the soft limit " + text_of(value_of(wanted.soft)) +
                      " is above the hard limit " + text_of(value_of(wanted.hard)));
    rlimit own{};
    if (may_raise || ::getrlimit(static_cast<__rlimit_resource>(known->resource), &own) != 0)
      continue;
    if (value_of(wanted.hard) > own.rlim_max)
      return tl::unexpected(Error(Code::kInvalidArgument,
                                  "ulimit " + wanted.name + "=" + text_of(value_of(wanted.hard)) +
                                      " is above kiln's own hard limit " + text_of(own.rlim_max))
                                .hint("start kiln with a higher limit, or ask for less"));
  }
  return {};
}

}  // namespace kiln
