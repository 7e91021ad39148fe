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

const std::vector<Column>& image_columns() {
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
  for (const Column& column : image_columns())
    if (column.field != "CreatedAt" && (column.field != "Digest" || options.digests))
      shown.push_back(column);
  return shown;
}

// Under a name the platforms of an image; of one that is not here, that.
Result<std::vector<std::vector<std::string>>> tree_lines(Engine& engine,
                                                         const oci::StoredImage& image,
                                                         const Json& row) {
  const std::string name = row["Repository"].as_string() + ":" + row["Tag"].as_string();
  std::vector<std::vector<std::string>> lines{
      {name, row["ID"].as_string(), row["Size"].as_string()}};
  if (!oci::is_index(image.descriptor.media_type)) return lines;
  KILN_TRY_ASSIGN(const std::string text, oci::read_blob(engine.content(), image.descriptor.digest,
                                                         oci::kMaxDocumentBytes));
  KILN_TRY_ASSIGN(oci::Index index, oci::parse_index(text));
  std::erase_if(index.manifests, [](const oci::Descriptor& entry) {
    return entry.platform && entry.platform->os == "unknown";  // an attestation
  });
  for (const oci::Descriptor& entry : index.manifests) {
    const bool last = &entry == &index.manifests.back();
    const std::string platform = entry.platform ? entry.platform->to_string() : "?";
    KILN_TRY_ASSIGN(const auto here, engine.content().size(entry.digest));
    std::string size = "not here";
    if (here) {
      KILN_TRY_ASSIGN(const ImageFacts facts, image_facts(engine, entry));
      size = human_bytes(facts.size_bytes);
    }
    lines.push_back({(last ? "└─ " : "├─ ") + platform, entry.digest.hex().substr(0, 12), size});
  }
  return lines;
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

// One name goes when it is given; an ID takes the image with all its names, which needs --force if
// there are several.
Status remove_image(Engine& engine, const std::string& text, bool force) {
  KILN_TRY_ASSIGN(const oci::StoredImage image, find_image(engine, text));
  // A closed stdout shows in the shell, not here.
  const auto say = [](const char* what, const std::string& name) {
    (void)std::printf("%s: %s\n", what, name.c_str());
  };
  const Result<oci::Reference> name = oci::Reference::parse(text);
  bool untagged = false;
  if (name) {
    KILN_TRY_ASSIGN(untagged, engine.images().untag(*name));
  }
  if (untagged) say("Untagged", name->familiar());
  std::vector<std::string> names;  // that are left
  KILN_TRY_ASSIGN(const std::vector<oci::StoredImage> all, engine.images().list());
  for (const oci::StoredImage& other : all) {
    const auto known = oci::Reference::parse(other.name);
    if (known && other.descriptor.digest == image.descriptor.digest)
      names.push_back(known->familiar());
  }
  if (untagged && !names.empty()) return {};
  if (names.size() > 1 && !force)
    return tl::unexpected(Error(Code::kFailedPrecondition,
                                "image " + text + " has several names: " + join(names, ", "))
                              .hint("remove the names, or use --force"));
  KILN_TRY(engine.images().remove(image.descriptor.digest));
  for (const std::string& other : names) say("Untagged", other);
  say("Deleted", image.descriptor.digest.to_string());
  return {};
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
  if (options.tree && (options.quiet || !options.format.empty()))
    return usage_failure(
        Error(Code::kInvalidArgument, "--tree cannot be used with --quiet or --format"));
  std::vector<Json> rows;
  std::vector<std::vector<std::string>> tree = {{"IMAGE", "ID", "SIZE"}};
  for (const oci::StoredImage& image : images) {
    if (!wanted(image, names, options.references)) continue;
    KILN_CMD_TRY_ASSIGN(const ImageFacts facts, image_facts(*engine, image.descriptor));
    if (!filter->accepts(image, facts)) continue;
    rows.push_back(row_of(image, facts, options));
    if (!options.tree) continue;
    KILN_CMD_TRY_ASSIGN(const auto lines, tree_lines(*engine, image, rows.back()));
    tree.insert(tree.end(), lines.begin(), lines.end());
  }
  if (options.tree) {
    (void)std::fputs(align_columns(tree).c_str(), stdout);  // main sees whether it arrived
    return {};
  }
  if (options.quiet) {
    std::set<std::string> seen;
    std::erase_if(rows,
                  [&](const Json& row) { return !seen.insert(row["ID"].as_string()).second; });
  }
  const Result<std::string> text = format_rows(rows, shown_columns(options), image_columns(),
                                               options.quiet ? "{{.ID}}" : options.format);
  if (!text) return usage_failure(text.error());
  (void)std::fputs(text->c_str(), stdout);  // main sees whether it arrived
  return {};
}

CommandResult run_tag(const TagOptions& options, const Invocation& invocation) {
  const Result<oci::Reference> target = oci::Reference::parse(options.target);
  if (!target) return usage_failure(target.error());
  if (target->digest)
    return usage_failure(
        Error(Code::kInvalidArgument, "refusing to create a tag with a digest reference")
            .hint("name it NAME[:TAG]"));
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  KILN_CMD_TRY_ASSIGN(const oci::StoredImage image, find_image(*engine, options.source));
  KILN_CMD_TRY(engine->images().tag(*target, image.descriptor));
  return {};
}

// What can go goes, whatever else cannot.
CommandResult run_rmi(const RmiOptions& options, const Invocation& invocation) {
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  std::vector<Error> failed;
  for (const std::string& text : options.references)
    if (const Status removed = remove_image(*engine, text, options.force); !removed)
      failed.push_back(removed.error());
  if (!failed.empty()) return failure(joined(failed));
  return {};
}

}  // namespace kiln::cmd
