// Images from one repository to another, of the same registry or of two: what the second has stays,
// what the registry has elsewhere is mounted, and the rest goes through this process without being
// kept.
#pragma once

#include "oci/registry_client.h"

#include <functional>
#include <stop_token>

namespace kiln::oci {

struct CopyRoute {
  Repository& from;
  Reference from_name;  // its tag and digest do not matter
  Repository& to;       // opened with RegistryRights::kPush
  Reference to_name;    // likewise
};

/// Told of each blob when it is there, from several threads.
using OnCopied = std::function<void(const Descriptor& blob, const Upload& how)>;

/// `manifest` (or index) of `from` and all that it names, under its digest; an index with all its
/// manifests. Blobs first, four at a time, then what names them. kNotFound; kDataLoss: bytes that
/// do not match their digest, which the registry never gets the last of. Blocks.
Status copy_manifest(const CopyRoute& route, const Digest& manifest, const OnCopied& on_copied,
                     std::stop_token stop);

}  // namespace kiln::oci
