// Files from http and https servers (ADD of a URL; DOCKERFILE.md A3): one file in an otherwise
// empty tree, 0600 unless told otherwise, with the server's Last-Modified as its time. Redirects
// are followed here, so that headers and secrets go to the named origin only (SAFETY.md 4.1).
#pragma once

#include <memory>

#include "solver/ops/ops.h"

namespace kiln {

/// Attributes: http.filename, checksum, perm, uid, gid, header.*, authheadersecret. kUnimplemented
/// for others (signatures): they are checks that must not be passed over.
Result<std::unique_ptr<Operation>> make_http_op(const OpsEnvironment& environment,
                                                const llb::Vertex& vertex);

}  // namespace kiln
