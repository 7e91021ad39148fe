#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <mutex>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "base/fingerprint.h"
#include "base/guarded.h"
#include "snapshotter/selection_memo.h"
#include "snapshotter/tree_hash.h"

namespace kiln {
namespace {

// FORMAT.md, "Stat cache". Native byte order: the file never leaves its machine, and one of another
// machine has another magic number.
constexpr uint64_t kMagic = 0x4b494c4e53544331;  // "KILNSTC1"
constexpr int64_t kRacySeconds = 2;

struct Record {
  uint64_t device, inode, size;
  int64_t mtime, ctime;  // seconds
  uint32_t mtime_ns, ctime_ns;
  std::array<std::byte, Digest::kBytes> digest;
};
static_assert(sizeof(Record) == 80);

struct Header {
  uint64_t magic, count, checksum;  // of the records
};

std::tuple<uint64_t, uint64_t> key_of(const Record& record) {
  return {record.device, record.inode};
}

Record record_of(const struct stat& st, const Digest& digest) {
  Record record{st.st_dev,
                st.st_ino,
                static_cast<uint64_t>(st.st_size),
                st.st_mtim.tv_sec,
                st.st_ctim.tv_sec,
                static_cast<uint32_t>(st.st_mtim.tv_nsec),
                static_cast<uint32_t>(st.st_ctim.tv_nsec),
                {}};
  std::copy(digest.bytes().begin(), digest.bytes().end(), record.digest.begin());
  return record;
}

bool matches(const Record& record, const struct stat& st) {
  return record.device == st.st_dev && record.inode == st.st_ino &&
         record.size == static_cast<uint64_t>(st.st_size) && record.mtime == st.st_mtim.tv_sec &&
         record.mtime_ns == static_cast<uint32_t>(st.st_mtim.tv_nsec) &&
         record.ctime == st.st_ctim.tv_sec &&
         record.ctime_ns == static_cast<uint32_t>(st.st_ctim.tv_nsec);
}

std::span<const std::byte> bytes_of(std::span<const Record> records) {
  return std::as_bytes(records);
}

// The records of a file that was written by save(), mapped; empty if it is anything else.
class Table {
 public:
  explicit Table(const std::string& file) {
    const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat st {};
    if (!fd.valid() || ::fstat(fd.get(), &st) != 0) return;
    const auto size = static_cast<size_t>(st.st_size);
    if (size < sizeof(Header)) return;
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (memory == MAP_FAILED) return;
    memory_ = memory;
    size_ = size;
    adopt();
  }
  ~Table() {
    if (memory_ != nullptr) ::munmap(memory_, size_);
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  std::span<const Record> records() const { return records_; }

  const Record* find(const struct stat& st) const {
    const std::tuple<uint64_t, uint64_t> key(st.st_dev, st.st_ino);
    const auto at = std::lower_bound(
        records_.begin(), records_.end(), key,
        [](const Record& record, const auto& wanted) { return key_of(record) < wanted; });
    return at != records_.end() && matches(*at, st) ? &*at : nullptr;
  }

 private:
  void adopt() {
    Header header{};
    std::memcpy(&header, memory_, sizeof(header));
    const size_t body = size_ - sizeof(Header);
    if (header.magic != kMagic || body % sizeof(Record) != 0 ||
        body / sizeof(Record) != header.count)
      return;
    const auto* first = static_cast<const Record*>(
        static_cast<const void*>(static_cast<const char*>(memory_) + sizeof(Header)));
    const std::span<const Record> records(first, header.count);
    if (fingerprint(bytes_of(records)) == header.checksum) records_ = records;
  }

  void* memory_ = nullptr;
  size_t size_ = 0;
  std::span<const Record> records_;
};

// The table and which of its records were found.
struct Kept {
  explicit Kept(const std::string& file) : table(file), used(table.records().size()) {}
  const Table table;
  std::vector<std::atomic<bool>> used;  // by index in the table
};

class FileStatCache : public StatCache {
 public:
  explicit FileStatCache(std::string file)
      : file_(std::move(file)), selections_(file_ + ".selections") {}

