// Images from registries into the content store.
#pragma once

#include "oci/content_store.h"
#include "oci/registry_client.h"

#include <cstdint>
#include <functional>
#include <stop_token>

namespace kiln::oci {

/// Told from several threads how many bytes of a blob are here; `done_bytes == blob.size` at its
/// end.
using OnTransfer = std::function<void(const Descriptor& blob, uint64_t done_bytes)>;

enum class Arrival : uint8_t { kHere, kFetched };

struct PullEvents {
  OnTransfer on_transfer = {};
  std::function<void(const Descriptor& blob, Arrival how)> on_done = {};  // from several threads
};

enum class PullExtent : uint8_t {
  kImage,   // all of it
  kConfig,  // the documents alone: what an image is, without its files
};

/// Fetches the manifest, config and (kImage) layers that `name` has for `platform`, and the index
/// around it if there is one, under `lease`; what is here already is not asked for. Returns what
/// the name stands for: index or manifest, which are stored last. kNotFound: no such name, or not
/// for this platform (the hint lists those there are). kUnimplemented: a manifest or layer of a
/// type that kiln does not know. kDataLoss: bytes that do not match their digest. Blocks; at most
/// four blobs at a time.
Result<Descriptor> pull_image(const RegistryAccess& access, ContentStore& content,
                              const Lease& lease, const Reference& name, const Platform& platform,
                              const PullEvents& events, std::stop_token stop,
                              PullExtent extent = PullExtent::kImage);

}  // namespace kiln::oci
