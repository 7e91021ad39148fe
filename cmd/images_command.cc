// `kiln images`, `tag`, `rmi`.
#include <algorithm>
#include <cstdio>
#include <set>

#include "base/strings.h"
#include "cmd/commands.h"
#include "cmd/image_filter.h"
#include "cmd/image_lookup.h"
#include "cmd/rows.h"

namespace kiln::cmd {
namespace {

const std::vector<Column>& columns() {
  static const std::vector<Column> kColumns = {{"Repository", "REPOSITORY"},
                                               {"Tag", "TAG"},
                                               {"Digest", "DIGEST"},
                                               {"ID", "IMAGE ID"},
                                               {"CreatedSince", "CREATED"},
                                               {"CreatedAt", "CREATED AT"},
                                               {"Size", "SIZE"}};
  return kColumns;
}

Json row_of(const oci::StoredImage& image, const ImageFacts& facts, const ImagesOptions& options) {
  std::string repository = "<none>", tag = "<none>";
  if (const Result<oci::Reference> name = oci::Reference::parse(image.name); name) {
    if (!name->tag.empty()) tag = name->tag;
    repository = name->familiar();
    if (const size_t colon = repository.rfind(':');
        !name->tag.empty() && colon != std::string::npos)
      repository.resize(colon);
  }
  const std::string& created = facts.config_json["created"].as_string();
  const auto made = parse_rfc3339(created);
  Json row = Json::object();
  row.set("Repository", repository);
  row.set("Tag", tag);
  row.set("ID", options.no_trunc ? facts.id.to_string() : facts.id.hex().substr(0, 12));
  row.set("Digest", image.descriptor.digest.to_string());
  row.set("CreatedAt", created);
  row.set("CreatedSince", made ? ago(Clock::system().now() - *made) : "N/A");
  row.set("Size", human_bytes(facts.size_bytes));
  return row;
}

std::vector<Column> shown_columns(const ImagesOptions& options) {
  std::vector<Column> shown;
  for (const Column& column : columns())
    if (column.field != "CreatedAt" && (column.field != "Digest" || options.digests))
      shown.push_back(column);
  return shown;
}

bool wanted(const oci::StoredImage& image, const std::vector<oci::Reference>& filter,
            const std::vector<std::string>& texts) {
  if (filter.empty()) return true;
  const Result<oci::Reference> name = oci::Reference::parse(image.name);
  if (!name) return false;
  for (size_t i = 0; i < filter.size(); ++i) {
    const bool tagged =
        texts[i].find(':', texts[i].rfind('/') == std::string::npos ? 0 : texts[i].rfind('/')) !=
        std::string::npos;
    if (name->name() == filter[i].name() && (!tagged || name->tag == filter[i].tag)) return true;
  }
  return false;
}

}  // namespace

CommandResult run_images(const ImagesOptions& options, const Invocation& invocation) {
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  std::vector<oci::Reference> names;
  for (const std::string& text : options.references) {
    Result<oci::Reference> name = oci::Reference::parse(text);
    if (!name) return usage_failure(name.error());
    names.push_back(*std::move(name));
  }
  const Result<ImageFilter> filter = ImageFilter::parse(*engine, options.filters);
  if (!filter) return usage_failure(filter.error());
  KILN_CMD_TRY_ASSIGN(const std::vector<oci::StoredImage> images, engine->images().list());
  std::vector<Json> rows;
  for (const oci::StoredImage& image : images) {
    if (!wanted(image, names, options.references)) continue;
    KILN_CMD_TRY_ASSIGN(const ImageFacts facts, image_facts(*engine, image.descriptor));
    if (filter->accepts(image, facts)) rows.push_back(row_of(image, facts, options));
  }
  if (options.quiet) {
    std::set<std::string> seen;
    std::erase_if(rows,
                  [&](const Json& row) { return !seen.insert(row["ID"].as_string()).second; });
  }
  const Result<std::string> text = format_rows(rows, shown_columns(options), columns(),
                                               options.quiet ? "{{.ID}}" : options.format);
  if (!text) return usage_failure(text.error());
  (void)std::fputs(text->c_str(), stdout);  // main sees whether it arrived
  return {};
}

CommandResult run_tag(const TagOptions& options, const Invocation& invocation) {
  const Result<oci::Reference> target = oci::Reference::parse(options.target);
  if (!target) return usage_failure(target.error());
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  KILN_CMD_TRY_ASSIGN(const oci::StoredImage image, find_image(*engine, options.source));
  KILN_CMD_TRY(engine->images().tag(*target, image.descriptor));
  return {};
}

// One name goes when it is given; an ID takes the image with all its names, which needs --force if
// there are several.
CommandResult run_rmi(const RmiOptions& options, const Invocation& invocation) {
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  for (const std::string& text : options.references) {
    KILN_CMD_TRY_ASSIGN(const oci::StoredImage image, find_image(*engine, text));
    const Result<oci::Reference> name = oci::Reference::parse(text);
    if (name) {
      KILN_CMD_TRY_ASSIGN(const bool removed, engine->images().untag(*name));
      if (removed) {
        (void)std::printf(
            "Untagged: %s\n",
            name->familiar().c_str());  // a closed stdout shows in the shell, not here
        continue;
      }
    }
    KILN_CMD_TRY_ASSIGN(const std::vector<oci::StoredImage> all, engine->images().list());
    const auto names = std::count_if(all.begin(), all.end(), [&](const oci::StoredImage& i) {
      return i.descriptor.digest == image.descriptor.digest && !i.name.empty();
    });
    if (names > 1 && !options.force)
      return failure(Error(Code::kFailedPrecondition, "image " + text + " has several names")
                         .hint("remove the names, or use --force"));
    KILN_CMD_TRY(engine->images().remove(image.descriptor.digest));
    (void)std::printf("Deleted: %s\n", image.descriptor.digest.to_string().c_str());  // as above
  }
  return {};
}

}  // namespace kiln::cmd
