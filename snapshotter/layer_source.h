// A layer blob as verified tar entries: digest of the blob and diff ID of the tar in it are checked
// over all bytes, also those behind the end of the archive that a tar reader does not look at.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>

#include "oci/content_store.h"
#include "oci/tar.h"

namespace kiln::internal {

class LayerSource {
 public:
  LayerSource(oci::ContentStore& content, oci::LayerBlob layer)
      : content_(content), layer_(std::move(layer)) {}

  /// Opens the blob, calls `body`, reads what it left. kDataLoss: the blob is absent or damaged, or
  /// is not the layer it claims to be; then what `body` made must not be used. Another error: of
  /// `body`. May be called again.
  Status read(const std::function<Status(oci::TarReader&)>& body) const;

 private:
  oci::ContentStore& content_;
  oci::LayerBlob layer_;
};

}  // namespace kiln::internal
