// `kiln images`, `tag`, `rmi`.
#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "cmd/commands.h"
#include "cmd/image_lookup.h"

namespace kiln::cmd {
namespace {

struct Row {
  std::string repository = "<none>", tag = "<none>", digest, id, created, created_at, size;
};

std::string short_id(const Digest& digest, bool full) {
  return full ? digest.to_string() : digest.hex().substr(0, 12);
}

Result<Row> describe(Engine& engine, const oci::StoredImage& image, const ImagesOptions& options) {
  Row row;
  if (const Result<oci::Reference> name = oci::Reference::parse(image.name); name) {
    oci::Reference repository = *name;
    repository.tag.clear();
    repository.digest.reset();
    row.tag = name->tag.empty() ? "<none>" : name->tag;
    row.repository = name->familiar();
    if (const size_t colon = row.repository.rfind(':');
        !name->tag.empty() && colon != std::string::npos)
      row.repository.resize(colon);
  }
  KILN_TRY_ASSIGN(const ImageFacts facts, image_facts(engine, image.descriptor));
  row.digest = image.descriptor.digest.to_string();
  row.id = short_id(facts.id, options.no_trunc);
  row.created_at = facts.config_json["created"].as_string();
  row.created = "N/A";
  if (const auto created = parse_rfc3339(row.created_at); created)
    row.created = ago(Clock::system().now() - *created);
  row.size = human_bytes(facts.size_bytes);
  return row;
}

void print_table(const std::vector<Row>& rows, const ImagesOptions& options) {
  std::vector<std::vector<std::string>> cells;
  cells.push_back({"REPOSITORY", "TAG"});
  if (options.digests) cells[0].emplace_back("DIGEST");
  for (const char* head : {"IMAGE ID", "CREATED", "SIZE"}) cells[0].emplace_back(head);
  for (const Row& row : rows) {
    cells.push_back({row.repository, row.tag});
    if (options.digests) cells.back().push_back(row.digest);
    for (const std::string& cell : {row.id, row.created, row.size}) cells.back().push_back(cell);
  }
  std::vector<size_t> widths(cells[0].size());
  for (const auto& line : cells)
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  for (const auto& line : cells) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i)
      text += i + 1 == line.size() ? line[i]
                                   : line[i] + std::string(widths[i] - line[i].size() + 3, ' ');
    (void)std::printf("%s\n", text.c_str());  // a closed stdout shows in the shell, not here
  }
}

void print_json(const Row& row) {
  Json json = Json::object();
  json.set("Repository", row.repository);
  json.set("Tag", row.tag);
  json.set("ID", row.id);
  json.set("Digest", row.digest);
  json.set("CreatedAt", row.created_at);
  json.set("CreatedSince", row.created);
  json.set("Size", row.size);
  (void)std::printf("%s\n", json.dump().c_str());  // as above
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
  std::vector<oci::Reference> filter;
  for (const std::string& text : options.references) {
    Result<oci::Reference> name = oci::Reference::parse(text);
    if (!name) return usage_failure(name.error());
    filter.push_back(*std::move(name));
  }
  KILN_CMD_TRY_ASSIGN(const std::vector<oci::StoredImage> images, engine->images().list());
  std::vector<Row> rows;
  for (const oci::StoredImage& image : images) {
    if (!wanted(image, filter, options.references)) continue;
    KILN_CMD_TRY_ASSIGN(Row row, describe(*engine, image, options));
    rows.push_back(std::move(row));
  }
  if (options.quiet) {
    std::vector<std::string> seen;
    for (const Row& row : rows) {
      if (std::find(seen.begin(), seen.end(), row.id) != seen.end()) continue;
      seen.push_back(row.id);
      (void)std::printf("%s\n", row.id.c_str());  // a closed stdout shows in the shell, not here
    }
  } else if (options.format == "json") {
    for (const Row& row : rows) print_json(row);
  } else {
    print_table(rows, options);
  }
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
