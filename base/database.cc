#include "base/database.h"

#include <sys/stat.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/database_connection.h"
#include "base/guarded.h"

namespace kiln {

using internal::connect;
using internal::Connection;
using internal::damage_error;
using internal::enter_wal;
using internal::exec;
using internal::kBusyTimeout;
using internal::sqlite_error;
using internal::StatementHandle;

namespace {

constexpr size_t kCachedStatements = 128;  // per connection
// A WAL that is left behind costs the next open about 1 ms a MiB, a checkpoint costs two fsyncs:
// small ones wait.
constexpr off_t kCheckpointBytes = 1 << 20;

// What a thread holds while it has live statements or a transaction.
struct Binding {
  std::unique_ptr<Connection> connection;
  int uses = 0;
};

struct Pool {
  std::unordered_map<std::thread::id, Binding> bound;
  std::vector<std::unique_ptr<Connection>> idle;
  std::unordered_map<std::thread::id, int64_t> changes;
};

// Queues this process's writers: SQLite itself polls, with pauses of up to 100 ms. No timed_mutex:
// ThreadSanitizer does not know how that is taken.
class WriterQueue {
 public:
  /// A writer's place, held over the whole transaction.
  class Turn {
   public:
    Turn() = default;
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      if (queue_ != nullptr) queue_->leave();
    }
    /// False: it did not come in time.
    bool take(WriterQueue& queue, std::chrono::milliseconds patience) {
      if (!queue.enter(patience)) return false;
      queue_ = &queue;
      return true;
    }

   private:
    WriterQueue* queue_ = nullptr;
  };

 private:
  bool enter(std::chrono::milliseconds patience) {
    std::unique_lock hold(mutex_);
    if (!left_.wait_for(hold, patience, [this] { return !busy_; })) return false;
    busy_ = true;
    return true;
  }
  void leave() {
    {
      const std::lock_guard hold(mutex_);
      busy_ = false;
    }
    left_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable left_;
  bool busy_ = false;
};

}  // namespace

struct Database::State {
  std::string path;
  Guarded<Pool> pool;
  WriterQueue writers;

  Result<Connection*> acquire();
  void release();
  void note_changes(Connection& connection);
};

Result<Connection*> Database::State::acquire() {
  const auto self = std::this_thread::get_id();
  {
    auto locked = pool.lock();
    Binding& binding = locked->bound[self];
    if (!binding.connection && !locked->idle.empty()) {
      binding.connection = std::move(locked->idle.back());
      locked->idle.pop_back();
    }
    if (binding.connection) {
      ++binding.uses;
      return binding.connection.get();
    }
  }
  KILN_TRY_ASSIGN(auto fresh, connect(path));
  auto locked = pool.lock();
  Binding& binding = locked->bound[self];
  binding.connection = std::move(fresh);
  binding.uses = 1;
  return binding.connection.get();
}

void Database::State::release() {
  auto locked = pool.lock();
  const auto found = locked->bound.find(std::this_thread::get_id());
  KILN_CHECK(found != locked->bound.end() && found->second.uses > 0);
  if (--found->second.uses > 0) return;
  locked->idle.push_back(std::move(found->second.connection));
  locked->bound.erase(found);
}

void Database::State::note_changes(Connection& connection) {
  const int64_t changed = sqlite3_changes64(connection.db.get());
  pool.lock()->changes[std::this_thread::get_id()] = changed;
}

struct Statement::State {
  Database::State& database;
  Connection& connection;  // acquired once for this statement
  std::string sql;
  StatementHandle handle;
  int bind_error = SQLITE_OK;

