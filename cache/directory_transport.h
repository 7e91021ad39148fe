// A shared cache in a directory (cache/FORMAT.md, "Cache directories"): what CI systems carry from
// one machine to the next. Several processes may read and write one at once.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "base/fs.h"
#include "base/guarded.h"
#include "cache/transport.h"

namespace kiln::cache {

class DirectoryTransport : public CacheTransport {
 public:
  enum class Reset : uint8_t { kNo, kYes };
  struct Config {
    std::string directory;
    std::string tag = "latest";  // entries of one tag are found together
    Reset reset = Reset::kNo;    // finish() removes the tag's entries that were not published since
  };
  /// Nothing is made or read yet.
  explicit DirectoryTransport(Config config);

  std::string name() const override { return "cache directory " + config_.directory; }
  /// Nothing with kYes: what is there will stay only if it is published again.
  /// kNotFound: no such directory; kFailedPrecondition: a cache of another kind or a newer kiln.
  Result<std::vector<std::optional<std::string>>> lookup(std::span<const CacheKey> keys,
                                                         std::stop_token stop) override;
  Status fetch(const oci::Descriptor& blob, Sink& to, std::stop_token stop) override;
  Status upload(const oci::BlobContent& content, std::stop_token stop) override;
  Status publish(std::span<const Publication> publications, std::stop_token stop) override;
  Status finish(std::stop_token stop) override;

 private:
  Status check_kind() const;
  Status prepare(const std::stop_token& stop);
  std::string blob_path(const Digest& blob) const;
  Status publish_one(const Publication& publication) const;
  Status drop_entries(const std::set<std::string>& keep) const;
  Status drop_blobs() const;

  const Config config_;
  const std::string entries_;  // of the tag
  struct State {
    std::unique_ptr<FileLock> writing;  // from the first upload or publication to finish()
    std::set<std::string> published;    // names of entries
  };
  Guarded<State> state_;
};

}  // namespace kiln::cache
