#include "exporter/image_exporter.h"

#include "base/clock.h"
#include "exporter/image_assembler.h"
#include "exporter/rewrite_times.h"
#include "exporter/step.h"

namespace kiln {
namespace {

class ImageExporter : public Exporter {
 public:
  explicit ImageExporter(ImageExportOptions options) : options_(std::move(options)) {}

  Result<ExportReport> run(const ExportInput& input, ExportContext& context,
                           std::stop_token stop) override {
    ExportStep step("exporting to image", context.progress);
    KILN_TRY_ASSIGN(const StoredImage stored,
                    step.watch(store_image(input, options_, context, stop)));
    // Snapshots that the records name are on disk before the name says that the image is there.
    KILN_TRY(step.watch(context.snapshots.sync()));
    KILN_TRY_ASSIGN(std::vector<std::string> names,
                    step.watch(name_image(stored.image, options_.names, context.images)));
    step.log("writing image " + stored.config.value_or(stored.image.digest).to_string() + "\n");
    for (const oci::Reference& name : options_.names)
      step.log("naming to " + name.to_string() + "\n");
    step.done();
    return ExportReport{stored.image, stored.config, std::move(names)};
  }

 private:
  ImageExportOptions options_;
};

Result<StoredImage> store_platform(const PlatformResult& result, const ImageExportOptions& options,
                                   ExportContext& context, const std::stop_token& stop) {
  KILN_TRY_ASSIGN(std::vector<ChainLayer> layers,
                  layer_chain(result.root, options.compression, context, stop));
  const auto epoch =
      options.source_date_epoch ? options.source_date_epoch : result.source_date_epoch;
  if (options.rewrite_timestamp && !epoch)
    return tl::unexpected(
        Error(Code::kInvalidArgument, "rewrite-timestamp=true needs a time to rewrite to")
            .hint("set SOURCE_DATE_EPOCH, in the environment or with --build-arg"));
  if (options.rewrite_timestamp)
    KILN_TRY(
        rewrite_times(layers, {result.base_layers, *epoch, options.compression}, context, stop));
  KILN_TRY_ASSIGN(
      const AssembledImage image,
      assemble_image({result.image_config_json, layers, result.platform, epoch,
                      Clock::system().now(), options.docker_media_types, options.annotations}));
  KILN_TRY_ASSIGN(const Digest config,
                  oci::write_blob(context.content, context.lease, image.config_json));
  const std::string text = oci::to_json_text(image.manifest);
  KILN_TRY_ASSIGN(const Digest manifest, oci::write_blob(context.content, context.lease, text));
  return StoredImage{
      oci::Descriptor{image.manifest.media_type, manifest, text.size(), result.platform, {}},
      config};
}

Result<StoredImage> store_index(const std::vector<StoredImage>& manifests,
                                const ImageExportOptions& options, ExportContext& context) {
  oci::Index index;
  if (options.docker_media_types) index.media_type = oci::media_type::kDockerIndex;
  for (const StoredImage& one : manifests) index.manifests.push_back(one.image);
  const std::string text = oci::to_json_text(index);
  KILN_TRY_ASSIGN(const Digest digest, oci::write_blob(context.content, context.lease, text));
  return StoredImage{{index.media_type, digest, text.size(), std::nullopt, {}}, std::nullopt};
}

}  // namespace

Result<StoredImage> store_image(const ExportInput& input, const ImageExportOptions& options,
                                ExportContext& context, std::stop_token stop) {
  KILN_CHECK(!input.platforms.empty());
  std::vector<StoredImage> manifests;
  for (const PlatformResult& platform : input.platforms) {
    KILN_TRY_ASSIGN(StoredImage one, store_platform(platform, options, context, stop));
    manifests.push_back(std::move(one));
  }
  if (input.form == ImageForm::kManifest) return std::move(manifests.front());
  return store_index(manifests, options, context);
}

Result<std::vector<std::string>> name_image(const oci::Descriptor& image,
                                            const std::vector<oci::Reference>& names,
                                            oci::ImageStore& images) {
  std::vector<std::string> given;
  if (names.empty()) KILN_TRY(images.keep_dangling(image));
  for (const oci::Reference& name : names) {
    KILN_TRY(images.tag(name, image));
    given.push_back(name.to_string());
  }
  return given;
}

std::unique_ptr<Exporter> make_image_exporter(ImageExportOptions options) {
  return std::make_unique<ImageExporter>(std::move(options));
}

}  // namespace kiln
