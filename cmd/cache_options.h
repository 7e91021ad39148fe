// --cache-from and --cache-to as values (CLI.md B.3).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ed25519.h"
#include "base/result.h"
#include "cmd/options.h"
#include "exporter/cache_export.h"

namespace kiln::cmd {

enum class CacheKind : uint8_t {
  kDirectory,
  kRegistry,
  kKiln,
  kInline,  // --cache-to alone: in the config of the image
};

/// Which cache mounts travel. A step's mount is named by its id=, or else by its target.
struct MountNames {
  bool all = false;
  std::vector<std::string> names;
  bool any() const { return all || !names.empty(); }
  /// `id` as steps have it: after a namespace and a slash.
  bool contain(const std::string& id) const;
};

struct CachePlace {
  CacheKind kind = CacheKind::kRegistry;
  std::string where;           // a directory, or a reference
  std::string tag = "latest";  // kDirectory
  bool insecure = false;       // kRegistry, kKiln: http, or https that does not verify
  MountNames mounts;
  std::vector<PublicKey> trusted;  // reading: whose entries are believed; empty: everybody's
};
struct CacheTarget {
  CachePlace place;
  CacheMode mode = CacheMode::kMin;
  std::optional<oci::CompressionOptions> compression;  // nullopt: the image's
  bool reset = false;                                  // kDirectory
  bool must_succeed = false;                           // ignore-error=false
  CacheExportOptions::Wait wait = CacheExportOptions::Wait::kInReason;
  std::optional<SigningKey> signing;
};

/// `--cache-from` values: type=…,KEY=VALUE, or a reference alone. kInvalidArgument with
/// did-you-mean, also for key files that cannot be read; kUnimplemented: types that kiln does not
/// have (gha, s3, azblob).
Result<std::vector<CachePlace>> parse_cache_from(std::span<const std::string> texts);
Result<std::vector<CacheTarget>> parse_cache_to(std::span<const std::string> texts);

}  // namespace kiln::cmd
