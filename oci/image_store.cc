#include "oci/image_store.h"

#include <algorithm>

#include "oci/image.h"

namespace kiln::oci {
namespace {

// A dangling image is a row without a name, so (name, digest) is the key and not the name alone.
constexpr std::string_view kImagesSchema =
    "CREATE TABLE images(name TEXT NOT NULL, digest TEXT NOT NULL, descriptor TEXT NOT NULL, "
    "created INTEGER NOT NULL,"
    " PRIMARY KEY(name, digest)) WITHOUT ROWID;"
    "CREATE INDEX images_by_digest ON images(digest)";

int64_t now_ns() {
  return std::chrono::system_clock::now().time_since_epoch().count();
}

Result<StoredImage> read_row(const Statement& row) {
  KILN_TRY_ASSIGN(const Json json, Json::parse(row.text(1)));
  KILN_TRY_ASSIGN(Descriptor descriptor, descriptor_from_json(json));
  return StoredImage{
      row.text(0), std::move(descriptor),
      std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(row.integer(2)))};
}

Result<std::vector<StoredImage>> read_rows(Statement& query) {
  std::vector<StoredImage> images;
  while (true) {
    KILN_TRY_ASSIGN(const bool row, query.step());
    if (!row) return images;
    KILN_TRY_ASSIGN(StoredImage image, read_row(query));
    images.push_back(std::move(image));
  }
}

// Manifest and config digests in hex: of the image, and of all manifests of an index that are here.
Status collect_ids(ContentStore& content, const Descriptor& image, std::vector<std::string>& ids) {
  ids.push_back(image.digest.hex());
  KILN_TRY_ASSIGN(const std::optional<uint64_t> present, content.size(image.digest));
  if (!present) return {};
  KILN_TRY_ASSIGN(const std::string text, read_blob(content, image.digest, kMaxDocumentBytes));
  if (!is_index(image.media_type)) {
    KILN_TRY_ASSIGN(const Manifest manifest, parse_manifest(text));
    ids.push_back(manifest.config.digest.hex());
    return {};
  }
  KILN_TRY_ASSIGN(const Index index, parse_index(text));
  for (const Descriptor& manifest : index.manifests) KILN_TRY(collect_ids(content, manifest, ids));
  return {};
}

}  // namespace

Result<std::unique_ptr<ImageStore>> ImageStore::open(Database& database) {
  KILN_TRY(database.ensure_schema("images", 1, kImagesSchema));
  return std::unique_ptr<ImageStore>(new ImageStore(database));
}

Status ImageStore::tag(const Reference& name, const Descriptor& image) {
  return database_.write([&]() -> Status {
    KILN_TRY_ASSIGN(std::optional<StoredImage> old, find(name));
    KILN_TRY_ASSIGN(Statement drop, database_.prepare("DELETE FROM images WHERE name = ?1"));
    KILN_TRY(drop.bind(1, name.to_string()).run());
    KILN_TRY_ASSIGN(Statement insert,
                    database_.prepare("INSERT INTO images VALUES(?1, ?2, ?3, ?4)"));
    KILN_TRY(insert.bind(1, name.to_string())
                 .bind(2, image.digest.to_string())
                 .bind(3, to_json(image).dump())
                 .bind(4, now_ns())
                 .run());
    KILN_TRY_ASSIGN(Statement named,
                    database_.prepare("DELETE FROM images WHERE name = '' AND digest = ?1"));
    KILN_TRY(named.bind(1, image.digest.to_string()).run());
    if (old && old->descriptor.digest != image.digest) return keep_dangling(old->descriptor);
    return {};
  });
}

Status ImageStore::keep_dangling(const Descriptor& image) {
  return database_.write([&]() -> Status {
    KILN_TRY_ASSIGN(Statement insert,
                    database_.prepare("INSERT INTO images SELECT '', ?1, ?2, ?3 WHERE NOT EXISTS"
                                      " (SELECT 1 FROM images WHERE digest = ?1)"));
    return insert.bind(1, image.digest.to_string())
        .bind(2, to_json(image).dump())
        .bind(3, now_ns())
        .run();
  });
}

