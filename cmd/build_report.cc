#include "cmd/build_report.h"

#include <cstdio>

#include "base/fs.h"
#include "base/json.h"
#include "base/strings.h"

namespace kiln::cmd {
namespace {

Json metadata(const ExportReport& report, std::span<const BuildWarning> warnings) {
  Json json = Json::object();
  if (report.config) json.set("containerimage.config.digest", report.config->to_string());
  if (report.image) {
    json.set("containerimage.descriptor", oci::to_json(*report.image));
    json.set("containerimage.digest", report.image->digest.to_string());
  }
  if (!report.names.empty()) json.set("image.name", join(report.names, ","));
  if (!warnings.empty()) {
    Json list = Json::array();
    for (const BuildWarning& warning : warnings) {
      Json item = Json::object();
      item.set("rule", warning.rule);
      item.set("message", warning.message);
      item.set("line", warning.where.first_line);
      list.push_back(std::move(item));
    }
    json.set("buildx.build.warnings", std::move(list));
  }
  return json;
}

// What people call the image: of an index its own digest.
std::optional<Digest> image_id(const ExportReport& report) {
  if (report.config) return report.config;
  return report.image ? std::optional<Digest>(report.image->digest) : std::nullopt;
}

Status write_whole(const std::string& path, std::string_view text) {
  KILN_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  KILN_TRY(file.write(text));
  return file.commit();
}

}  // namespace

Status write_report(const BuildOptions& options, const ExportReport& report,
                    std::span<const BuildWarning> warnings) {
  const std::optional<Digest> id = image_id(report);
  if (!options.iidfile.empty() && id) KILN_TRY(write_whole(options.iidfile, id->to_string()));
  if (!options.metadata_file.empty())
    KILN_TRY(write_whole(options.metadata_file, metadata(report, warnings).dump_pretty() + "\n"));
  if (options.quiet && id && std::printf("%s\n", id->to_string().c_str()) < 0)
    return fail_errno("write", "standard output");
  return {};
}

}  // namespace kiln::cmd
