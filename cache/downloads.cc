#include "cache/downloads.h"

#include "base/strings.h"
#include "cache/key.h"

namespace kiln {
namespace {

constexpr std::string_view kDownloadsSchema =
    "CREATE TABLE downloads("
    "  url TEXT PRIMARY KEY, etag TEXT NOT NULL, last_modified TEXT NOT NULL,"
    "  digest TEXT NOT NULL, mtime INTEGER NOT NULL, checksum TEXT NOT NULL)";
constexpr std::string_view kTrim =
    "DELETE FROM downloads WHERE rowid <= (SELECT MAX(rowid) FROM downloads) - 10000";

std::string key_of(const std::string& url) {
  return Digest::of(without_credentials(url)).hex();
}

std::string checksum_of(const std::string& key, const Download& download) {
  KeyFields fields;
  fields.add("url", key);
  fields.add("etag", download.etag);
  fields.add("last_modified", download.last_modified);
  fields.add("digest", download.digest.to_string());
  fields.add("mtime", std::to_string(download.mtime));
  return fields.digest().hex();
}

}  // namespace

Result<std::unique_ptr<Downloads>> Downloads::open(Database& database) {
  KILN_TRY(database.ensure_schema("downloads", 1, kDownloadsSchema));
  return std::unique_ptr<Downloads>(new Downloads(database));
}

Result<std::optional<Download>> Downloads::find(const std::string& url) {
  const std::string key = key_of(url);
  KILN_TRY_ASSIGN(auto query,
                  database_.prepare("SELECT etag, last_modified, digest, mtime, checksum "
                                    "FROM downloads WHERE url = ?1"));
  query.bind(1, key);
  KILN_TRY_ASSIGN(const bool found, query.step());
  if (!found) return std::nullopt;
  const Result<Digest> digest = Digest::parse(query.text(2));
  if (!digest) return std::nullopt;
  Download download{query.text(0), query.text(1), *digest, query.integer(3)};
  if (checksum_of(key, download) != query.text(4)) return std::nullopt;
  return download;
}

Status Downloads::save(const std::string& url, const Download& download) {
  const std::string key = key_of(url);
  return database_.write([&]() -> Status {
    KILN_TRY_ASSIGN(auto insert,
                    database_.prepare("INSERT OR REPLACE INTO downloads(url, etag, last_modified, "
                                      "digest, mtime, checksum) VALUES(?1, ?2, ?3, ?4, ?5, ?6)"));
    KILN_TRY(insert.bind(1, key)
                 .bind(2, download.etag)
                 .bind(3, download.last_modified)
                 .bind(4, download.digest.to_string())
                 .bind(5, download.mtime)
                 .bind(6, checksum_of(key, download))
                 .run());
    return database_.execute(kTrim);
  });
}

}  // namespace kiln