  std::optional<Digest> find(const struct stat& st) const override {
    Kept& kept = this->kept();
    if (const Record* record = kept.table.find(st)) {
      const auto index = static_cast<size_t>(record - kept.table.records().data());
      kept.used[index].store(true, std::memory_order_relaxed);
      return Digest::from_bytes(record->digest);
    }
    auto added = added_.lock();
    const auto found = added->find(st.st_ino);
    if (found == added->end() || !matches(found->second, st)) return std::nullopt;
    return Digest::from_bytes(found->second.digest);
  }

  void insert(const struct stat& st, const Digest& digest) override {
    struct timespec now {};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const int64_t settled = now.tv_sec - kRacySeconds;
    if (st.st_mtim.tv_sec >= settled || st.st_ctim.tv_sec >= settled) return;
    (*added_.lock())[st.st_ino] = record_of(st, digest);
  }

  std::optional<Digest> find_selection(const Digest& key) const override {
    const auto known = selections_.find(key);
    return known ? std::optional(known->digest) : std::nullopt;
  }

  void insert_selection(const Digest& key, const Digest& digest, uint64_t files) override {
    selections_.insert(key, {digest, files});
  }

  Status save() override {
    KILN_TRY(selections_.save());
    const uint64_t unasked = selections_.files_found();
    const bool has_news = !added_.lock()->empty();
    // The records of files that nobody had to ask for are not stale.
    if (!has_news && unasked > 0) return {};
    const Kept& kept = this->kept();
    const size_t used = count_used(kept);
    // Dropping a few stale records is not worth a write of the whole file.
    if (!has_news && used * 2 >= kept.used.size()) return {};
    const bool keep_all = unasked > 0 && kept.used.size() <= 2 * (used + unasked);
    std::vector<Record> records = added_records();
    for (size_t i = 0; i < kept.used.size(); ++i)
      if (keep_all || kept.used[i].load(std::memory_order_relaxed))
        records.push_back(kept.table.records()[i]);
    sort_and_merge(records);
    return write(records);
  }

 private:
  // Opened when it is first needed: not at all where every selection is known.
  Kept& kept() const {
    std::call_once(opened_, [this] { kept_.emplace(file_); });
    return *kept_;
  }

  static size_t count_used(const Kept& kept) {
    return static_cast<size_t>(
        std::count_if(kept.used.begin(), kept.used.end(),
                      [](const auto& used) { return used.load(std::memory_order_relaxed); }));
  }

  std::vector<Record> added_records() const {
    std::vector<Record> records;
    auto added = added_.lock();
    for (const auto& [inode, record] : *added) records.push_back(record);
    return records;
  }

  // Of two for one file the first stays: what was added.
  static void sort_and_merge(std::vector<Record>& records) {
    std::stable_sort(records.begin(), records.end(),
                     [](const Record& a, const Record& b) { return key_of(a) < key_of(b); });
    const auto same = [](const Record& a, const Record& b) { return key_of(a) == key_of(b); };
    records.erase(std::unique(records.begin(), records.end(), same), records.end());
  }

  Status write(std::span<const Record> records) const {
    const Header header{kMagic, records.size(), fingerprint(bytes_of(records))};
    const std::string temp = file_ + "." + std::to_string(::getpid());
    const Fd fd(::open(temp.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
    if (!fd.valid()) return fail_errno("create", temp);
    Status written = write_fully(fd.get(), std::as_bytes(std::span(&header, 1)), temp);
    if (written) written = write_fully(fd.get(), bytes_of(records), temp);
    if (written && ::rename(temp.c_str(), file_.c_str()) != 0)
      written = fail_errno("replace", file_);
    if (!written) ::unlink(temp.c_str());
    return written;
  }

  const std::string file_;
  mutable internal::SelectionMemo selections_;
  mutable std::once_flag opened_;
  mutable std::optional<Kept> kept_;
  // Keyed by inode: trees that span devices with equal inode numbers lose an entry, which is a
  // cache's right.
  mutable Guarded<std::unordered_map<ino_t, Record>> added_;
};

}  // namespace

std::unique_ptr<StatCache> StatCache::open(std::string file) {
  return std::make_unique<FileStatCache>(std::move(file));
}

}  // namespace kiln
