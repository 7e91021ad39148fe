// The steps that every image export shares: layers, documents, blobs; naming comes last.
#pragma once

#include "exporter/exporter.h"
#include "oci/layout.h"

namespace kiln {

struct StoredImage {
  oci::Descriptor image;         // a manifest or an index
  std::optional<Digest> config;  // of a manifest
};

/// Packs the layers and writes configs, manifests and (ImageForm::kIndex) the index into the
/// content store. Nothing names the image yet. kInvalidArgument: `rewrite_timestamp` without an
/// epoch.
Result<StoredImage> store_image(const ExportInput& input, const ImageExportOptions& options,
                                ExportContext& context, std::stop_token stop);

/// Gives the image its names in the local store; without names it is kept as dangling. Returns the
/// names as set.
Result<std::vector<std::string>> name_image(const oci::Descriptor& image,
                                            const std::vector<oci::Reference>& names,
                                            oci::ImageStore& images);

}  // namespace kiln
