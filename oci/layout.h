// Images in and out as files: OCI image layout (directory or tar; image-spec image-layout.md) and
// docker-archive
// (`docker save`: manifest.json). Reading accepts either and both at once, as docker 25+ writes
// them.
#pragma once

#include "oci/content_store.h"
#include "oci/image.h"
#include "oci/reference.h"

#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace kiln::oci {

struct NamedImage {
  std::vector<std::string> names;  // canonical references; may be empty
  Descriptor descriptor;           // manifest or index, all blobs in the content store
};

/// An OCI layout as one deterministic tar: `oci-layout`, `index.json`, `blobs/sha256/*` sorted.
/// Annotations org.opencontainers.image.ref.name (tag) and io.containerd.image.name (full name) are
/// set as BuildKit does.
Status write_oci_tar(ContentStore& content, std::span<const NamedImage> images, Sink& to,
                     std::stop_token stop);
/// The same as a directory; blobs are hard-linked or reflinked where possible. An existing layout
/// is added to.
Status write_oci_directory(ContentStore& content, std::span<const NamedImage> images,
                           const std::string& directory, std::stop_token stop);
/// docker-archive: manifest.json beside an OCI layout, as BuildKit and docker 25 write it;
/// docker 1.10 and later read it. kInvalidArgument for an index with more than one platform.
Status write_docker_tar(ContentStore& content, std::span<const NamedImage> images, Sink& to,
                        std::stop_token stop);

/// Imports every image of an archive (OCI tar or docker-archive, optionally compressed) or layout
/// directory. Blobs are verified; docker-archive layers get OCI manifests made for them. Bounded
/// documents; hostile names refused.
Result<std::vector<NamedImage>> read_archive(ContentStore& content, const Lease& lease,
                                             std::unique_ptr<Source> archive, std::stop_token stop);
Result<std::vector<NamedImage>> read_layout_directory(ContentStore& content, const Lease& lease,
                                                      const std::string& directory,
                                                      std::stop_token stop);
/// For `oci-layout://DIR-or-TAR[:tag|@digest]`: imports just that image (the only one if neither is
/// given).
Result<NamedImage> import_from_layout(ContentStore& content, const Lease& lease,
                                      const std::string& path, std::string_view tag_or_digest,
                                      std::stop_token stop);

}  // namespace kiln::oci
