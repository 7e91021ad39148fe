// The Dockerfile frontend: text in, an LLB graph and an image config out. It knows nothing of
// files, registries or snapshots: contexts are named, not opened, and the one thing it asks of the
// world is FROM's image config. One call converts for one platform; a build for several calls it
// once for each. DOCKERFILE.md A.0-A.11.
#pragma once

#include "base/platform.h"
#include "base/progress.h"
#include "base/result.h"
#include "llb/graph.h"

#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln::frontend {

enum class ResolveMode : uint8_t {
  kDefault,
  kPull,
  kLocal
};  // image.resolvemode: default, pull, local

struct ResolvedImage {
  std::string
      reference;  // canonical name with tag, without digest: "docker.io/library/alpine:3.20"
  std::optional<Digest>
      digest;  // of the manifest or index that `reference` named; becomes part of the vertex
  std::string config_json;  // image-spec config.md, as stored: unknown fields are carried through
};

/// Implemented above (cmd/engine); the frontend may call it from one thread only, and blocks while
/// it works.
class ImageConfigResolver {
 public:
  virtual ~ImageConfigResolver() = default;
  /// `reference` is normalised ("docker.io/library/alpine:latest", perhaps with "@sha256:…"), or
  /// "oci-layout://<identifier>" with the identifier of a ContextRef of kind kOciLayout.
  /// kNotFound: no such image (FROM adds did-you-mean to it); kUnavailable, kUnauthenticated:
  /// registry trouble.
  virtual Result<ResolvedImage> resolve(const std::string& reference, const Platform& platform,
                                        ResolveMode mode, std::stop_token stop) = 0;
  /// Names of images that are here, as people write them: for did-you-mean.
  virtual std::vector<std::string> known_names() { return {}; }
};

/// Where files come from: the main context or a `--build-context`.
struct ContextRef {
  enum class Kind : uint8_t {
    kLocal,      // identifier: the local source's name, "context" for the main one; becomes
                 // "local://<identifier>"
    kImage,      // identifier: an image reference
    kOciLayout,  // identifier: DIR-or-TAR[:tag|@digest] as the user gave it. The vertex names no
                 // path: it is "oci-layout://docker.io/library/<context name>@<digest>" with
                 // attrs["oci.store"] = <context name>
    kGit,        // identifier: the URL as the user gave it, with #ref:subdir
    kHttp,       // identifier: URL of an archive, which is unpacked; else the context is that file
  };
  Kind kind = Kind::kLocal;
  std::string identifier = "context";
  std::vector<std::string>
      exclude_patterns;  // kLocal: of its ignore file, in order; attrs["local.excludepatterns"]
};

struct NoCache {
  bool all = false;                 // --no-cache
  std::vector<std::string> stages;  // --no-cache-filter: names, case-insensitive
};

struct FrontendRequest {
  std::string dockerfile;               // the whole text
  std::string filename = "Dockerfile";  // for messages and the source map only
  std::string target;                   // "": the last stage
  std::optional<Platform> platform;     // nullopt: the build platform, or what the base image has
  Platform build_platform = Platform::host();
  bool multi_platform = false;  // several are built: names of vertices carry the platform
  std::vector<std::pair<std::string, std::string>>
      build_args;  // --build-arg in order; a later key wins
  std::vector<std::pair<std::string, std::string>> labels;  // --label in order
  NoCache no_cache;
  ContextRef context;
  std::map<std::string, ContextRef>
      named_contexts;  // --build-context; the key as given, perhaps "name::platform"
  ResolveMode resolve_mode = ResolveMode::kDefault;  // --pull: kPull
  llb::NetMode network = llb::NetMode::kSandbox;     // --network, for steps without their own
  std::vector<llb::HostIp> extra_hosts;              // --add-host
  std::vector<llb::Ulimit> ulimits;
  llb::Resources resources;  // -m, -c, --cpu-*, --shm-size: into Meta, never the digest
  std::string hostname;      // BUILDKIT_SANDBOX_HOSTNAME in build_args wins
  std::string cgroup_parent;
};

struct StageInfo {
  std::string name;  // "" if it has none
  std::string base;  // as resolved for FROM
  SourceRange where;
  bool reachable = false;  // the target needs it
};

struct FrontendResult {
  /// One target, the image's root file system; none if it is empty (FROM scratch without layers).
  llb::Graph graph;
  /// The image config (image-spec config.md with Docker's fields), complete but for what only the
  /// exporter knows:
  ///  - "rootfs" is absent: {"type":"layers","diff_ids":[…]} of the whole chain, base image
  ///  included;
  ///  - "created" is absent: `source_date_epoch`, or now;
  ///  - "history": base entries as they were, then one entry for each instruction of the stage (and
  ///  of the stages it is
  ///    FROM), without "created" (unless there is a source_date_epoch): the exporter back-fills
  ///    them. Non-empty entries and layers pair up in order; a chain that differs in number (base
  ///    images without history) is reconciled by the exporter: missing entries are added, surplus
  ///    ones marked "empty_layer".
  std::string image_config_json;
  std::optional<std::string> base_config_json;  // of the target's base image, as resolved
  std::vector<BuildWarning> warnings;           // in order of lines, those without one last
  std::vector<StageInfo> stages;
  std::string target;  // the name of the built stage, "" if it has none
  std::vector<std::string>
      unused_build_args;  // keys of build_args that nothing consumed (a warning exists too)
  std::optional<int64_t> source_date_epoch;  // seconds; from the build arg SOURCE_DATE_EPOCH
  Platform platform;                         // of the result
};

/// Errors carry the SourceRange of the instruction and, where there is one, a hint.
/// kInvalidArgument: the Dockerfile or the request is wrong; kNotFound: an unknown target, stage or
/// image; kUnimplemented: a feature that kiln refuses; what `resolver` returned otherwise, with the
/// FROM's place; kFailedPrecondition: the file wants warnings to be errors ("error=true").
/// `warnings`, if given, gets the warnings whether or not the conversion succeeds.
Result<FrontendResult> dockerfile_to_llb(const FrontendRequest& request,
                                         ImageConfigResolver& resolver, std::stop_token stop,
                                         std::vector<BuildWarning>* warnings = nullptr);

}  // namespace kiln::frontend
