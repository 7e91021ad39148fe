// What LLB operations do: the factory that gives the solver an Operation for each vertex, and the
// loader that gives it a result back from a cache record. Everything they work with comes in
// OpsEnvironment, filled by the composition root.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/platform.h"
#include "cache/downloads.h"
#include "llb/op.h"
#include "oci/compression.h"
#include "oci/content_store.h"
#include "snapshotter/snapshotter.h"
#include "solver/executor/executor.h"
#include "solver/operation.h"
#include "solver/ops/device_grants.h"
#include "solver/ops/shared_mounts.h"
#include "solver/sources/context.h"
#include "solver/sources/image.h"
#include "solver/sources/remote_facts.h"

namespace kiln::cache {
class RemoteLayers;
}

namespace kiln {

/// Reads a secret when a step needs it, so that an unused one is never read.
using SecretProvider = std::function<Result<std::string>()>;

enum class PackTargets : uint8_t {
  kNo,
  kYes,  // copies that only the exporter wants become layer blobs without being unpacked
};
enum class HostNetwork : uint8_t { kDenied, kAllowed };    // --allow network.host
enum class InsecureSteps : uint8_t { kDenied, kAllowed };  // --allow security.insecure

/// Pointers are borrowed and must outlive the operations and every Ref they made.
struct OpsEnvironment {
  Snapshotter* snapshotter = nullptr;
  oci::ContentStore* content = nullptr;
  const oci::Lease* lease = nullptr;
  Executor* executor = nullptr;
  const Clock* clock = &Clock::system();

  ImageSources images;
  std::map<std::string, LocalContext> contexts;  // by source name: "context", "dockerfile", …
  std::string user_agent = "kiln";               // of http sources
  std::string http_proxy = {};                   // theirs, as in base/http_client.h
  cache::RemoteLayers* remote_layers = nullptr;  // null: there is no shared cache
  Downloads* downloads = nullptr;                // null: an unchanged download is fetched anew
  std::shared_ptr<RemoteFacts> remotes;          // null: every operation asks for itself

  std::map<std::string, SecretProvider> secrets;   // by id
  std::map<std::string, std::string> ssh_sockets;  // id -> path of an agent's socket
  std::string cache_mount_directory;               // $KILN_ROOT/cachemounts; made if absent
  SharedMounts* shared_mounts = nullptr;           // null: cache mounts stay here
  std::string scratch;                             // $KILN_ROOT/run: mount points, temporary trees
  std::string search_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";  // git
  std::vector<std::string> proxies;  // of git: "http_proxy=…". What is downloaded directly goes by
                                     // the process's own environment

  // What acts on RUN and stays out of its key.
  std::vector<llb::HostIp> add_hosts;
  llb::Resources resources;                // where the vertex has none of its own
  std::optional<llb::ProxyEnv> proxy_env;  // where the vertex has none of its own
  std::vector<llb::Ulimit> ulimits;        // where the vertex has none of its own

  HostNetwork host_network = HostNetwork::kDenied;
  InsecureSteps insecure_steps = InsecureSteps::kDenied;
  DeviceGrants device_grants;                // --allow device…
  std::vector<std::string> cdi_directories;  // where CDI specs are; the later count first

  PackTargets pack_targets = PackTargets::kNo;
  oci::CompressionOptions layer_compression;  // of layers packed directly
  std::optional<int64_t> source_date_epoch;   // seconds: of mkdir and mkfile without a time
  Platform platform = Platform::host();       // of vertices that name none
};

/// kUnimplemented: an op or attribute that kiln does not know.
OpFactory make_ops(const OpsEnvironment& environment);

/// Pins the snapshot with the environment's lease; kNotFound if it is gone.
ResultLoader make_loader(const OpsEnvironment& environment);

/// For people, where the vertex has no name of its own: "copy /a /b", "docker-image://alpine".
std::string describe(const llb::Vertex& vertex);

}  // namespace kiln
