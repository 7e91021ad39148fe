// Names to image descriptors (manifest or index), in kiln.db.
#pragma once

#include "base/database.h"
#include "oci/content_store.h"
#include "oci/reference.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace kiln::oci {

struct StoredImage {
  std::string name;  // canonical reference; "" for a dangling image
  Descriptor descriptor;
  std::chrono::sys_time<std::chrono::nanoseconds> created;  // when the name was given
};

class ImageStore {
 public:
  static Result<std::unique_ptr<ImageStore>> open(Database& database);
  /// Replaces what `name` named; the old image becomes dangling (name "") unless another name holds
  /// it.
  Status tag(const Reference& name, const Descriptor& image);
  Status keep_dangling(const Descriptor& image);                   // an untagged build result
  Result<std::optional<StoredImage>> find(const Reference& name);  // by tag or by digest
  /// Manifest digest, config digest ("image ID") or a unique prefix (hex, at least 4 digits):
  /// kInvalidArgument if ambiguous.
  Result<std::optional<StoredImage>> find_by_id(ContentStore& content,
                                                std::string_view id_or_prefix);
  Result<std::vector<StoredImage>> list();    // by name, then digest
  Result<bool> untag(const Reference& name);  // false: there was none
  Status remove(const Digest& image);         // all its names
 private:
  explicit ImageStore(Database& database) : database_(database) {}
  Database& database_;
};

/// The manifests of an index that are in the content store, attestations left out, in its order.
Result<std::vector<Descriptor>> present_manifests(ContentStore& content, const Descriptor& index);

/// Every blob that an image needs: index, manifests, configs, layers. Children that are absent
/// locally are skipped.
Result<std::vector<Digest>> reachable_blobs(ContentStore& content, const Descriptor& image);

}  // namespace kiln::oci
