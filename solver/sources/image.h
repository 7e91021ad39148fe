// Images as sources: docker-image:// from the local image store or a registry, oci-layout:// from a
// directory or an archive. The result is a chain of lazily added layers: nothing is unpacked here.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "oci/content_store.h"
#include "oci/image.h"
#include "oci/image_store.h"
#include "oci/reference.h"
#include "snapshotter/snapshotter.h"
#include "solver/operation.h"

namespace kiln {

enum class ResolveMode : uint8_t {
  kDefault,      // the local store, then the registry
  kForcePull,    // the registry decides what the name means
  kPreferLocal,  // the local store only
};
Result<ResolveMode> parse_resolve_mode(std::string_view text);  // "", "default", "pull", "local"

enum class ImageExtent : uint8_t {
  kWhole,       // with its layers
  kConfigOnly,  // for who only asks what an image is: its layers need not be here
};

/// Fetches an image for a platform into the content store (under the engine's lease) and returns
/// the descriptor that the name has in the registry (an index or a manifest).
using PullImage = std::function<Result<oci::Descriptor>(
    const oci::Reference& name, const Platform& platform, ImageExtent extent, JobContext& job)>;

/// Borrowed; must outlive the operations.
struct ImageSources {
  oci::ContentStore* content = nullptr;
  const oci::Lease* lease = nullptr;
  oci::ImageStore* images = nullptr;
  PullImage pull;  // empty: there is no registry client
  std::map<std::string, std::string>
      layouts;  // store name (oci-layout://NAME…) -> directory or tar
};

/// One platform's image, in the content store as far as was asked for.
struct ResolvedImage {
  oci::Descriptor root;      // what the name stands for: an index or the manifest itself
  oci::Descriptor manifest;  // the platform's
  std::string config_json;
  Platform platform;                   // as the config has it
  std::vector<oci::LayerBlob> layers;  // with kConfigOnly they need not be in the store
  bool platform_matches = true;        // false: a single-platform image of another one
};

/// `identifier` is a SourceOp's: "docker-image://…" or "oci-layout://…"; attributes: LLB.md C.1
/// (image.resolvemode, image.checksum, oci.store). kNotFound with a hint; kInvalidArgument: bad
/// reference, bad layers; kDataLoss: the image lacks blobs or its config does not fit. Blocks.
Result<ResolvedImage> resolve_image(const ImageSources& sources, std::string_view identifier,
                                    const std::map<std::string, std::string>& attrs,
                                    const Platform& platform, ImageExtent extent, JobContext& job);

/// image-spec config.md, "Layer ChainID". KILN_CHECKs that there is a layer.
Digest chain_id(const std::vector<oci::LayerBlob>& layers);

}  // namespace kiln
