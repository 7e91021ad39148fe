#include "cmd/shared_caches.h"

#include <algorithm>
#include <utility>

#include "cache/claim.h"
#include "cache/directory_transport.h"
#include "cache/image_transport.h"
#include "cache/kiln_transport.h"

namespace kiln::cmd {

namespace {

bool contains(const std::vector<std::shared_ptr<cache::CacheTransport>>& transports,
              const std::shared_ptr<cache::CacheTransport>& one) {
  return std::find(transports.begin(), transports.end(), one) != transports.end();
}

}  // namespace

using cache::PatientTransport;

SharedCaches::SharedCaches(const Inputs& inputs)
    : inputs_(inputs),
      layers_(inputs.engine.content(), inputs.engine.lease(), inputs.progress),
      mounts_({inputs.engine.layout().cache_mounts(), inputs.progress}) {}

Result<std::unique_ptr<SharedCaches>> SharedCaches::open(const Inputs& inputs,
                                                         const std::vector<CachePlace>& from,
                                                         const std::vector<CacheTarget>& to) {
  std::unique_ptr<SharedCaches> caches(new SharedCaches(inputs));
  for (const CachePlace& place : from) KILN_TRY(caches->add_import(place));
  for (const CacheTarget& target : to) KILN_TRY(caches->add_filling(target));
  return caches;
}

Result<SharedCaches::Server*> SharedCaches::server_of(const CachePlace& place) {
  if (place.kind == CacheKind::kDirectory) return &servers_["directory " + place.where];
  KILN_TRY_ASSIGN(const oci::Reference name, oci::Reference::parse(place.where));
  return &servers_["registry " + name.domain];
}

Status SharedCaches::add_import(const CachePlace& place) {
  KILN_TRY_ASSIGN(Server* const server, server_of(place));
  KILN_TRY_ASSIGN(Transport transport, place.kind == CacheKind::kDirectory
                                           ? directory(place, false)
                                           : registry(place, cache::RegistryTransport::Use::kRead));
  if (!place.trusted.empty()) transport = trusting(place, std::move(transport));
  auto patient = std::make_shared<PatientTransport>(
      PatientTransport::Config{std::move(transport), server->patience});
  cache::RemoteCacheStore::Config config;
  config.transport = patient;
  config.layers = &layers_;
  config.stop = inputs_.stop;
  config.on_lost = [this, server, step = "importing cache from " + patient->name()](
                       const Error& error) { warn_of(*server, step, error); };
  imports_.push_back(
      {*server, patient, std::make_unique<cache::RemoteCacheStore>(std::move(config))});
  if (place.mounts.any())
    mounts_.read_from(
        {std::move(patient), place.mounts,
         [&from = imports_.back()] { return !from.dropped && !from.store->lost(); },
         [this, server](const std::string& step, const Error& e) { warn_of(*server, step, e); }});
  return {};
}

Status SharedCaches::add_filling(const CacheTarget& target) {
  KILN_TRY_ASSIGN(Server* const server, server_of(target.place));
  KILN_TRY_ASSIGN(Transport transport,
                  target.place.kind == CacheKind::kDirectory
                      ? directory(target.place, target.reset)
                      : registry(target.place, cache::RegistryTransport::Use::kWrite));
  if (target.signing)
    transport = std::make_shared<cache::SignedTransport>(
        cache::SignedTransport::Config{std::move(transport), {}, target.signing, {}});
  if (target.place.mounts.any()) {
    const auto patient =
        std::make_shared<PatientTransport>(PatientTransport::Config{transport, server->patience});
    mounts_.write_to(
        {patient, target.place.mounts,
         [this, to = patient.get(), i = fillings_.size()] {
           return !to->lost() && !fillings_[i].exporting->lost();
         },
         [this, server](const std::string& step, const Error& e) { warn_of(*server, step, e); }});
  }
  const auto waits = target.wait == CacheExportOptions::Wait::kForever
                         ? PatientTransport::Waits::kNever
                         : PatientTransport::Waits::kLater;
  auto patient = std::make_shared<PatientTransport>(
      PatientTransport::Config{std::move(transport), server->patience, waits});
  fillings_.push_back({*server, target, std::move(patient), nullptr});
  return {};
}

SharedCaches::Transport SharedCaches::trusting(const CachePlace& place, Transport transport) {
  const std::string step = "importing cache from " + transport->name();
  const auto refused = [this, step] {
    warn(step, Error(Code::kFailedPrecondition,
                     "it has entries that nobody trusted has signed: they are passed over"));
  };
  return std::make_shared<cache::SignedTransport>(
      cache::SignedTransport::Config{std::move(transport), place.trusted, std::nullopt, refused});
}

Result<SharedCaches::Transport> SharedCaches::directory(const CachePlace& place, bool reset) const {
  using cache::DirectoryTransport;
  return std::make_shared<DirectoryTransport>(DirectoryTransport::Config{
      place.where, place.tag,
      reset ? DirectoryTransport::Reset::kYes : DirectoryTransport::Reset::kNo});
}

// What is not there at once is given up, not asked for again.
Result<SharedCaches::Transport> SharedCaches::registry(const CachePlace& place,
                                                       cache::RegistryTransport::Use use) const {
  KILN_TRY_ASSIGN(const oci::Reference name, oci::Reference::parse(place.where));
  KILN_TRY_ASSIGN(oci::RegistryAccess access, place.insecure
                                                  ? inputs_.registries->insecure_access(name.domain)
                                                  : inputs_.registries->access());
  access.repetitions = 1;
  Transport transport;
  if (place.kind == CacheKind::kKiln) {
    KILN_TRY_ASSIGN(transport, cache::KilnTransport::open(access, name, use));
  } else {
    KILN_TRY_ASSIGN(transport, cache::RegistryTransport::open(access, name, use));
    if (use == cache::RegistryTransport::Use::kRead)
      transport = std::make_shared<cache::ImageTransport>(access, name, std::move(transport));
  }
  return transport;
}

std::vector<CacheStore*> SharedCaches::stores() const {
  const std::vector<cache::RemoteCacheStore*> all = remotes();
  return {all.begin(), all.end()};
}

std::vector<cache::RemoteCacheStore*> SharedCaches::remotes() const {
  std::vector<cache::RemoteCacheStore*> stores;
  for (const Import& import : imports_)
    if (!import.dropped) stores.push_back(import.store.get());
  return stores;
}

bool SharedCaches::broken() {
  const std::vector<Transport> failed = layers_.failed();
  return std::any_of(imports_.begin(), imports_.end(), [&](const Import& import) {
    return !import.dropped && contains(failed, import.transport);
  });
}

void SharedCaches::give_up(const Error& why) {
  const std::vector<Transport> failed = layers_.failed();
  layers_.clear();
  const auto at_fault = std::find_if(imports_.begin(), imports_.end(), [&](const Import& import) {
    return !import.dropped && contains(failed, import.transport);
  });
  KILN_CHECK(at_fault != imports_.end());  // broken()
  for (Import& import : imports_)
    if (contains(failed, import.transport) || import.transport->lost()) import.dropped = true;
  const std::string without = remotes().empty() ? "the shared caches" : at_fault->transport->name();
  warn_of(at_fault->server, "building without " + without, why);
}

void SharedCaches::start_filling(const llb::Graph& graph, oci::CompressionOptions image_compression,
                                 const ExportContext& context) {
  for (Filling& filling : fillings_) {
    CacheExportOptions options;
    options.mode = filling.target.mode;
    options.compression = filling.target.compression.value_or(image_compression);
    options.wait = filling.target.wait;
    const CacheExport::Inputs inputs{graph, *filling.transport, inputs_.engine.cache(), context,
                                     inputs_.stop};
    filling.exporting = std::make_unique<CacheExport>(inputs, options);
  }
}

void SharedCaches::offer(const SolvedEdge& edge) {
  for (const Filling& filling : fillings_) filling.exporting->offer(edge);
}

Status SharedCaches::finish(const Solution* solution) {
  if (solution != nullptr) mounts_.send(inputs_.stop);
  for (const Filling& filling : fillings_) {
    if (filling.transport->lost() && is_warned_of(filling.server)) continue;
    Status filled = filling.exporting->finish(solution);
    if (filled) continue;
    if (inputs_.stop.stop_requested()) return filled;
    if (filling.target.must_succeed)
      return tl::unexpected(filled.error().wrap("export cache to " + filling.transport->name()));
    warn_of(filling.server, "exporting cache to " + filling.transport->name(), filled.error());
  }
  return {};
}

bool SharedCaches::is_warned_of(const Server& server) {
  const std::lock_guard hold(mutex_);
  return server.warned;
}

void SharedCaches::warn_of(Server& server, const std::string& step, const Error& error) {
  if (error.code() == Code::kUnavailable) {
    const std::lock_guard hold(mutex_);
    if (std::exchange(server.warned, true)) return;
  }
  warn(step, error);
}

void SharedCaches::warn(const std::string& step, const Error& error) {
  BuildWarning warning;
  warning.rule = "CacheUnavailable";
  warning.message = step + ": " + error.to_string();
  warning.vertex = Digest::of(step);
  inputs_.progress.on_event(VertexStarted{*warning.vertex, step});
  inputs_.progress.on_event(warning);
  inputs_.progress.on_event(VertexDone{*warning.vertex, VertexOutcome::kDone, std::nullopt});
  const std::lock_guard hold(mutex_);
  warnings_.push_back(std::move(warning));
}

std::vector<BuildWarning> SharedCaches::warnings() {
  const std::lock_guard hold(mutex_);
  return warnings_;
}

}  // namespace kiln::cmd
