#include "cache/local_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/clock.h"
#include "base/fs.h"
#include "cache/explain.h"
#include "cache/fields.h"
#include "cache/result_codec.h"

namespace kiln {
namespace {

constexpr std::string_view kSchema =
    "CREATE TABLE cache_records("
    "  key TEXT PRIMARY KEY, name TEXT NOT NULL, record BLOB NOT NULL, result BLOB NOT NULL,"
    "  used_seq INTEGER NOT NULL, created INTEGER NOT NULL, last_used INTEGER NOT NULL,"
    "  uses INTEGER NOT NULL);"
    "CREATE INDEX cache_records_name ON cache_records(name, created);"
    "CREATE TABLE cache_aliases("
    "  key TEXT PRIMARY KEY, target TEXT NOT NULL, alias BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX cache_aliases_target ON cache_aliases(target)";

constexpr std::string_view kColumns = "key, record, result, used_seq, last_used, uses";

constexpr std::string_view kAliasMagic = "kiln.alias.v1";
enum AliasTag : uint8_t { kFast = 1, kTarget = 2 };

using Time = std::chrono::sys_time<std::chrono::nanoseconds>;

int64_t count(Time time) {
  return time.time_since_epoch().count();
}

// kDataLoss: what is stored does not verify. Rows are checked against the key they are found by:
// a wrong hit is the one unforgivable bug, and hashing a record costs a microsecond.
Result<StoredRecord> read_row(Statement& query) {
  KILN_TRY_ASSIGN(const Digest digest, Digest::parse("sha256:" + query.text(0)));
  const CacheKey key{digest};
  KILN_TRY_ASSIGN(KeyRecord record, KeyRecord::decode(query.text(1)));
  if (record.key() != key) return fail(Code::kDataLoss, "a record is stored under another key");
  KILN_TRY_ASSIGN(CacheResult result, cache::decode_result(key, query.text(2)));
  const Time last_used{std::chrono::nanoseconds(query.integer(4))};
  return StoredRecord{key,
                      std::move(record),
                      std::move(result),
                      last_used,
                      static_cast<uint64_t>(query.integer(5)),
                      static_cast<uint64_t>(query.integer(3))};
}

Status drop(Database& database, const CacheKey& key) {
  return database.write([&]() -> Status {
    KILN_TRY_ASSIGN(auto remove, database.prepare("DELETE FROM cache_records WHERE key = ?1"));
    return remove.bind(1, key.digest.hex()).run();
  });
}

// nullopt: there is none, or there was a torn one, which is dropped.
Result<std::optional<StoredRecord>> find_row(Database& database, const CacheKey& key) {
  Result<StoredRecord> row = fail(Code::kNotFound, "");
  {
    KILN_TRY_ASSIGN(auto query, database.prepare("SELECT " + std::string(kColumns) +
                                                 " FROM cache_records WHERE key = ?1"));
    query.bind(1, key.digest.hex());
    KILN_TRY_ASSIGN(const bool found, query.step());
    if (!found) return std::nullopt;
    row = read_row(query);
  }
  if (row) return *std::move(row);
  KILN_TRY(drop(database, key));
  return std::nullopt;
}

// The stamp only grows: the oldest of several users must not take the claim of a younger one away.
Status stamp(Database& database, const CacheKey& key, uint64_t sequence) {
  KILN_TRY_ASSIGN(auto update,
                  database.prepare("UPDATE cache_records SET used_seq = max(used_seq, ?2),"
                                   " last_used = ?3, uses = uses + 1 WHERE key = ?1"));
  return update.bind(1, key.digest.hex())
      .bind(2, static_cast<int64_t>(sequence))
      .bind(3, count(Clock::system().now()))
      .run();
}

Result<std::vector<StoredRecord>> read_all(Statement& query) {
  std::vector<StoredRecord> records;
  for (;;) {
    KILN_TRY_ASSIGN(const bool found, query.step());
    if (!found) return records;
    auto row = read_row(query);
    if (row) records.push_back(*std::move(row));
  }
}

// Removed while it is held, so that the directory does not grow; who waited on the file that is
// gone sees that it is not linked any more.
class FileKeyLock : public KeyLock {
 public:
  FileKeyLock(std::string path, FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  ~FileKeyLock() override { (void)::unlink(path_.c_str()); }  // a file that stays locks as well

 private:
  std::string path_;
  FileLock lock_;
};

}  // namespace

LocalCacheStore::LocalCacheStore(Database& database, const oci::Lease& lease,
                                 std::string lock_directory)
    : database_(database), lease_(lease), lock_directory_(std::move(lock_directory)) {}

Result<std::unique_ptr<LocalCacheStore>> LocalCacheStore::open(Database& database,
                                                               const oci::Lease& lease,
                                                               std::string lock_directory) {
  KILN_TRY(database.ensure_schema("cache", 1, kSchema));
  KILN_TRY(make_dirs(lock_directory, 0700));
  return std::unique_ptr<LocalCacheStore>(
      new LocalCacheStore(database, lease, std::move(lock_directory)));
}

// A row that a live lease has stamped cannot be pruned, so one that this lease has stamped is safe
// without a transaction; any other is read again and stamped in one.
Result<std::optional<CacheResult>> LocalCacheStore::find(const CacheKey& key) {
  KILN_TRY_ASSIGN(std::optional<StoredRecord> row, find_row(database_, key));
  if (!row) return std::nullopt;
  if (row->used_seq < lease_.sequence()) {
    KILN_TRY(database_.write([&]() -> Status {
      KILN_TRY_ASSIGN(row, find_row(database_, key));
      return row ? stamp(database_, key, lease_.sequence()) : Status{};
    }));
  }
  if (!row) return std::nullopt;
  return std::move(row->result);
}

Status LocalCacheStore::save(const KeyRecord& record, const CacheResult& result) {
  const CacheKey key = record.key();
  const int64_t now = count(Clock::system().now());
  return database_.write([&]() -> Status {
    KILN_TRY_ASSIGN(
        auto insert,
        database_.prepare("INSERT INTO cache_records VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0)"
                          " ON CONFLICT(key) DO UPDATE SET name = excluded.name,"
                          " record = excluded.record, result = excluded.result,"
                          " used_seq = max(used_seq, excluded.used_seq),"
                          " created = excluded.created, last_used = excluded.last_used"));
    return insert.bind(1, key.digest.hex())
        .bind(2, record.name)
        .bind_blob(3, record.encode())
        .bind_blob(4, cache::encode_result(key, result))
        .bind(5, static_cast<int64_t>(lease_.sequence()))
        .bind(6, now)
        .run();
  });
}

Result<std::optional<CacheKey>> LocalCacheStore::find_alias(const CacheKey& fast) {
  KILN_TRY_ASSIGN(auto query, database_.prepare("SELECT alias FROM cache_aliases WHERE key = ?1"));
  query.bind(1, fast.digest.hex());
  KILN_TRY_ASSIGN(const bool found, query.step());
  if (!found) return std::nullopt;
  const std::string bytes = query.text(0);
  auto in = cache::FieldReader::open(kAliasMagic, bytes);
  if (!in) return std::nullopt;  // torn: the next save replaces it
  const auto encoded = in->text(kFast);
  const auto target = in->digest(kTarget);
  if (!encoded || !target) return std::nullopt;
  const auto record = KeyRecord::decode(*encoded);
  if (!record || record->key() != fast) return std::nullopt;
  return CacheKey{*target};
}

Status LocalCacheStore::save_alias(const KeyRecord& fast, const CacheKey& target) {
  cache::FieldWriter alias(kAliasMagic);
  alias.text(kFast, fast.encode());
  alias.digest(kTarget, target.digest);
  const std::string bytes = std::move(alias).sealed();
  return database_.write([&]() -> Status {
    KILN_TRY_ASSIGN(auto insert,
                    database_.prepare("INSERT OR REPLACE INTO cache_aliases VALUES (?1, ?2, ?3)"));
    return insert.bind(1, fast.key().digest.hex())
        .bind(2, target.digest.hex())
        .bind_blob(3, bytes)
        .run();
  });
}

Status LocalCacheStore::forget(const CacheKey& key) {
  return drop(database_, key);
}

Result<std::unique_ptr<KeyLock>> LocalCacheStore::lock(const CacheKey& key, std::stop_token stop) {
  std::string path = lock_directory_ + "/" + key.digest.hex();
  for (;;) {
    KILN_TRY_ASSIGN(FileLock lock, FileLock::acquire(path, FileLock::Mode::kExclusive,
                                                     [&stop] { return stop.stop_requested(); }));
    struct stat file {};
    if (::fstat(lock.fd(), &file) != 0) return fail_errno("stat", path);
    if (file.st_nlink > 0) return std::make_unique<FileKeyLock>(std::move(path), std::move(lock));
  }
}

Result<std::optional<KeyRecord>> LocalCacheStore::record(const CacheKey& key) {
  KILN_TRY_ASSIGN(std::optional<StoredRecord> row, find_row(database_, key));
  if (!row) return std::nullopt;
  return std::move(row->record);
}

Result<std::vector<KeyRecord>> LocalCacheStore::similar(std::string_view name, size_t limit) {
  KILN_TRY_ASSIGN(
      auto query,
      database_.prepare("SELECT " + std::string(kColumns) +
                        " FROM cache_records WHERE name = ?1 OR substr(name, -length(?2)) = ?2"
                        " OR (?3 <> '' AND substr(name, 1, length(?3)) = ?3)"
                        " ORDER BY created DESC, key LIMIT ?4"));
  constexpr size_t kMost = 1U << 30U;
  const StepName parts = split_step_name(name);
  query.bind(1, name).bind(2, parts.instruction).bind(3, parts.place);
  query.bind(4, static_cast<int64_t>(std::min(limit, kMost)));
  KILN_TRY_ASSIGN(std::vector<StoredRecord> stored, read_all(query));
  std::vector<KeyRecord> records;
  records.reserve(stored.size());
  for (StoredRecord& one : stored) records.push_back(std::move(one.record));
  return records;
}

Result<std::vector<StoredRecord>> LocalCacheStore::list() {
  KILN_TRY_ASSIGN(auto query, database_.prepare("SELECT " + std::string(kColumns) +
                                                " FROM cache_records ORDER BY key"));
  return read_all(query);
}

Status LocalCacheStore::remove(const std::vector<CacheKey>& keys, uint64_t oldest_live) {
  return database_.write([&]() -> Status {
    for (const CacheKey& key : keys) {
      KILN_TRY_ASSIGN(auto remove, database_.prepare("DELETE FROM cache_records"
                                                     " WHERE key = ?1 AND used_seq < ?2"));
      KILN_TRY(remove.bind(1, key.digest.hex()).bind(2, static_cast<int64_t>(oldest_live)).run());
    }
    // Aliases of records that are gone, whoever took them away.
    return database_.execute(
        "DELETE FROM cache_aliases WHERE target NOT IN (SELECT key FROM cache_records)");
  });
}

}  // namespace kiln
