#include "base/fs.h"
#include "exporter/image_exporter.h"
#include "exporter/output_file.h"
#include "exporter/step.h"

namespace kiln {
namespace {

class ArchiveExporter : public Exporter {
 public:
  explicit ArchiveExporter(ArchiveExportOptions options) : options_(std::move(options)) {}

  Result<ExportReport> run(const ExportInput& input, ExportContext& context,
                           std::stop_token stop) override {
    if (options_.format == ArchiveFormat::kDocker && input.form == ImageForm::kIndex)
      return tl::unexpected(
          Error(Code::kInvalidArgument,
                "docker exporter does not currently support exporting manifest lists")
              .hint("write type=oci, or one archive for each platform"));
    const std::string kind = options_.format == ArchiveFormat::kOci ? "oci" : "docker";
    ExportStep step("exporting to " + kind + " image format", context.progress);
    KILN_TRY_ASSIGN(const StoredImage stored,
                    step.watch(store_image(input, options_.image, context, stop)));
    KILN_TRY(step.watch(context.snapshots.sync()));
    oci::NamedImage image{{}, stored.image};
    for (const oci::Reference& name : options_.image.names) image.names.push_back(name.to_string());
    KILN_TRY(step.watch(write(image, context, stop)));
    step.done();
    return ExportReport{stored.image, stored.config, image.names};
  }

 private:
  Status write(const oci::NamedImage& image, ExportContext& context, std::stop_token stop) const {
    const std::span<const oci::NamedImage> images(&image, 1);
    if (options_.as_directory)
      return oci::write_oci_directory(context.content, images, options_.destination, stop);
    KILN_TRY_ASSIGN(OutputFile file, OutputFile::open(options_.destination, options_.output_fd));
    FdSink sink(file.fd(), options_.destination);
    if (options_.format == ArchiveFormat::kOci)
      KILN_TRY(oci::write_oci_tar(context.content, images, sink, stop));
    else
      KILN_TRY(oci::write_docker_tar(context.content, images, sink, stop));
    return file.commit();
  }

  ArchiveExportOptions options_;
};

}  // namespace

std::unique_ptr<Exporter> make_archive_exporter(ArchiveExportOptions options) {
  return std::make_unique<ArchiveExporter>(std::move(options));
}

}  // namespace kiln
