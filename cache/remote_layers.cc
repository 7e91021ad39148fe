#include "cache/remote_layers.h"

#include <algorithm>
#include <set>

#include "base/parallel.h"
#include "base/watchdog.h"

namespace kiln::cache {
namespace {

constexpr size_t kParallelLayers = 3;

// Feeds the watchdog with every byte, and stops what sends more than the blob has.
class WatchedSink : public Sink {
 public:
  WatchedSink(const oci::Descriptor& blob, Sink& next, Watchdog& dog)
      : blob_(blob), next_(next), dog_(dog) {}
  Status write(std::span<const std::byte> data) override {
    dog_.feed();
    done_ += data.size();
    if (done_ > blob_.size) return fail(Code::kDataLoss, "it is longer than was said");
    return next_.write(data);
  }

 private:
  const oci::Descriptor& blob_;
  Sink& next_;
  Watchdog& dog_;
  uint64_t done_ = 0;
};

}  // namespace

void RemoteLayers::announce(std::span<const oci::LayerBlob> layers,
                            const std::shared_ptr<CacheTransport>& transport) {
  auto origins = origins_.lock();
  for (const oci::LayerBlob& layer : layers)
    origins->try_emplace(layer.descriptor.digest, transport);
}

void RemoteLayers::clear() {
  origins_.lock()->clear();
}

RemoteLayers::Transport RemoteLayers::origin(const Digest& blob) {
  auto origins = origins_.lock();
  const auto found = origins->find(blob);
  return found == origins->end() ? nullptr : found->second;
}

// Each once: an image may have a layer twice.
Result<std::vector<oci::Descriptor>> RemoteLayers::missing(std::span<const oci::LayerBlob> layers) {
  std::vector<oci::Descriptor> missing;
  std::set<Digest> seen;
  for (const oci::LayerBlob& layer : layers) {
    if (!seen.insert(layer.descriptor.digest).second) continue;
    KILN_TRY_ASSIGN(const bool here, content_.touch(layer.descriptor.digest, lease_));
    if (!here) missing.push_back(layer.descriptor);
  }
  return missing;
}

Result<bool> RemoteLayers::can_fetch(std::span<const oci::LayerBlob> layers) {
  KILN_TRY_ASSIGN(const std::vector<oci::Descriptor> absent, missing(layers));
  return std::all_of(absent.begin(), absent.end(), [this](const oci::Descriptor& blob) {
    return origin(blob.digest) != nullptr;
  });
}

Status RemoteLayers::fetch(std::span<const oci::LayerBlob> layers, std::stop_token stop) {
  KILN_TRY_ASSIGN(const std::vector<oci::Descriptor> absent, missing(layers));
  return for_each_at_once(absent.size(), kParallelLayers, [&](size_t i) {
    Status fetched = fetch_one(absent[i], stop);
    if (fetched || stop.stop_requested()) return fetched;
    failed_ = true;
    clear();
    return fetched;
  });
}

Status RemoteLayers::fetch_one(const oci::Descriptor& blob, const std::stop_token& stop) {
  const Transport from = origin(blob.digest);
  if (!from)
    return fail(Code::kUnavailable, "no cache has layer " + blob.digest.to_string() + " any more");
  const auto wrapped = [&](const Error& error) {
    return tl::unexpected(
        error.wrap("fetch layer " + blob.digest.to_string() + " from " + from->name()));
  };
  KILN_TRY_ASSIGN(const auto writer, content_.writer(lease_));
  Watchdog dog(stop, patience_);
  WatchedSink sink(blob, *writer, dog);
  if (Status fetched = from->fetch(blob, sink, dog.token()); !fetched) {
    if (!dog.expired()) return wrapped(fetched.error());
    return wrapped(
        Error(Code::kUnavailable, "nothing came for " + std::to_string(patience_.count()) + " ms"));
  }
  if (const auto committed = writer->commit(blob.digest); !committed)
    return wrapped(committed.error());
  return {};
}

}  // namespace kiln::cache
