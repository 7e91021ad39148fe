// Cache mounts on their way to and from a shared cache: a tar of the files, cut into chunks by
// content, so that of a mount that changed a little, little is sent. Never part of a build's
// result: whatever goes wrong leaves a mount that starts empty.
#pragma once

#include <stop_token>
#include <string>

#include "base/fs.h"
#include "cache/transport.h"

namespace kiln {

struct MountTransfer {
  cache::CacheTransport& transport;  // knows how long to wait
  std::stop_token stop;
};

enum class MountFetched : uint8_t { kNo, kYes };
/// Fills the empty directory `to`; kNo: the cache has none of this name. An error leaves `to`
/// half-filled. Blocks; kCancelled. kUnavailable: the cache, or it is too slow; kDataLoss: it lies.
Result<MountFetched> fetch_mount(const MountTransfer& transfer, const std::string& id,
                                 const Root& to);

struct MountSent {
  size_t chunks = 0;   // that were not there
  uint64_t bytes = 0;  // of those, compressed
};
/// Nobody may write to `from` meanwhile. Publishes nothing if nothing changed. kInvalidArgument: a
/// file that no tar can hold, or too much for one entry (some 8 GiB). Otherwise as fetch_mount.
Result<MountSent> send_mount(const MountTransfer& transfer, const std::string& id,
                             const Root& from);

}  // namespace kiln
