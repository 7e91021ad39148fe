#include "base/database_connection.h"

#include <cerrno>
#include <thread>

namespace kiln::internal {
namespace {

Code code_of(int rc) {
  switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::kDataLoss;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return Code::kResourceExhausted;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return Code::kPermissionDenied;
    case SQLITE_CONSTRAINT:
      return Code::kAlreadyExists;
    default:
      return Code::kInternal;
  }
}

// SQLite calls a full disk an "I/O error" where it grows its shared memory or first writes a log.
bool is_disk_full(sqlite3* db, int rc) {
  if ((rc & 0xff) != SQLITE_IOERR && (rc & 0xff) != SQLITE_CANTOPEN) return false;
  const int system_error = db != nullptr ? sqlite3_system_errno(db) : 0;
  return system_error == ENOSPC || system_error == EDQUOT;
}

}  // namespace

Error damage_error(const std::string& path, std::string_view what) {
  return Error(Code::kDataLoss, "\"" + path + "\" is damaged: " + std::string(what))
      .hint("remove " + path + ", " + path + "-wal and " + path +
            "-shm: images must then be built or loaded again, their data is found again");
}

Error sqlite_error(sqlite3* db, int rc, std::string_view what) {
  const std::string detail = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
  if (code_of(rc) == Code::kDataLoss && db != nullptr)
    return damage_error(sqlite3_db_filename(db, "main"), detail);
  const bool full = is_disk_full(db, rc);
  Error error(full ? Code::kResourceExhausted : code_of(rc),
              std::string(what) + ": " + detail + (full ? " (no space left on device)" : ""));
  if (error.code() == Code::kResourceExhausted)
    return error.hint("free disk space and retry; `kiln prune --all` empties the build cache");
  return error;
}

Status exec(Connection& connection, const char* sql) {
  const int rc = sqlite3_exec(connection.db.get(), sql, nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) return tl::unexpected(sqlite_error(connection.db.get(), rc, "database"));
  return {};
}

// Going from a fresh file to WAL needs the file alone, and SQLite does not call its busy handler
// for that.
Status enter_wal(Connection& connection) {
  const auto deadline = std::chrono::steady_clock::now() + kBusyTimeout;
  while (true) {
    Status done = exec(connection, "PRAGMA journal_mode=WAL");
    if (done || done.error().code() != Code::kUnavailable) return done;
    if (std::chrono::steady_clock::now() > deadline) return done;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

Result<std::unique_ptr<Connection>> connect(const std::string& path) {
  auto connection = std::make_unique<Connection>();
  sqlite3* db = nullptr;
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int rc = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
  connection->db.reset(db);
  if (rc != SQLITE_OK) return tl::unexpected(sqlite_error(db, rc, "open database"));
  sqlite3_busy_timeout(db, static_cast<int>(kBusyTimeout.count()));
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  KILN_TRY(exec(*connection, "PRAGMA synchronous=NORMAL"));
  return connection;
}

}  // namespace kiln::internal
