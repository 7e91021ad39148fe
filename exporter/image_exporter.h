// The steps that every image export shares: layers, documents, blobs; naming comes last.
#pragma once

#include "exporter/exporter.h"
#include "oci/layout.h"

namespace kiln {

struct StoredManifest {
  oci::Descriptor manifest;
  Digest config;
};

/// Packs the layers and writes config and manifest into the content store. Nothing names the image
/// yet.
Result<StoredManifest> store_image(const ExportInput& input, const ImageExportOptions& options,
                                   ExportContext& context, std::stop_token stop);

/// Gives the image its names in the local store; without names it is kept as dangling. Returns the
/// names as set.
Result<std::vector<std::string>> name_image(const oci::Descriptor& manifest,
                                            const std::vector<oci::Reference>& names,
                                            oci::ImageStore& images);

}  // namespace kiln
