#include "exporter/image_exporter.h"

#include "base/clock.h"
#include "exporter/image_assembler.h"
#include "exporter/inline_steps.h"
#include "exporter/rewrite_times.h"
#include "exporter/step.h"

namespace kiln {
namespace {

class ImageExporter : public Exporter {
 public:
  ImageExporter(ImageExportOptions options, ImageDestinations destinations)
      : options_(std::move(options)), to_(std::move(destinations)) {}

  Result<ExportReport> run(const ExportInput& input, ExportContext& context,
                           std::stop_token stop) override {
    ExportStep step("exporting to image", context.progress);
    KILN_TRY_ASSIGN(const StoredImage stored,
                    step.watch(store_image(input, options_, context, stop)));
    // Snapshots that the records name are on disk before the name says that the image is there.
    KILN_TRY(step.watch(context.snapshots.sync()));
    step.log("writing image " + stored.config.value_or(stored.image.digest).to_string() + "\n");
    if (to_.push == ImageDestinations::Push::kYes)
      KILN_TRY(step.watch(push(stored.image, context, step, stop)));
    ExportReport report{stored.image, stored.config, {}};
    KILN_TRY_ASSIGN(report.names, step.watch(names(stored.image, context, step)));
    step.done();
    return report;
  }

 private:
  Status push(const oci::Descriptor& image, ExportContext& context, ExportStep& step,
              const std::stop_token& stop) const {
    if (!context.push) return fail(Code::kInternal, "there is no registry client");
    oci::PushEvents events;
    events.on_transfer = [&](const oci::Descriptor& blob, uint64_t done) {
      step.transfer("pushing " + blob.digest.to_string(), done, blob.size);
    };
    for (const oci::Reference& name : options_.names)
      step.log("pushing " + (to_.by == PushBy::kName ? name.to_string() : name.name()) + "\n");
    return context.push({image, options_.names, to_.by, to_.transport}, events, stop);
  }

  Result<std::vector<std::string>> names(const oci::Descriptor& image, ExportContext& context,
                                         ExportStep& step) const {
    if (to_.keep == ImageDestinations::Keep::kNo) {
      std::vector<std::string> pushed;
      for (const oci::Reference& name : options_.names) pushed.push_back(name.to_string());
      return pushed;
    }
    std::vector<oci::Reference> all;
    if (to_.by == PushBy::kName) all = options_.names;
    if (options_.names.empty() && !to_.dangling_prefix.empty()) {
      KILN_TRY_ASSIGN(const oci::Reference name,
                      oci::Reference::parse(to_.dangling_prefix + "@" + image.digest.to_string()));
      all.push_back(name);
    }
    for (const oci::Reference& name : options_.names) {
      if (to_.canonical == ImageDestinations::Canonical::kNo && to_.by == PushBy::kName) break;
      all.push_back({name.domain, name.path, "", image.digest});
    }
    KILN_TRY_ASSIGN(std::vector<std::string> given, name_image(image, all, context.images));
    for (const std::string& name : given) step.log("naming to " + name + "\n");
    return given;
  }

  ImageExportOptions options_;
  ImageDestinations to_;
};

Result<StoredImage> store_platform(const PlatformResult& result,
                                   const std::optional<std::vector<InlineStep>>& steps,
                                   const ImageExportOptions& options, ExportContext& context,
                                   const std::stop_token& stop) {
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
  Json inline_json;
  if (steps && result.root) {
    KILN_TRY_ASSIGN(inline_json, inline_cache(*steps, *result.root, layers, context));
  }
  KILN_TRY_ASSIGN(const AssembledImage image,
                  assemble_image({result.image_config_json, layers, result.platform, epoch,
                                  Clock::system().now(), options.docker_media_types,
                                  options.annotations, std::move(inline_json)}));
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
    KILN_TRY_ASSIGN(StoredImage one,
                    store_platform(platform, input.inline_steps, options, context, stop));
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

std::unique_ptr<Exporter> make_image_exporter(ImageExportOptions options,
                                              ImageDestinations destinations) {
  return std::make_unique<ImageExporter>(std::move(options), std::move(destinations));
}

}  // namespace kiln
