// Images as the user names them: reference, image ID, or a prefix of one.
#pragma once

#include "cmd/engine.h"
#include "oci/image.h"

#include <string>

namespace kiln::cmd {

/// kNotFound with did-you-mean over the stored names.
Result<oci::StoredImage> find_image(Engine& engine, const std::string& text);

/// find_image, and of an image of several platforms the one for `platform` ("": all of it).
/// kInvalidArgument: it is no platform.
Result<oci::StoredImage> find_image_for(Engine& engine, const std::string& text,
                                        const std::string& platform);

/// The names of the store that are as close to `name` that it may have been meant.
Result<std::string> did_you_mean_image(Engine& engine, const oci::Reference& name);

/// One of several that failed, while the others went on: the error of all of them. At least one.
Error joined(const std::vector<Error>& errors);

struct ImageFacts {
  oci::Descriptor manifest;  // of an index the host's, or the first that is here
  Digest id;                 // of its config; of an index with several platforms here the index's
  Json config_json;
  uint64_t size_bytes = 0;  // of configs and (compressed) layers, of all platforms here
};
/// kNotFound: an index of which nothing is here.
Result<ImageFacts> image_facts(Engine& engine, const oci::Descriptor& image);

/// The manifest for `platform` of an image, or the image itself if it is that. kNotFound, with the
/// platforms that are here.
Result<oci::Descriptor> manifest_for(Engine& engine, const oci::Descriptor& image,
                                     const Platform& platform);

/// "5 minutes ago", as docker says it.
std::string ago(std::chrono::nanoseconds age);

}  // namespace kiln::cmd
