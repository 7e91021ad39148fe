#include "cache/downloads.h"

#include "base/strings.h"
#include "cache/key.h"

namespace kiln {
namespace {

constexpr std::string_view kDownloadsSchema =
    "CREATE TABLE downloads("
    "  url TEXT PRIMARY KEY, etag TEXT NOT NULL, last_modified TEXT NOT NULL,"
    "  digest TEXT NOT NULL, mtime INTEGER NOT NULL, checksum TEXT NOT NULL,"
    "  last_used INTEGER NOT NULL)";  // ns since the epoch
constexpr int kVersion = 2;
// Version 1 knew no time: what it holds counts as unused for long.
constexpr std::string_view kFromVersion1 =
    "ALTER TABLE downloads ADD COLUMN last_used INTEGER NOT NULL DEFAULT 0";
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
  KILN_TRY(database.ensure_schema("downloads", kVersion, kDownloadsSchema,
                                  [&](int /*found*/) { return database.execute(kFromVersion1); }));
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

Status Downloads::save(const std::string& url, const Download& download, DownloadTime now) {
  const std::string key = key_of(url);
  return database_.write([&]() -> Status {
    KILN_TRY_ASSIGN(auto insert,
                    database_.prepare("INSERT OR REPLACE INTO downloads(url, etag, last_modified, "
                                      "digest, mtime, checksum, last_used) "
                                      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
    KILN_TRY(insert.bind(1, key)
                 .bind(2, download.etag)
                 .bind(3, download.last_modified)
                 .bind(4, download.digest.to_string())
                 .bind(5, download.mtime)
                 .bind(6, checksum_of(key, download))
                 .bind(7, now.time_since_epoch().count())
                 .run());
    return database_.execute(kTrim);
  });
}

Result<std::vector<StoredDownload>> Downloads::list() {
  std::vector<StoredDownload> stored;
  std::vector<std::string> unreadable;
  {
    KILN_TRY_ASSIGN(auto query, database_.prepare("SELECT url, digest, last_used FROM downloads "
                                                  "ORDER BY last_used, url"));
    for (;;) {
      KILN_TRY_ASSIGN(const bool found, query.step());
      if (!found) break;
      const Result<Digest> digest = Digest::parse(query.text(1));
      if (digest)
        stored.push_back(
            {query.text(0), *digest, DownloadTime(std::chrono::nanoseconds(query.integer(2)))});
      else
        unreadable.push_back(query.text(0));
    }
  }
  KILN_TRY(remove(unreadable));
  return stored;
}

Status Downloads::remove(std::span<const std::string> keys) {
  if (keys.empty()) return {};
  return database_.write([&]() -> Status {
    for (const std::string& key : keys) {
      KILN_TRY_ASSIGN(auto drop, database_.prepare("DELETE FROM downloads WHERE url = ?1"));
      KILN_TRY(drop.bind(1, key).run());
    }
    return {};
  });
}

}  // namespace kiln
