#include "cmd/shared_caches.h"

#include "cache/claim.h"
#include "cache/directory_transport.h"
#include "cache/image_transport.h"
#include "cache/kiln_transport.h"

namespace kiln::cmd {
namespace {

// What a cache may cost that is dead, slow or stuck.
constexpr std::chrono::milliseconds kPatience{5000};

}  // namespace

SharedCaches::SharedCaches(const Inputs& inputs)
    : inputs_(inputs),
      layers_(inputs.engine.content(), inputs.engine.lease(), kPatience),
      mounts_({inputs.engine.layout().cache_mounts(), kPatience, inputs.progress,
               [this](const std::string& step, const Error& error) { warn(step, error); }}) {}

Result<std::unique_ptr<SharedCaches>> SharedCaches::open(const Inputs& inputs,
                                                         const std::vector<CachePlace>& from,
                                                         const std::vector<CacheTarget>& to) {
  std::unique_ptr<SharedCaches> caches(new SharedCaches(inputs));
  for (const CachePlace& place : from) {
    cache::RemoteCacheStore::Config config;
    KILN_TRY_ASSIGN(config.transport,
                    place.kind == CacheKind::kDirectory
                        ? caches->directory(place, false)
                        : caches->registry(place, cache::RegistryTransport::Use::kRead));
    if (!place.trusted.empty()) config.transport = caches->trusting(place, config.transport);
    config.layers = &caches->layers_;
    config.patience = kPatience;
    config.stop = inputs.stop;
    config.on_lost = [self = caches.get(), step = "importing cache from " +
                                                  config.transport->name()](const Error& error) {
      self->warn(step, error);
    };
    const auto transport = config.transport;
    caches->stores_.push_back(std::make_unique<cache::RemoteCacheStore>(std::move(config)));
    if (place.mounts.any())
      caches->mounts_.read_from(transport, place.mounts,
                                [&store = *caches->stores_.back()] { return !store.lost(); });
  }
  for (const CacheTarget& target : to) {
    KILN_TRY_ASSIGN(auto transport,
                    target.place.kind == CacheKind::kDirectory
                        ? caches->directory(target.place, target.reset)
                        : caches->registry(target.place, cache::RegistryTransport::Use::kWrite));
    if (target.signing)
      transport = std::make_shared<cache::SignedTransport>(
          cache::SignedTransport::Config{std::move(transport), {}, target.signing, {}});
    if (target.place.mounts.any())
      caches->mounts_.write_to(transport, target.place.mounts,
                               [self = caches.get(), i = caches->fillings_.size()] {
                                 return !self->fillings_[i].exporting->lost();
                               });
    caches->fillings_.push_back({target, std::move(transport), nullptr});
  }
  return caches;
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
  std::vector<CacheStore*> stores;
  for (const auto& store : stores_) stores.push_back(store.get());
  return stores;
}

std::vector<cache::RemoteCacheStore*> SharedCaches::remotes() const {
  std::vector<cache::RemoteCacheStore*> stores;
  for (const auto& store : stores_) stores.push_back(store.get());
  return stores;
}

void SharedCaches::give_up(const Error& why) {
  warn("building without the shared caches", why);
  mounts_.stop_reading();
  stores_.clear();
  layers_.clear();
}

void SharedCaches::start_filling(const llb::Graph& graph, oci::CompressionOptions image_compression,
                                 const ExportContext& context) {
  for (Filling& filling : fillings_) {
    CacheExportOptions options;
    options.mode = filling.target.mode;
    options.compression = filling.target.compression.value_or(image_compression);
    options.patience = kPatience;
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
    const Status filled = filling.exporting->finish(solution);
    if (filled) continue;
    if (inputs_.stop.stop_requested()) return filled;
    if (filling.target.must_succeed)
      return tl::unexpected(filled.error().wrap("export cache to " + filling.transport->name()));
    warn("exporting cache to " + filling.transport->name(), filled.error());
  }
  return {};
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