Result<std::optional<StoredImage>> ImageStore::find(const Reference& name) {
  // A digest decides, whatever tag stands beside it; any name of that repository, or none, will do.
  const bool by_digest = name.digest.has_value();
  KILN_TRY_ASSIGN(Statement query,
                  database_.prepare(
                      by_digest ? "SELECT name, descriptor, created FROM images WHERE digest = ?1 "
                                  "ORDER BY name DESC LIMIT 1"
                                : "SELECT name, descriptor, created FROM images WHERE name = ?1"));
  query.bind(1, by_digest ? name.digest->to_string() : name.to_string());
  KILN_TRY_ASSIGN(const bool row, query.step());
  if (!row) return std::optional<StoredImage>();
  KILN_TRY_ASSIGN(StoredImage image, read_row(query));
  return std::optional<StoredImage>(std::move(image));
}

Result<std::optional<StoredImage>> ImageStore::find_by_id(ContentStore& content,
                                                          std::string_view id_or_prefix) {
  constexpr size_t kShortestPrefix = 4;
  std::string_view prefix = id_or_prefix;
  if (prefix.starts_with("sha256:")) prefix.remove_prefix(7);
  std::optional<StoredImage> found;
  if (prefix.size() < kShortestPrefix ||
      prefix.find_first_not_of("0123456789abcdef") != std::string_view::npos)
    return found;
  KILN_TRY_ASSIGN(const std::vector<StoredImage> images, list());
  for (const StoredImage& image : images) {
    std::vector<std::string> ids;
    (void)collect_ids(content, image.descriptor, ids);  // of a damaged image, what is known
    if (std::none_of(ids.begin(), ids.end(),
                     [&](const std::string& id) { return id.starts_with(prefix); }))
      continue;
    if (found && found->descriptor.digest != image.descriptor.digest)
      return tl::unexpected(Error(Code::kInvalidArgument,
                                  "image ID \"" + std::string(id_or_prefix) + "\" is ambiguous")
                                .hint("give more of its digits"));
    if (!found) found = image;
  }
  return found;
}

Result<std::vector<StoredImage>> ImageStore::list() {
  KILN_TRY_ASSIGN(
      Statement query,
      database_.prepare("SELECT name, descriptor, created FROM images ORDER BY name, digest"));
  return read_rows(query);
}

Result<bool> ImageStore::untag(const Reference& name) {
  bool removed = false;
  const Status done = database_.write([&]() -> Status {
    KILN_TRY_ASSIGN(Statement drop, database_.prepare("DELETE FROM images WHERE name = ?1"));
    KILN_TRY(drop.bind(1, name.to_string()).run());
    removed = database_.changes() > 0;
    return {};
  });
  KILN_TRY(done);
  return removed;
}

Status ImageStore::remove(const Digest& image) {
  return database_.write([&]() -> Status {
    KILN_TRY_ASSIGN(Statement drop, database_.prepare("DELETE FROM images WHERE digest = ?1"));
    return drop.bind(1, image.to_string()).run();
  });
}

Result<std::vector<Descriptor>> present_manifests(ContentStore& content, const Descriptor& index) {
  KILN_TRY_ASSIGN(const std::string text, read_blob(content, index.digest, kMaxDocumentBytes));
  KILN_TRY_ASSIGN(const Index parsed, parse_index(text));
  std::vector<Descriptor> present;
  for (const Descriptor& manifest : parsed.manifests) {
    if (manifest.platform && manifest.platform->os == "unknown") continue;
    KILN_TRY_ASSIGN(const std::optional<uint64_t> size, content.size(manifest.digest));
    if (size) present.push_back(manifest);
  }
  return present;
}

Result<std::vector<Digest>> reachable_blobs(ContentStore& content, const Descriptor& image) {
  std::vector<Digest> blobs{image.digest};
  KILN_TRY_ASSIGN(const std::optional<uint64_t> present, content.size(image.digest));
  if (!present) return blobs;
  KILN_TRY_ASSIGN(const std::string text, read_blob(content, image.digest, kMaxDocumentBytes));
  if (is_index(image.media_type)) {
    KILN_TRY_ASSIGN(const Index index, parse_index(text));
    for (const Descriptor& manifest : index.manifests) {
      KILN_TRY_ASSIGN(const std::vector<Digest> below, reachable_blobs(content, manifest));
      blobs.insert(blobs.end(), below.begin(), below.end());
    }
    return blobs;
  }
  KILN_TRY_ASSIGN(const Manifest manifest, parse_manifest(text));
  blobs.push_back(manifest.config.digest);
  for (const Descriptor& layer : manifest.layers) blobs.push_back(layer.digest);
  return blobs;
}

}  // namespace kiln::oci
