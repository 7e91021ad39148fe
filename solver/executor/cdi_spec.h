// One file of the Container Device Interface: the devices of one kind, and what a container needs
// for each (CDI SPEC.md, "CDI JSON Specification"; versions 0.1 to 1.x). Text to values alone:
// nothing is looked at that a spec names.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace kiln {

struct CdiDeviceNode {
  std::string path;       // in the container: absolute and clean
  std::string host_path;  // what it is made after; empty: `path`
  std::string type;       // "c", "b", "u", "p"; empty: the host's
  std::optional<uint32_t> major, minor;
  std::optional<uint32_t> file_mode, uid, gid;
  std::string permissions;  // of "rwm"; empty: all; "none"
};
struct CdiMount {
  std::string host_path, container_path;  // absolute
  std::string type;                       // "", "bind", "none"
  std::vector<std::string> options;
};
struct CdiHook {
  std::string name;  // runtime-spec config.md, "POSIX-platform Hooks"
  std::string path;  // absolute, on the host
  std::vector<std::string> args, env;
  std::optional<uint32_t> timeout_seconds;
};
/// "containerEdits": in the spec for whoever uses one of its devices, in a device for who uses it.
struct CdiEdits {
  std::vector<std::string> env;  // "K=V"
  std::vector<CdiDeviceNode> nodes;
  std::vector<CdiMount> mounts;
  std::vector<CdiHook> hooks;
  std::vector<uint32_t> additional_gids;
  std::vector<std::string> unsupported;  // members that a container would need and kiln lacks
};

using CdiAnnotations = std::map<std::string, std::string>;
struct CdiDevice {
  std::string name;
  CdiAnnotations annotations;
  CdiEdits edits;
};
struct CdiSpec {
  std::string kind;  // "vendor/class"
  CdiAnnotations annotations;
  CdiEdits edits;
  std::vector<CdiDevice> devices;  // each name once
};

enum class CdiSyntax : uint8_t { kJson, kYaml };

/// kInvalidArgument with the place: not of that syntax, an unknown member, a value out of range, a
/// name that is none. kResourceExhausted: beyond 1 MiB or 32 levels.
Result<CdiSpec> parse_cdi_spec(std::string_view text, CdiSyntax syntax);

/// SPEC.md, "Kind": "vendor/class". kInvalidArgument says what is wrong.
Status check_cdi_kind(std::string_view kind);

}  // namespace kiln
