// A connection to SQLite and its errors: what database.cc is made of. Nothing else includes this.
#pragma once

#include <sqlite3.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"

namespace kiln::internal {

constexpr std::chrono::milliseconds kBusyTimeout{30'000};

struct CloseDb {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using StatementHandle = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

/// Used by one thread at a time; `cache` holds statements that nobody steps through at the moment.
struct Connection {
  std::unique_ptr<sqlite3, CloseDb> db;
  std::unordered_multimap<std::string, StatementHandle> cache;  // destroyed before `db`
  int depth = 0;                                                // of nested write() calls
};

Result<std::unique_ptr<Connection>> connect(const std::string& path);
/// Waits at most kBusyTimeout for those who use the file otherwise.
Status enter_wal(Connection& connection);
Status exec(Connection& connection, const char* sql);

/// kDataLoss, with what to do about it.
Error damage_error(const std::string& path, std::string_view what);
/// "what: SQLite's message". `db` may be null.
Error sqlite_error(sqlite3* db, int rc, std::string_view what);

}  // namespace kiln::internal
