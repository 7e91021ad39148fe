// `kiln images`, `tag`, `rmi`.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <set>

#include "base/clock.h"
#include "base/glob.h"
#include "base/strings.h"
#include "cmd/commands.h"
#include "cmd/image_filter.h"
#include "cmd/image_lookup.h"
#include "cmd/rows.h"

namespace kiln::cmd {
namespace {

using ImageTime = std::chrono::sys_time<std::chrono::nanoseconds>;

const std::vector<Column>& image_columns() {
  static const std::vector<Column> kColumns = {
      {"Repository", "REPOSITORY"}, {"Tag", "TAG"},
      {"Digest", "DIGEST"},         {"ID", "IMAGE ID"},
      {"CreatedSince", "CREATED"},  {"Size", "SIZE"},
      {"CreatedAt", "CREATED AT"},  {"Containers", "CONTAINERS"},
      {"VirtualSize", "SIZE"},      {"SharedSize", "SHARED SIZE"},
      {"UniqueSize", "UNIQUE SIZE"}};
  return kColumns;
}

// As Go prints a time.
std::string created_at(const std::optional<ImageTime>& made) {
  if (!made) return "N/A";
  std::string text = format_rfc3339(std::chrono::floor<std::chrono::seconds>(*made));
  text.replace(text.find('T'), 1, " ");
  text.pop_back();  // "Z"
  return text + " +0000 UTC";
}

/// One image under one name, and when it was made.
struct Listed {
  oci::StoredImage image;
  ImageFacts facts;
  std::optional<ImageTime> made;
};

Json row_of(const Listed& listed, const ImagesOptions& options) {
  const auto& [image, facts, made] = listed;
  std::string repository = "<none>", tag = "<none>";
  if (Result<oci::Reference> name = oci::Reference::parse(image.name); name) {
    if (!name->tag.empty()) tag = name->tag;
    name->tag.clear();
    name->digest.reset();
    repository = name->familiar();
  }
  Json row = Json::object();
  row.set("Repository", repository);
  row.set("Tag", tag);
  row.set("ID", options.no_trunc ? facts.id.to_string() : facts.id.hex().substr(0, 12));
  row.set("Digest", image.descriptor.digest.to_string());
  row.set("CreatedAt", created_at(made));
  row.set("CreatedSince", made ? ago(Clock::system().now() - *made) : "N/A");
  row.set("Size", human_bytes(facts.size_bytes));
  row.set("VirtualSize", row["Size"]);
  for (const char* unknown : {"Containers", "SharedSize", "UniqueSize"}) row.set(unknown, "N/A");
  return row;
}

std::vector<Column> shown_columns(const ImagesOptions& options) {
  std::vector<Column> shown;
  for (const Column& column : image_columns()) {
    if (column.field == "CreatedAt") break;  // this and the others for templates
    if (column.field != "Digest" || options.digests) shown.push_back(column);
  }
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

/// The names and patterns after `kiln images`: "app", "app:1", "team/*".
class NameFilter {
 public:
  static Result<NameFilter> parse(const std::vector<std::string>& texts) {
    NameFilter filter;
    for (const std::string& text : texts) {
      if (text.find_first_of("*?[") != std::string::npos) {
        KILN_TRY(check_glob(text));
        filter.patterns_.push_back(text);
        continue;
      }
      KILN_TRY_ASSIGN(oci::Reference name, oci::Reference::parse(text));
      if (!oci::has_tag(text)) name.tag.clear();
      filter.names_.push_back(std::move(name));
    }
    return filter;
  }
  bool accepts(const oci::StoredImage& image) const {
    if (names_.empty() && patterns_.empty()) return true;
    const Result<oci::Reference> name = oci::Reference::parse(image.name);
    if (!name) return false;
    const auto is_meant = [&](const oci::Reference& asked) {
      return name->name() == asked.name() && (asked.tag.empty() || name->tag == asked.tag) &&
             (!asked.digest || name->digest == asked.digest);
    };
    return std::ranges::any_of(names_, is_meant) ||
           std::ranges::any_of(
               patterns_, [&](const std::string& pattern) { return matches_name(pattern, *name); });
  }

 private:
  std::vector<oci::Reference> names_;
  std::vector<std::string> patterns_;
};

// A digest shows with the tags of its repository; alone only if there are none.
void drop_shown_digests(std::vector<oci::StoredImage>& images) {
  std::set<std::pair<std::string, Digest>> tagged;
  for (const oci::StoredImage& image : images)
    if (const auto name = oci::Reference::parse(image.name); name && !name->tag.empty())
      tagged.emplace(name->name(), image.descriptor.digest);
  std::erase_if(images, [&](const oci::StoredImage& image) {
    const auto name = oci::Reference::parse(image.name);
    return name && name->tag.empty() && tagged.contains({name->name(), image.descriptor.digest});
  });
}

// One damaged image does not hide the others: what is known of it is shown.
ImageFacts facts_or_digest(Engine& engine, const oci::StoredImage& image) {
  Result<ImageFacts> facts = image_facts(engine, image.descriptor);
  if (facts) return *std::move(facts);
  const auto name = oci::Reference::parse(image.name);
  const std::string warning =
      "WARNING: image " + (name ? name->familiar() : image.descriptor.digest.to_string()) +
      " is damaged: " + facts.error().message() + " (pull or build it again, or `kiln rmi`)\n";
  (void)std::fputs(warning.c_str(), stderr);  // nothing to do if it is gone
  return ImageFacts{image.descriptor, image.descriptor.digest, Json::object(), 0};
}

/// What is asked for, the newest first.
Result<std::vector<Listed>> listed_images(Engine& engine, const NameFilter& names,
                                          const ImageFilter& filter) {
  KILN_TRY_ASSIGN(std::vector<oci::StoredImage> images, engine.images().list());
  drop_shown_digests(images);
  std::vector<Listed> listed;
  for (oci::StoredImage& image : images) {
    if (!names.accepts(image)) continue;
    ImageFacts facts = facts_or_digest(engine, image);
    if (!filter.accepts(image, facts)) continue;
    const auto made = parse_rfc3339(facts.config_json["created"].as_string());
    listed.push_back({std::move(image), std::move(facts),
                      made ? std::optional<ImageTime>(*made) : std::nullopt});
  }
  std::ranges::stable_sort(listed, std::greater<>(), &Listed::made);
  return listed;
}

// A closed stdout shows in the shell, not here.
void say(const char* what, const std::string& name) {
  (void)std::printf("%s: %s\n", what, name.c_str());
}

Result<std::vector<oci::Reference>> names_of(Engine& engine, const Digest& image) {
  std::vector<oci::Reference> names;
  KILN_TRY_ASSIGN(const std::vector<oci::StoredImage> all, engine.images().list());
  for (const oci::StoredImage& other : all) {
    auto known = oci::Reference::parse(other.name);
    if (known && other.descriptor.digest == image) names.push_back(*std::move(known));
  }
  return names;
}

// A digest is no name of its own beside a tag of its repository.
bool counts(const oci::Reference& name, const std::vector<oci::Reference>& names) {
  return !name.tag.empty() || std::ranges::none_of(names, [&](const oci::Reference& other) {
    return !other.tag.empty() && other.name() == name.name();
  });
}

// With its last tag a repository's digests go, too: nobody sees them beside a tag.
Status untag_digests(Engine& engine, const std::string& repository,
                     std::vector<oci::Reference>& names) {
  const auto is_of_it = [&](const oci::Reference& one) { return one.name() == repository; };
  for (const oci::Reference& one : names)
    if (is_of_it(one) && !one.tag.empty()) return {};
  for (const oci::Reference& one : names) {
    if (!is_of_it(one)) continue;
    KILN_TRY(engine.images().untag(one));
    say("Untagged", one.familiar());
  }
  std::erase_if(names, is_of_it);
  return {};
}

// One name goes when it is given; an ID takes the image with all its names, which needs --force if
// there are several.
Status remove_image(Engine& engine, const std::string& text, bool force) {
  KILN_TRY_ASSIGN(const oci::StoredImage image, find_image(engine, text));
  const auto facts = image_facts(engine, image.descriptor);  // a damaged image goes, too
  const Digest id = facts ? facts->id : image.descriptor.digest;
  const Result<oci::Reference> name = oci::Reference::parse(text);
  bool untagged = false;
  if (name) {
    KILN_TRY_ASSIGN(untagged, engine.images().untag(*name));
  }
  if (untagged) say("Untagged", name->familiar());
  KILN_TRY_ASSIGN(std::vector<oci::Reference> left, names_of(engine, image.descriptor.digest));
  if (untagged && !name->digest) KILN_TRY(untag_digests(engine, name->name(), left));
  if (untagged && !left.empty()) return {};
  std::vector<std::string> names;
  names.reserve(left.size());
  for (const oci::Reference& one : left) names.push_back(one.familiar());
  if (std::ranges::count_if(left, [&](const oci::Reference& one) { return counts(one, left); }) >
          1 &&
      !force)
    return tl::unexpected(Error(Code::kFailedPrecondition,
                                "image " + text + " has several names: " + join(names, ", "))
                              .hint("remove the names, or use --force"));
  KILN_TRY(engine.images().remove(image.descriptor.digest));
  for (const std::string& other : names) say("Untagged", other);
  say("Deleted", id.to_string());
  return {};
}

}  // namespace

CommandResult run_images(const ImagesOptions& options, const Invocation& invocation) {
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  const Result<NameFilter> names = NameFilter::parse(options.references);
  if (!names) return usage_failure(names.error());
  const Result<ImageFilter> filter = ImageFilter::parse(*engine, options.filters);
  if (!filter) return usage_failure(filter.error());
  if (options.tree && (options.quiet || !options.format.empty()))
    return usage_failure(
        Error(Code::kInvalidArgument, "--tree cannot be used with --quiet or --format"));
  KILN_CMD_TRY_ASSIGN(const std::vector<Listed> images, listed_images(*engine, *names, *filter));
  std::vector<Json> rows;
  std::vector<std::vector<std::string>> tree = {{"IMAGE", "ID", "SIZE"}};
  for (const Listed& listed : images) {
    rows.push_back(row_of(listed, options));
    if (!options.tree) continue;
    KILN_CMD_TRY_ASSIGN(const auto lines, tree_lines(*engine, listed.image, rows.back()));
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
