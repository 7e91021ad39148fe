#include "base/platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/strings.h"

namespace kiln {
namespace {

constexpr std::array<std::string_view, 15> kSystems = {
    "aix",   "android", "darwin",  "dragonfly", "freebsd", "illumos", "ios",   "js",
    "linux", "netbsd",  "openbsd", "plan9",     "solaris", "windows", "wasip1"};
constexpr std::array<std::string_view, 20> kArchitectures = {
    "386",    "amd64",    "arm",   "arm64",   "loong64", "mips",    "mipsle",
    "mips64", "mips64le", "ppc",   "ppc64",   "ppc64le", "riscv",   "riscv64",
    "s390",   "s390x",    "sparc", "sparc64", "wasm",    "amd64p32"};

template <class Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string normal_system(const std::string& os) {
  return os == "macos" ? "darwin" : os;
}

// Spellings and default variants as containerd's platforms package normalises them.
void normalise_architecture(Platform& platform) {
  std::string& arch = platform.architecture;
  std::string& variant = platform.variant;
  if (arch == "i386") {
    arch = "386";
    variant.clear();
  } else if (arch == "x86_64" || arch == "x86-64" || arch == "amd64") {
    arch = "amd64";
    if (variant == "v1") variant.clear();
  } else if (arch == "aarch64" || arch == "arm64") {
    arch = "arm64";
    if (variant == "8" || variant == "v8") variant.clear();
  } else if (arch == "armhf") {
    arch = "arm";
    variant = "v7";
  } else if (arch == "armel") {
    arch = "arm";
    variant = "v6";
  } else if (arch == "arm") {
    if (variant.empty()) variant = "v7";
    if (variant.size() == 1 && variant >= "5" && variant <= "8") variant.insert(0, 1, 'v');
  }
}

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  });
}

tl::unexpected<Error> bad_platform(std::string_view text) {
  Error error(Code::kInvalidArgument, quote(text) + " is not a platform");
  return tl::unexpected(error.hint("platforms are written as linux/amd64, linux/arm/v7 or arm64"));
}

// "linux" or "arm64": the other half is the host's.
Result<Platform> parse_one_word(const std::string& word, std::string_view text) {
  Platform platform = Platform::host();
  const std::string os = normal_system(word);
  if (contains(kSystems, os)) {
    platform.os = os;
    return platform;
  }
  Platform named{platform.os, word, {}};
  normalise_architecture(named);
  if (!contains(kArchitectures, named.architecture)) return bad_platform(text);
  return named;
}

}  // namespace

std::string Platform::to_string() const {
  std::string text = os + "/" + architecture;
  if (!variant.empty()) text.append("/").append(variant);
  return text;
}

Result<Platform> Platform::parse(std::string_view text) {
  const std::vector<std::string> parts = split(to_lower(text), '/');
  if (parts.size() > 3 || !std::all_of(parts.begin(), parts.end(), is_word))
    return bad_platform(text);
  if (parts.size() == 1) return parts[0] == "local" ? host() : parse_one_word(parts[0], text);
  Platform platform{normal_system(parts[0]), parts[1], parts.size() == 3 ? parts[2] : ""};
  normalise_architecture(platform);
  return platform;
}

Platform Platform::host() {
  utsname name{};
  KILN_CHECK(::uname(&name) == 0);
  const std::string machine = name.machine;
  Platform platform{"linux", machine, {}};
  if (machine.starts_with("armv")) platform = {"linux", "arm", machine.substr(4, 1)};  // "armv7l"
  if (machine.size() == 4 && machine.starts_with("i") && machine.ends_with("86"))
    platform.architecture = "386";
  normalise_architecture(platform);
  return platform;
}

bool runs_natively(std::string_view architecture, std::string_view host) {
  return architecture == host || (host == "amd64" && architecture == "386") ||
         (host == "arm64" && architecture == "arm");
}

}  // namespace kiln
