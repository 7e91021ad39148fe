// The caches that a build shares with other machines: those it reads (--cache-from) and those it
// fills (--cache-to). None of them fails a build unless the user said so, and each of their servers
// costs a build no more than its patience (cache/patience.h), for everything together.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <vector>

#include "cache/patient_transport.h"
#include "cache/registry_transport.h"
#include "cache/remote_layers.h"
#include "cache/remote_store.h"
#include "cmd/cache_options.h"
#include "cmd/engine.h"
#include "cmd/registries.h"
#include "cmd/shared_mounts.h"
#include "exporter/cache_export.h"

namespace kiln::cmd {

class SharedCaches {
 public:
  /// What they work with; borrowed.
  struct Inputs {
    Engine& engine;
    ProgressSink& progress;
    std::shared_ptr<Registries> registries;
    std::stop_token stop;
  };
  static Result<std::unique_ptr<SharedCaches>> open(const Inputs& inputs,
                                                    const std::vector<CachePlace>& from,
                                                    const std::vector<CacheTarget>& to);

  /// In lookup order, after the engine's own.
  std::vector<CacheStore*> stores() const;
  std::vector<cache::RemoteCacheStore*> remotes() const;
  cache::RemoteLayers& layers() { return layers_; }
  BuildMounts& mounts() { return mounts_; }
  /// True: a cache did not have what its entries promised, so that what was found in it is of no
  /// use. The build is to be solved again, without it.
  bool broken();
  /// Caches that did not keep their word are not asked any more; `why` becomes a warning.
  void give_up(const Error& why);
  /// From here on they may be filled with what `graph` gives.
  void start_filling(const llb::Graph& graph, oci::CompressionOptions image_compression,
                     const ExportContext& context);
  /// A result of the build: it may be on its way before the build ends. Never blocks.
  void offer(const SolvedEdge& edge);
  /// Nothing more comes; nullptr: the build failed. Waits for what is not sent yet, within reason.
  /// An error: a cache that had to succeed did not.
  Status finish(const Solution* solution);
  /// What went wrong with them, for the end of the build.
  std::vector<BuildWarning> warnings();

 private:
  using Transport = std::shared_ptr<cache::CacheTransport>;
  /// A registry, or a directory.
  struct Server {
    const std::shared_ptr<cache::Patience> patience = std::make_shared<cache::Patience>();
    bool warned = false;  // that it is not there, or too slow; under mutex_
  };
  struct Import {
    Server& server;
    std::shared_ptr<cache::PatientTransport> transport;
    std::unique_ptr<cache::RemoteCacheStore> store;
    bool dropped = false;  // written between solves
  };
  struct Filling {
    Server& server;
    CacheTarget target;
    std::shared_ptr<cache::PatientTransport> transport;
    std::unique_ptr<CacheExport> exporting;
  };
  explicit SharedCaches(const Inputs& inputs);
  Status add_import(const CachePlace& place);
  Status add_filling(const CacheTarget& target);
  Result<Server*> server_of(const CachePlace& place);
  Result<Transport> directory(const CachePlace& place, bool reset) const;
  Result<Transport> registry(const CachePlace& place, cache::RegistryTransport::Use use) const;
  Transport trusting(const CachePlace& place, Transport transport);
  void warn(const std::string& step, const Error& error);
  /// Says of a server that is not there, or too slow, only once that it is.
  void warn_of(Server& server, const std::string& step, const Error& error);
  bool is_warned_of(const Server& server);

  const Inputs inputs_;
  cache::RemoteLayers layers_;
  BuildMounts mounts_;
  std::map<std::string, Server> servers_;
  std::deque<Import> imports_;
  std::vector<Filling> fillings_;
  std::mutex mutex_;  // warnings_, and what the servers were warned of
  std::vector<BuildWarning> warnings_;
};

}  // namespace kiln::cmd
