// What `docker save` of any version wrote: manifest.json with configs and layers by path. Its
// images get OCI manifests.
#pragma once

#include "oci/layout.h"

#include <map>
#include <stop_token>
#include <string>
#include <vector>

namespace kiln::oci {

/// Files of an archive that went into the content store, by path, and links between paths.
struct ArchiveFiles {
  std::map<std::string, Digest> blobs;
  std::map<std::string, std::string> links;
};

/// Adds the images of `manifest_json` to `images`; where one is there already (same config), only
/// its names. kDataLoss: a path that the archive does not hold, or a layer that is not the config's
/// diff ID.
Status merge_docker(ContentStore& content, const Lease& lease, std::string_view manifest_json,
                    const ArchiveFiles& files, std::vector<NamedImage>& images,
                    const std::stop_token& stop);

}  // namespace kiln::oci