  ~State() {
    sqlite3_reset(handle.get());
    sqlite3_clear_bindings(handle.get());
    if (connection.cache.size() < kCachedStatements) {
      connection.cache.emplace(std::move(sql), std::move(handle));
    }
    handle.reset();
    database.release();
  }
  void note(int rc) {
    if (rc != SQLITE_OK) bind_error = rc;
  }
};

Statement::Statement(std::unique_ptr<State> state) : state_(std::move(state)) {}
Statement::Statement(Statement&&) noexcept = default;
Statement& Statement::operator=(Statement&&) noexcept = default;
Statement::~Statement() = default;

Statement& Statement::bind(int index, int64_t value) {
  state_->note(sqlite3_bind_int64(state_->handle.get(), index, value));
  return *this;
}

Statement& Statement::bind(int index, std::string_view value) {
  const char* data = value.data() != nullptr ? value.data() : "";
  state_->note(sqlite3_bind_text64(state_->handle.get(), index, data, value.size(),
                                   SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(int index, std::string_view value) {
  const char* data = value.data() != nullptr ? value.data() : "";
  state_->note(
      sqlite3_bind_blob64(state_->handle.get(), index, data, value.size(), SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bind_null(int index) {
  state_->note(sqlite3_bind_null(state_->handle.get(), index));
  return *this;
}

Result<bool> Statement::step() {
  sqlite3* db = state_->connection.db.get();
  if (state_->bind_error != SQLITE_OK) {
    return tl::unexpected(sqlite_error(db, state_->bind_error, "database parameter"));
  }
  const int rc = sqlite3_step(state_->handle.get());
  if (rc == SQLITE_ROW) return true;
  if (rc != SQLITE_DONE) return tl::unexpected(sqlite_error(db, rc, "database"));
  if (sqlite3_stmt_readonly(state_->handle.get()) == 0) {
    state_->database.note_changes(state_->connection);
  }
  return false;
}

Status Statement::run() {
  while (true) {
    KILN_TRY_ASSIGN(const bool row, step());
    if (!row) return {};
  }
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(state_->handle.get(), column);
}

std::string Statement::text(int column) const {
  sqlite3_stmt* handle = state_->handle.get();
  const auto* data = static_cast<const char*>(sqlite3_column_blob(handle, column));
  if (data == nullptr) return {};
  return {data, static_cast<size_t>(sqlite3_column_bytes(handle, column))};
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(state_->handle.get(), column) == SQLITE_NULL;
}

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {}

Database::~Database() {
  auto pool = state_->pool.lock();
  KILN_CHECK(pool->bound.empty());
  if (pool->idle.empty()) return;
  sqlite3* db = pool->idle.front()->db.get();
  for (auto& connection : pool->idle) connection->cache.clear();
  sqlite3_busy_timeout(db, 0);
  struct stat wal {};
  const bool large =
      ::stat((state_->path + "-wal").c_str(), &wal) == 0 && wal.st_size > kCheckpointBytes;
  // A failure leaves the log to the next open, which reads it.
  if (large) {
    (void)sqlite3_wal_checkpoint_v2(db, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  }
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  const auto wrap = [&](const Error& error) {
    return tl::unexpected(error.code() == Code::kDataLoss ? error
                                                          : error.wrap("open \"" + path + "\""));
  };
  auto connection = connect(path);
  if (!connection) return wrap(connection.error());
  if (Status wal = enter_wal(**connection); !wal) return wrap(wal.error());
  state->pool.lock()->idle.push_back(*std::move(connection));
  return std::unique_ptr<Database>(new Database(std::move(state)));
}

tl::unexpected<Error> Database::damaged(std::string_view what) const {
  return tl::unexpected(damage_error(state_->path, what));
}

Result<Statement> Database::prepare(std::string_view sql) {
  KILN_TRY_ASSIGN(Connection * connection, state_->acquire());
  std::string key(sql);
  if (const auto found = connection->cache.find(key); found != connection->cache.end()) {
    StatementHandle handle = std::move(found->second);
    connection->cache.erase(found);
    return Statement(std::unique_ptr<Statement::State>(
        new Statement::State{*state_, *connection, std::move(key), std::move(handle)}));
  }
  sqlite3_stmt* handle = nullptr;
  const int rc = sqlite3_prepare_v3(connection->db.get(), key.c_str(), static_cast<int>(key.size()),
                                    SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (rc != SQLITE_OK || handle == nullptr) {
    Error error = sqlite_error(connection->db.get(), rc, "database statement");
    state_->release();
    return tl::unexpected(std::move(error));
  }
  return Statement(std::unique_ptr<Statement::State>(
      new Statement::State{*state_, *connection, std::move(key), StatementHandle(handle)}));
}

namespace {

Status run_nested(Connection& connection, const std::function<Status()>& body) {
  KILN_TRY(exec(connection, "SAVEPOINT nested"));
  Status done = body();
  if (!done) KILN_TRY(exec(connection, "ROLLBACK TO nested"));
  KILN_TRY(exec(connection, "RELEASE nested"));
  return done;
}

Status run_outermost(Connection& connection, const std::function<Status()>& body) {
  KILN_TRY(exec(connection, "BEGIN IMMEDIATE"));
  Status done = body();
  if (done) done = exec(connection, "COMMIT");
  // Some errors (disk full, corruption) have rolled back already; then this one has nothing to say.
  if (!done && sqlite3_get_autocommit(connection.db.get()) == 0) (void)exec(connection, "ROLLBACK");
  return done;
}

}  // namespace

Status Database::write(const std::function<Status()>& body) {
  KILN_TRY_ASSIGN(Connection * connection, state_->acquire());
  Status done;
  WriterQueue::Turn turn;
  if (connection->depth > 0) {
    ++connection->depth;
    done = run_nested(*connection, body);
    --connection->depth;
  } else if (!turn.take(state_->writers, kBusyTimeout)) {
    done = fail(Code::kUnavailable, "database: another thread has been writing for 30 s");
  } else {
    ++connection->depth;
    done = run_outermost(*connection, body);
    --connection->depth;
  }
  state_->release();
  return done;
}

Status Database::execute(std::string_view sql) {
  KILN_TRY_ASSIGN(Connection * connection, state_->acquire());
  Status done = exec(*connection, std::string(sql).c_str());
  if (done) state_->note_changes(*connection);
  state_->release();
  return done;
}

int64_t Database::changes() const {
  auto pool = state_->pool.lock();
  const auto found = pool->changes.find(std::this_thread::get_id());
  return found != pool->changes.end() ? found->second : 0;
}

namespace {

// 0: the component has never been set up here.
Result<int> stored_version(Database& database, std::string_view component) {
  KILN_TRY_ASSIGN(auto query,
                  database.prepare("SELECT version FROM schema_versions WHERE component = ?1"));
  query.bind(1, component);
  KILN_TRY_ASSIGN(const bool row, query.step());
  return row ? static_cast<int>(query.integer(0)) : 0;
}

Status refuse_newer(std::string_view component, int found, int version) {
  return tl::unexpected(
      Error(Code::kFailedPrecondition, "the store's \"" + std::string(component) +
                                           "\" has version " + std::to_string(found) +
                                           ", this kiln knows " + std::to_string(version))
          .hint("use the newer kiln, or another root (--root)"));
}

}  // namespace

Status Database::ensure_schema(std::string_view component, int version, std::string_view schema,
                               const std::function<Status(int found)>& upgrade) {
  // The usual case reads one row. A failure here means that the table is not there yet: the
  // transaction below tells.
  if (auto found = stored_version(*this, component); found && *found == version) return {};
  return write([&]() -> Status {
    KILN_TRY(
        execute("CREATE TABLE IF NOT EXISTS schema_versions("
                "component TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"));
    KILN_TRY_ASSIGN(const int found, stored_version(*this, component));
    if (found == version) return {};
    if (found > version) return refuse_newer(component, found, version);
    if (found == 0) {
      KILN_TRY(execute(schema));
    } else if (upgrade) {
      KILN_TRY(upgrade(found));
    } else {
      return fail(Code::kFailedPrecondition, "no upgrade of \"" + std::string(component) +
                                                 "\" from version " + std::to_string(found) +
                                                 " to " + std::to_string(version));
    }
    KILN_TRY_ASSIGN(auto save, prepare("INSERT OR REPLACE INTO schema_versions VALUES (?1, ?2)"));
    return save.bind(1, component).bind(2, version).run();
  });
}

}  // namespace kiln
