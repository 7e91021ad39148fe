#include "exporter/image_exporter.h"

#include "base/clock.h"
#include "exporter/image_assembler.h"
#include "exporter/step.h"

namespace kiln {
namespace {

class ImageExporter : public Exporter {
 public:
  explicit ImageExporter(ImageExportOptions options) : options_(std::move(options)) {}

  Result<ExportReport> run(const ExportInput& input, ExportContext& context,
                           std::stop_token stop) override {
    ExportStep step("exporting to image", context.progress);
    KILN_TRY_ASSIGN(const StoredManifest stored,
                    step.watch(store_image(input, options_, context, stop)));
    // Snapshots that the records name are on disk before the name says that the image is there.
    KILN_TRY(step.watch(context.snapshots.sync()));
    KILN_TRY_ASSIGN(std::vector<std::string> names,
                    step.watch(name_image(stored.manifest, options_.names, context.images)));
    step.log("writing image " + stored.config.to_string() + "\n");
    for (const oci::Reference& name : options_.names)
      step.log("naming to " + name.to_string() + "\n");
    step.done();
    return ExportReport{stored.manifest, stored.config, std::move(names)};
  }

 private:
  ImageExportOptions options_;
};

}  // namespace

Result<StoredManifest> store_image(const ExportInput& input, const ImageExportOptions& options,
                                   ExportContext& context, std::stop_token stop) {
  KILN_TRY_ASSIGN(const std::vector<ChainLayer> layers,
                  layer_chain(input.root, options.compression, context, stop));
  KILN_TRY_ASSIGN(
      const AssembledImage image,
      assemble_image({input.image_config_json, layers, input.platform, input.source_date_epoch,
                      Clock::system().now(), options.docker_media_types, options.annotations}));
  KILN_TRY_ASSIGN(const Digest config,
                  oci::write_blob(context.content, context.lease, image.config_json));
  const std::string text = oci::to_json_text(image.manifest);
  KILN_TRY_ASSIGN(const Digest manifest, oci::write_blob(context.content, context.lease, text));
  return StoredManifest{
      oci::Descriptor{image.manifest.media_type, manifest, text.size(), input.platform, {}},
      config};
}

Result<std::vector<std::string>> name_image(const oci::Descriptor& manifest,
                                            const std::vector<oci::Reference>& names,
                                            oci::ImageStore& images) {
  std::vector<std::string> given;
  if (names.empty()) KILN_TRY(images.keep_dangling(manifest));
  for (const oci::Reference& name : names) {
    KILN_TRY(images.tag(name, manifest));
    given.push_back(name.to_string());
  }
  return given;
}

std::unique_ptr<Exporter> make_image_exporter(ImageExportOptions options) {
  return std::make_unique<ImageExporter>(std::move(options));
}

}  // namespace kiln
