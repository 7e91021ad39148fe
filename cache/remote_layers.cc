#include "cache/remote_layers.h"

#include <algorithm>
#include <functional>
#include <set>

#include "base/parallel.h"

namespace kiln::cache {
namespace {

constexpr size_t kParallelLayers = 3;

// Tells how far it is, and stops what sends more than the blob has.
class BlobSink : public Sink {
 public:
  BlobSink(const oci::Descriptor& blob, Sink& next, const std::function<void(uint64_t done)>& tell)
      : blob_(blob), next_(next), tell_(tell) {}
  Status write(std::span<const std::byte> data) override {
    done_ += data.size();
    if (done_ > blob_.size) return fail(Code::kDataLoss, "it is longer than was said");
    tell_(done_);
    return next_.write(data);
  }

 private:
  const oci::Descriptor& blob_;
  Sink& next_;
  const std::function<void(uint64_t done)>& tell_;
  uint64_t done_ = 0;
};

}  // namespace

void RemoteLayers::announce(std::span<const oci::LayerBlob> layers,
                            const std::shared_ptr<CacheTransport>& transport) {
  auto state = state_.lock();
  for (const oci::LayerBlob& layer : layers)
    state->origins.try_emplace(layer.descriptor.digest, transport);
}

void RemoteLayers::clear() {
  *state_.lock() = {};
}

std::vector<std::shared_ptr<CacheTransport>> RemoteLayers::failed() {
  return state_.lock()->failed;
}

void RemoteLayers::note_failure(const Transport& of) {
  auto state = state_.lock();
  std::erase_if(state->origins, [&](const auto& origin) { return origin.second == of; });
  if (std::find(state->failed.begin(), state->failed.end(), of) == state->failed.end())
    state->failed.push_back(of);
}

RemoteLayers::Transport RemoteLayers::origin(const Digest& blob) {
  auto state = state_.lock();
  const auto found = state->origins.find(blob);
  return found == state->origins.end() ? nullptr : found->second;
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
    const Transport from = origin(blob.digest);
    return from && !from->lost();
  });
}

Status RemoteLayers::fetch(std::span<const oci::LayerBlob> layers, std::stop_token stop) {
  KILN_TRY_ASSIGN(const std::vector<oci::Descriptor> absent, missing(layers));
  if (absent.empty()) return {};
  const Transport first = origin(absent.front().digest);
  const std::string name = "fetching layers from " + (first ? first->name() : "a cache");
  const Digest step = Digest::of(name + " " + absent.front().digest.to_string());
  progress_.on_event(VertexStarted{step, name});
  Status fetched = fetch_all(absent, step, stop);
  VertexDone done{step, VertexOutcome::kDone, std::nullopt};
  if (!fetched) {
    done.outcome = stop.stop_requested() ? VertexOutcome::kCancelled : VertexOutcome::kFailed;
    done.error = fetched.error();
  }
  progress_.on_event(done);
  return fetched;
}

Status RemoteLayers::fetch_all(std::span<const oci::Descriptor> blobs, const Digest& step,
                               const std::stop_token& stop) {
  return for_each_at_once(blobs.size(), kParallelLayers,
                          [&](size_t i) { return fetch_one(blobs[i], step, stop); });
}

Status RemoteLayers::fetch_one(const oci::Descriptor& blob, const Digest& step,
                               const std::stop_token& stop) {
  const Transport from = origin(blob.digest);
  if (!from)
    return fail(Code::kUnavailable, "no cache has layer " + blob.digest.to_string() + " any more");
  const Status received = receive(blob, *from, step, stop);
  if (received) return {};
  if (!stop.stop_requested()) note_failure(from);
  return tl::unexpected(
      received.error().wrap("fetch layer " + blob.digest.to_string() + " from " + from->name()));
}

Status RemoteLayers::receive(const oci::Descriptor& blob, CacheTransport& from, const Digest& step,
                             const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const auto writer, content_.writer(lease_));
  const std::string what = blob.digest.to_string();
  const std::function<void(uint64_t)> tell = [&](uint64_t done) {
    progress_.on_event(Transfer{step, what, done, blob.size, false});
  };
  BlobSink sink(blob, *writer, tell);
  KILN_TRY(from.fetch(blob, sink, stop));
  KILN_TRY(writer->commit(blob.digest));
  progress_.on_event(Transfer{step, what, blob.size, blob.size, true});
  return {};
}

}  // namespace kiln::cache
