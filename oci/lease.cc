#include "oci/lease.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/strings.h"

namespace kiln::oci {
namespace {

constexpr std::string_view kSchema =
    "CREATE TABLE lease_sequence(id INTEGER PRIMARY KEY CHECK (id = 1), next INTEGER NOT NULL);"
    "INSERT INTO lease_sequence VALUES (1, 1)";

Result<uint64_t> next_sequence(Database& database) {
  KILN_TRY_ASSIGN(auto query, database.prepare("SELECT next FROM lease_sequence WHERE id = 1"));
  KILN_TRY_ASSIGN(const bool row, query.step());
  if (!row) return database.damaged("the lease sequence is missing");
  return static_cast<uint64_t>(query.integer(0));
}

std::optional<uint64_t> sequence_of(const std::string& file_name) {
  const auto number = parse_int(file_name);
  if (!number || *number < 0) return std::nullopt;
  return static_cast<uint64_t>(*number);
}

}  // namespace

Lease::Lease(uint64_t sequence, std::string path, FileLock lock)
    : sequence_(sequence), path_(std::move(path)), lock_(std::move(lock)) {}

Lease::~Lease() {
  (void)::unlink(
      path_.c_str());  // a file that stays is unlocked, and removed by the next oldest_live()
}

Leases::Leases(Database& database, std::string directory)
    : database_(database), directory_(std::move(directory)) {}

Result<std::unique_ptr<Leases>> Leases::open(Database& database, std::string directory) {
  KILN_TRY(database.ensure_schema("leases", 1, kSchema));
  KILN_TRY(make_dirs(directory, 0700));
  return std::unique_ptr<Leases>(new Leases(database, std::move(directory)));
}

// The file is made and locked inside the transaction that takes the number: a pruner, which looks
// in a transaction of its own, sees either no such number yet or its holder alive.
Result<std::unique_ptr<Lease>> Leases::acquire() {
  std::unique_ptr<Lease> lease;
  const Status done = database_.write([&]() -> Status {
    KILN_TRY_ASSIGN(const uint64_t sequence, next_sequence(database_));
    const std::string path = directory_ + "/" + std::to_string(sequence);
    KILN_TRY_ASSIGN(auto lock, FileLock::try_acquire(path, FileLock::Mode::kExclusive));
    if (!lock) return fail(Code::kInternal, "lease \"" + path + "\" is held by another process");
    lease.reset(new Lease(sequence, path, *std::move(lock)));
    return database_.execute("UPDATE lease_sequence SET next = next + 1 WHERE id = 1");
  });
  if (!done) return tl::unexpected(done.error().wrap("take a lease"));
  return lease;
}

Result<uint64_t> Leases::oldest_live() {
  KILN_TRY_ASSIGN(uint64_t oldest, next_sequence(database_));
  Fd directory(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return fail_errno("open", directory_);
  KILN_TRY_ASSIGN(const auto entries, list_dir(directory.get()));
  for (const DirEntry& entry : entries) {
    const auto sequence = sequence_of(entry.name);
    if (!sequence) continue;
    const std::string path = directory_ + "/" + entry.name;
    KILN_TRY_ASSIGN(const auto lock, FileLock::try_acquire(path, FileLock::Mode::kExclusive));
    if (!lock) {
      oldest = std::min(oldest, *sequence);
    } else {
      (void)::unlink(path.c_str());  // its holder is dead; a file that stays is met again
    }
  }
  return oldest;
}

}  // namespace kiln::oci
