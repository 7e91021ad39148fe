// A whole tree copied with everything that a file system can say about it: data (shared by reflink
// where possible), modes, owners, times, xattrs, hardlinks, devices, fifos, sockets (of which
// layers know nothing), symlinks.
#pragma once

#include <stop_token>

#include "base/fs.h"

namespace kiln {

/// Copies what is in `from` into the empty directory `to`, and gives `to` the metadata of `from`.
/// Overlayfs's own xattrs are not copied. kCancelled, kResourceExhausted: `to` is left
/// half-written.
Status copy_tree(const Root& from, const Root& to, std::stop_token stop);

/// Owner, mode, times and xattrs of one open file or directory (not O_PATH) to another. Atime is
/// set to mtime: it says when the original was looked at, which is not a property of the copy.
Status copy_metadata(int from, int to, const RelPath& path);

}  // namespace kiln
