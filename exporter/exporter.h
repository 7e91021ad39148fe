// From a solved file tree and an image config to what the user asked for. All or nothing: on error
// no tag, file or directory has changed (blobs that were written before it stay in the store until
// they are pruned).
#pragma once

#include "base/progress.h"
#include "base/result.h"
#include "cache/store.h"
#include "oci/compression.h"
#include "oci/content_store.h"
#include "oci/image_store.h"
#include "oci/push.h"
#include "oci/reference.h"
#include "snapshotter/snapshotter.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace kiln {

/// What was built for one platform.
struct PlatformResult {
  std::optional<SnapshotId> root;  // nullopt: the empty tree
  std::string image_config_json;   // as frontend::FrontendResult leaves it; "" for a bare tree
  Platform platform = Platform::host();
  std::optional<int64_t> source_date_epoch;  // seconds
  size_t base_layers = 0;                    // the first ones, which a base image brought
};

enum class ImageForm : uint8_t {
  kManifest,  // the one platform's
  kIndex,     // of all platforms, in their order
};

/// A step that an image may carry in its config, for builds elsewhere (cache/inline_cache.h).
struct InlineStep {
  KeyRecord record;
  std::optional<KeyRecord> alias;  // what stood for the record's key
  CacheResult result;
};

struct ExportInput {
  std::vector<PlatformResult> platforms;  // at least one; several only with kIndex
  ImageForm form = ImageForm::kManifest;
  /// nullopt: images carry no cache. Each takes those whose result is made of its own layers.
  std::optional<std::vector<InlineStep>> inline_steps = std::nullopt;
};

struct ExportReport {
  std::optional<oci::Descriptor> image;  // manifest or index
  std::optional<Digest> config;          // "image ID"; none for an index
  std::vector<std::string> names;        // tags that were set
};

enum class PushBy : uint8_t { kName, kDigest };
enum class Transport : uint8_t {
  kConfigured,
  kInsecure,  // plain http and unverified certificates will do
};

struct PushOrder {
  oci::Descriptor image;              // in the content store
  std::vector<oci::Reference> names;  // at least one; of several registries, too
  PushBy by = PushBy::kName;          // kDigest: the names' repositories alone count
  Transport transport = Transport::kConfigured;
};
/// Sends the image to the registries of its names; the names appear last, when all of them have all
/// of it.
using PushImage =
    std::function<Status(const PushOrder& order, const oci::PushEvents&, std::stop_token)>;

/// What every exporter works with; borrowed.
struct ExportContext {
  Snapshotter& snapshots;
  oci::ContentStore& content;
  oci::ImageStore& images;
  const oci::Lease& lease;
  std::string scratch_directory;  // for mount points
  ProgressSink& progress;
  PushImage push = {};  // empty: there is no registry client
};

class Exporter {
 public:
  virtual ~Exporter() = default;
  /// Blocks; kCancelled on stop.
  virtual Result<ExportReport> run(const ExportInput& input, ExportContext& context,
                                   std::stop_token stop) = 0;
};

struct ImageExportOptions {
  std::vector<oci::Reference> names;
  oci::CompressionOptions compression;
  bool docker_media_types = false;  // oci-mediatypes=false
  bool rewrite_timestamp = false;   // no file of the image's own layers is younger than its epoch
  std::optional<int64_t> source_date_epoch;        // seconds; overrides the build's
  std::map<std::string, std::string> annotations;  // manifest annotations
};

enum class ArchiveFormat : uint8_t { kOci, kDocker };

/// Where the image goes beside the content store.
struct ImageDestinations {
  enum class Keep : uint8_t { kYes, kNo } keep = Keep::kYes;  // in the local image store
  enum class Push : uint8_t { kNo, kYes } push = Push::kNo;   // to the registries of its names
  PushBy by = PushBy::kName;
  Transport transport = Transport::kConfigured;
  enum class Canonical : uint8_t { kNo, kYes } canonical = Canonical::kNo;  // name NAME@DIGEST, too
  std::string dangling_prefix;  // an image without names is called PREFIX@DIGEST
};
/// Into the local image store (an unnamed image is kept as dangling) and to registries, which come
/// first: they may refuse.
std::unique_ptr<Exporter> make_image_exporter(ImageExportOptions options,
                                              ImageDestinations destinations);
/// An archive at `destination`; "-" is `output_fd`. With kOci and `as_directory` an image layout
/// directory.
struct ArchiveExportOptions {
  ImageExportOptions image;
  ArchiveFormat format = ArchiveFormat::kOci;
  std::string destination;
  bool as_directory = false;
  int output_fd = 1;
};
std::unique_ptr<Exporter> make_archive_exporter(ArchiveExportOptions options);
/// The tree itself: a directory (merged into what is there, files owned by the caller) or one tar.
/// Of several platforms each has a directory of its own, "linux_arm_v7", or all go into one.
struct FilesExportOptions {
  std::string destination;
  std::optional<bool> platform_split;        // nullopt: if there are several platforms
  std::optional<int64_t> source_date_epoch;  // seconds, the time of all files; over the build's
  int output_fd = 1;                         // of a tar to "-"
};
std::unique_ptr<Exporter> make_directory_exporter(FilesExportOptions options);
std::unique_ptr<Exporter> make_tar_exporter(FilesExportOptions options);

}  // namespace kiln
