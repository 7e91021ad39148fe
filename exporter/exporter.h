// From a solved file tree and an image config to what the user asked for. All or nothing: on error
// no tag, file or directory has changed (blobs that were written before it stay in the store until
// they are pruned).
#pragma once

#include "base/progress.h"
#include "base/result.h"
#include "oci/compression.h"
#include "oci/content_store.h"
#include "oci/image_store.h"
#include "oci/reference.h"
#include "snapshotter/snapshotter.h"

#include <cstdint>
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

struct ExportInput {
  std::vector<PlatformResult> platforms;  // at least one; several only with kIndex
  ImageForm form = ImageForm::kManifest;
};

struct ExportReport {
  std::optional<oci::Descriptor> image;  // manifest or index
  std::optional<Digest> config;          // "image ID"; none for an index
  std::vector<std::string> names;        // tags that were set
};

/// What every exporter works with; borrowed.
struct ExportContext {
  Snapshotter& snapshots;
  oci::ContentStore& content;
  oci::ImageStore& images;
  const oci::Lease& lease;
  std::string scratch_directory;  // for mount points
  ProgressSink& progress;
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

/// Into the local image store (an unnamed image is kept as dangling).
std::unique_ptr<Exporter> make_image_exporter(ImageExportOptions options);
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
