// One --mount of RUN: the CSV text, what it may say for each type, and the value it becomes
// (DOCKERFILE.md A.4). Values may name variables, so parsing happens twice: check_mount() when the
// Dockerfile is read, parse_mount() when the environment of the step is known.
#pragma once

#include "base/result.h"
#include "llb/op.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace kiln::dockerfile {

/// Expands one value; its errors pass through.
using Expander = std::function<Result<std::string>(std::string_view)>;

struct RunMount {
  llb::MountType type = llb::MountType::kBind;
  std::string from;    // bind, cache: stage, context or image; "" is the build context (bind) or
                       // nothing (cache)
  std::string source;  // bind, cache: path in `from`, "" is its root
  std::string target;  // as written: "" or relative joins WORKDIR. "" for a secret that is only an
                       // environment variable; secret without target or env: "/run/secrets/<id>"
  std::string id;      // cache: "" means the final target's clean path; secret: never ""; ssh:
                       // "default" if not given
  std::optional<std::string> env;  // secret: the variable that holds it
  bool read_only =
      true;  // bind, ssh, secret: true, cache and tmpfs: false, unless ro/rw says otherwise
  bool required = false;       // secret, ssh
  bool sharing_given = false;  // cache: sharing was written out
  llb::CacheSharing sharing = llb::CacheSharing::kShared;
  std::optional<uint32_t> mode, uid, gid;  // cache, secret, ssh
  uint64_t size_bytes = 0;                 // tmpfs; 0: the kernel's default
};

/// What is certain before expansion: the CSV itself, keys (with did-you-mean), `from` without
/// variables. kInvalidArgument.
Status check_mount(std::string_view csv);

/// The whole mount, values expanded by `expand` (but not `from`), validated for its type.
/// kInvalidArgument.
Result<RunMount> parse_mount(std::string_view csv, const Expander& expand);

}  // namespace kiln::dockerfile
