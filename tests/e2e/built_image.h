// An image in an OCI archive as lines of text that can be compared: config, history, and what its
// layers changed over the base image "base" of KilnTest.
#pragma once

#include <string>

namespace kiln::e2e {

/// "config" (one line a field, those that are always the same left out), "history" (one line an
/// entry; "-" in front: an empty layer), "files" (the sum of all layers but that with the diff ID
/// `base_diff_id`: type, path, mode, owner, content or target; "!" in front of a path that a layer
/// removed). Times of files are shown where they are not the build's own. Fails the running test if
/// the archive does not read.
std::string describe_image(const std::string& archive, const std::string& base_diff_id);

}  // namespace kiln::e2e
