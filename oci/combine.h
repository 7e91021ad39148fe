// One index made of images and indexes that there are, as `docker buildx imagetools create` does.
// Documents in, document out: nothing is fetched or sent here.
#pragma once

#include "base/json.h"
#include "oci/image.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kiln::oci {

struct CombinePart {
  /// mediaType, digest, size, and what else it says: platform, annotations, os.version … stay.
  Json descriptor;
  std::string text;  // of the manifest or index
};

struct EntryAnnotation {
  std::optional<Platform> platform;  // nullopt: of every entry
  std::string name, value;
};

struct CombineRequest {
  std::vector<CombinePart> parts;                  // at least one
  std::vector<Platform> platforms;                 // of the entries that stay; empty: all
  std::map<std::string, std::string> annotations;  // of the index
  std::vector<EntryAnnotation> entry_annotations;
  /// Of a single manifest: kCopy gives that itself, kIndex an index around it. A single index is
  /// copied in any case, as long as nothing about it changes.
  enum class Single : uint8_t { kIndex, kCopy } single = Single::kIndex;
};

struct CombinedImage {
  std::string media_type, text;
  struct Entry {
    Digest digest;
    size_t part;  // that names it, or is it
  };
  std::vector<Entry> entries;  // what it names; of a manifest itself
};

/// An index of the parts' manifests, each once, in order; what later parts say of one counts more.
/// Attestations stay with the manifests they are about. Docker's type if all manifests are Docker's
/// and there are no annotations, else OCI's. kInvalidArgument: something else than a manifest or
/// index; kNotFound: a platform that nothing is for, or an annotation for one.
Result<CombinedImage> combine(const CombineRequest& request);

}  // namespace kiln::oci
