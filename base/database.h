// SQLite as kiln uses it: one file, WAL, synchronous=NORMAL, several processes at once. Each
// component owns tables of its own in the shared `kiln.db`. What is published (a blob's final name,
// a snapshot's directory) is published inside a write transaction, and so is what is taken away:
// the database's write lock orders builds against pruning.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kiln {

class Database;

/// One prepared statement, reset and returned to its connection's cache by the destructor.
class Statement {
 public:
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) noexcept;
  ~Statement();
  // Parameters are numbered from 1.
  Statement& bind(int index, int64_t value);
  Statement& bind(int index, std::string_view value);
  Statement& bind_blob(int index, std::string_view value);
  Statement& bind_null(int index);
  /// True: a row is there. False: done.
  Result<bool> step();
  Status run();                        // step until done
  int64_t integer(int column) const;   // columns are numbered from 0
  std::string text(int column) const;  // text or blob bytes
  bool is_null(int column) const;

 private:
  friend class Database;
  struct State;
  explicit Statement(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Thread-safe: every thread works on a connection of its own from a small pool, so a Statement
/// must end on the thread and in the transaction that made it. Busy locks are waited for (30 s),
/// then kUnavailable. A corrupt file is kDataLoss.
class Database {
 public:
  static Result<std::unique_ptr<Database>> open(const std::string& path);
  ~Database();
  /// Runs `schema` (statements separated by ";") once for `component` at `version`;
  /// kFailedPrecondition if the file holds a newer version of it (SAFETY.md 3.6). Migrations:
  /// `upgrade` is called with the version found, inside the transaction.
  Status ensure_schema(std::string_view component, int version, std::string_view schema,
                       const std::function<Status(int found)>& upgrade = {});
  Result<Statement> prepare(std::string_view sql);
  /// BEGIN IMMEDIATE … COMMIT around `body`; ROLLBACK if it fails. Nested calls on one thread join
  /// the outer one.
  Status write(const std::function<Status()>& body);
  Status execute(std::string_view sql);
  /// kDataLoss for rows that make no sense: names the file and says what to do about it.
  tl::unexpected<Error> damaged(std::string_view what) const;
  /// Number of rows the last statement on this thread changed.
  int64_t changes() const;

 private:
  friend class Statement;
  struct State;
  explicit Database(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kiln
