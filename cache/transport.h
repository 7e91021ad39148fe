// Where a cache that is shared between machines lies: a registry, a directory, a cache server. It
// carries entries (cache/entry.h) under their keys, and the blobs of the layers that they name.
// What it brings is not trusted: entries are verified by who reads them, blobs by their digests.
#pragma once

#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/io.h"
#include "cache/key.h"
#include "oci/descriptor.h"
#include "oci/registry_client.h"

namespace kiln::cache {

/// What is published under a key. Its blobs must have been uploaded.
struct Publication {
  CacheKey key;
  std::string entry;
  std::vector<oci::Descriptor> blobs;
  bool replaces = false;  // the last writer wins: not for results of steps
};

/// Thread-safe. All calls block; kCancelled on stop. kUnavailable: it cannot be reached, or not
/// now.
class CacheTransport {
 public:
  virtual ~CacheTransport() = default;
  /// For people: "registry cache localhost:5000/app:cache".
  virtual std::string name() const = 0;
  /// How many keys a lookup should ask for at once: more where they travel together.
  virtual size_t batch() const { return 1000; }
  /// The entries under `keys`, in their order; nullopt: none. An entry has at most 1 MiB.
  virtual Result<std::vector<std::optional<std::string>>> lookup(std::span<const CacheKey> keys,
                                                                 std::stop_token stop) = 0;
  /// Writes the bytes of `blob` to `to`; their digest is for the caller to check. kNotFound.
  virtual Status fetch(const oci::Descriptor& blob, Sink& to, std::stop_token stop) = 0;
  /// Without transfer if it is there already; its bytes are read as they are sent.
  virtual Status upload(const oci::BlobContent& content, std::stop_token stop) = 0;
  /// The first writer of a key wins, unless the publication replaces: an entry that is there stays,
  /// which is no error. Concurrent writers never undo each other's entries.
  virtual Status publish(std::span<const Publication> publications, std::stop_token stop) = 0;
  /// True: it is left alone, and would be asked in vain.
  virtual bool lost() const { return false; }
  /// After the last publication of a build.
  virtual Status finish(std::stop_token /*stop*/) { return {}; }
};

}  // namespace kiln::cache
