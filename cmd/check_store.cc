#include "cmd/check_store.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "base/parallel.h"
#include "base/strings.h"

namespace kiln::cmd {
namespace {

constexpr size_t kReaders = 4;
constexpr size_t kBufferBytes = 1U << 18U;

class StoreChecker {
 public:
  StoreChecker(Engine& engine, RepairStore repair,
               const std::function<void(const std::string&)>& tell, const std::stop_token& stop)
      : engine_(engine), repair_(repair), tell_(tell), stop_(stop) {}

  Result<StoreCheck> run() {
    // Before anything is collected: what a build has made since is none of ours to forget.
    KILN_TRY_ASSIGN(oldest_live_, engine_.leases().oldest_live());
    KILN_TRY(check_database());
    KILN_TRY(check_blobs());
    KILN_TRY(check_images());
    KILN_TRY(check_snapshots());
    KILN_TRY(check_records());
    return check_;
  }

 private:
  enum class Fate : uint8_t { kStays, kRepaired };
  void problem(const std::string& line, Fate fate = Fate::kStays) {
    ++check_.problems;
    if (fate == Fate::kRepaired) ++check_.repaired;
    tell_(line);
  }

  Fate fate() const { return repair_ == RepairStore::kYes ? Fate::kRepaired : Fate::kStays; }

  Status check_database() {
    KILN_TRY_ASSIGN(Statement check, engine_.database().prepare("PRAGMA integrity_check"));
    while (true) {
      KILN_TRY_ASSIGN(const bool row, check.step());
      if (!row) return {};
      if (check.text(0) != "ok") problem("kiln.db: " + check.text(0));
    }
  }

  Status check_blobs() {
    KILN_TRY_ASSIGN(const std::vector<oci::StoredBlob> blobs, engine_.content().list());
    std::mutex mutex;  // check_, tell_
    return for_each_at_once(blobs.size(), kReaders, [&](size_t i) -> Status {
      const Result<uint64_t> read = read_blob(blobs[i].digest);
      const std::lock_guard hold(mutex);
      if (read) {
        ++check_.blobs;
        check_.bytes += *read;
        return {};
      }
      if (read.error().code() == Code::kNotFound) return {};  // pruned meanwhile
      if (read.error().code() != Code::kDataLoss) return tl::unexpected(read.error());
      problem("blob " + blobs[i].digest.to_string() + " is damaged: it is in quarantine now",
              Fate::kRepaired);
      return {};
    });
  }

  /// The store itself compares at the end, and moves aside what does not match.
  Result<uint64_t> read_blob(const Digest& blob) const {
    KILN_TRY_ASSIGN(const auto source, engine_.content().open(blob));
    std::vector<std::byte> buffer(kBufferBytes);
    uint64_t bytes = 0;
    while (!stop_.stop_requested()) {
      KILN_TRY_ASSIGN(const size_t count, source->read(buffer));
      if (count == 0) return bytes;
      bytes += count;
    }
    return fail(Code::kCancelled, "the check was stopped");
  }

  Status check_images() {
    KILN_TRY_ASSIGN(const auto images, engine_.images().list());
    for (const oci::StoredImage& image : images) {
      const std::string name =
          image.name.empty() ? image.descriptor.digest.to_string() : image.name;
      const auto blobs = oci::reachable_blobs(engine_.content(), image.descriptor);
      if (!blobs) {
        problem("image " + name + ": " + blobs.error().message());
        continue;
      }
      for (const Digest& blob : *blobs) {
        KILN_TRY_ASSIGN(const auto size, engine_.content().size(blob));
        if (!size) problem("image " + name + ": blob " + blob.to_string() + " is missing");
      }
    }
    return {};
  }

  // The store looks after itself where it is asked to use one: what changed is told.
  Status check_snapshots() {
    KILN_TRY_ASSIGN(const auto snapshots, engine_.snapshots().list());
    for (const SnapshotId& id : snapshots) {
      if (stop_.stop_requested()) return fail(Code::kCancelled, "the check was stopped");
      const auto before = engine_.snapshots().facts(id);
      KILN_TRY_ASSIGN(const bool present, engine_.snapshots().touch(id, engine_.lease()));
      const auto after = engine_.snapshots().facts(id);
      if (!present) {
        lost_.insert(id.value);
        problem("snapshot " + id.value + " is lost: neither its directory nor its layer is whole",
                fate());
      } else if (before && after && before->has_directory && !after->has_directory) {
        problem("snapshot " + id.value + " is damaged: its layer will be unpacked again",
                Fate::kRepaired);
      }
    }
    return {};
  }

  Status check_records() {
    KILN_TRY_ASSIGN(const std::vector<StoredRecord> records, engine_.cache().list());
    std::vector<CacheKey> useless;
    for (const StoredRecord& record : records) {
      if (record.result.local_ref.empty() || leads_somewhere(record.result.local_ref)) continue;
      problem("the result of step " + quote(record.record.name) + " is lost", fate());
      useless.push_back(record.key);
    }
    if (repair_ == RepairStore::kNo || useless.empty()) return {};
    return engine_.cache().remove(useless, oldest_live_);
  }
  bool leads_somewhere(const std::string& snapshot) {
    const auto chain = engine_.snapshots().chain(SnapshotId{snapshot});
    return chain && std::none_of(chain->begin(), chain->end(), [this](const SnapshotId& link) {
             return lost_.contains(link.value);
           });
  }

  Engine& engine_;
  const RepairStore repair_;
  const std::function<void(const std::string&)>& tell_;
  const std::stop_token& stop_;
  uint64_t oldest_live_ = 0;
  std::set<std::string> lost_;  // snapshots
  StoreCheck check_;
};

}  // namespace

Result<StoreCheck> check_store(Engine& engine, RepairStore repair,
                               const std::function<void(const std::string&)>& tell,
                               const std::stop_token& stop) {
  return StoreChecker(engine, repair, tell, stop).run();
}

}  // namespace kiln::cmd
