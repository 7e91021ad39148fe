#include "cache/server/s3_sweeps.h"

#include <thread>
#include <utility>

#include "base/io.h"
#include "base/strings.h"
#include "cache/server/names.h"
#include "cache/server/record_path.h"

namespace kiln::server {
namespace {

using Steady = std::chrono::steady_clock;

constexpr uint64_t kMaxListBytes = 4U << 20U;
// A collector that is not done by then gives up, and so long after that nobody heeds its list.
constexpr auto kActTime = std::chrono::minutes(20);
constexpr auto kListLife = std::chrono::minutes(60);
constexpr auto kLeaseLife = std::chrono::minutes(30);
// Lists of what was removed by a request that was repeated: longer than any is on its way.
constexpr auto kLateLife = std::chrono::minutes(10);
constexpr std::string_view kLate = "late-";

/// Counts those that wait while it lives.
class Waiting {
 public:
  explicit Waiting(std::atomic<size_t>& count) : number(++count), count_(count) {}
  ~Waiting() { --count_; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  const size_t number;  // this one's among them

 private:
  std::atomic<size_t>& count_;
};

}  // namespace

bool S3Sweeps::is_over(const S3Object& list, const S3Listing& listing) const {
  const bool late = list.key.starts_with(prefix_ + "sweeps/" + std::string(kLate));
  return list.modified + (late ? kLateLife : kListLife) < listing.now;
}

Result<S3Sweeps::View> S3Sweeps::look() {
  std::map<std::string, std::shared_ptr<const Keys>> known = view_.lock()->lists;
  View view{Steady::now()};  // before the question: what came later may be missing
  KILN_TRY_ASSIGN(const S3Listing listing, client_.list(prefix_ + "sweeps/"));
  for (const S3Object& object : listing.objects) {
    if (is_over(object, listing)) continue;
    if (const auto found = known.find(object.key); found != known.end()) {
      view.lists.insert(*found);
      continue;
    }
    Result<std::string> text = client_.get(object.key, kMaxListBytes);
    if (!text && text.error().code() == Code::kNotFound) continue;  // it is over
    if (!text) return tl::unexpected(text.error());
    const std::vector<std::string> lines = split(*text, '\n');
    view.lists.emplace(object.key, std::make_shared<const Keys>(lines.begin(), lines.end()));
  }
  *view_.lock() = view;
  return view;
}

Result<bool> S3Sweeps::is_listed(const std::vector<std::string>& keys, Freshness freshness) {
  View view = *view_.lock();
  const bool recent = view.asked && Steady::now() - *view.asked < times_.view;
  if (!recent || freshness == Freshness::kNew) {
    KILN_TRY_ASSIGN(view, look());
  }
  for (const auto& [name, list] : view.lists)
    for (const std::string& key : keys)
      if (list->contains(key)) return true;
  return false;
}

Result<bool> S3Sweeps::waited_for(const std::vector<std::string>& keys) {
  KILN_TRY_ASSIGN(bool listed, is_listed(keys, Freshness::kRecent));
  if (!listed) return false;
  const Waiting waiting(waiting_);
  if (waiting.number > times_.most_waiting)
    return fail(Code::kUnavailable, "many wait for a collection of garbage: push again");
  const Steady::time_point end = Steady::now() + times_.patience;
  while (listed) {
    if (Steady::now() > end)
      return fail(Code::kUnavailable, "a collection of garbage takes too long: push again");
    std::this_thread::sleep_for(times_.poll);
    KILN_TRY_ASSIGN(listed, is_listed(keys, Freshness::kNew));
  }
  return true;
}

void S3Sweeps::removed_with_repetitions(const std::string& key) {
  auto announced = own_list_.lock();
  if (announced->keys.contains(key)) announced->repeated.insert(key);
}

/// The right to collect, as an object that says whose it is. It spares servers from doing the same
/// work; nothing is lost if two have it.
class S3Sweeps::Lease : public Collection {
 public:
  Lease(S3Sweeps& sweeps, std::string name, TimePoint now)
      : sweeps_(sweeps), name_(std::move(name)), now_(now) {}
  // A list that was not finished stays until nobody heeds it: a removal may still be on its way.
  ~Lease() override {
    (void)sweeps_.client_.remove(key());  // it expires
  }
  std::string key() const { return sweeps_.prefix_ + "collector"; }

  TimePoint now() const override { return now_; }
  bool is_shared() const override { return true; }
  Status announce_records(std::span<const RecordKey> records) override {
    std::string text;
    for (const RecordKey& record : records) {
      KILN_TRY_ASSIGN(const std::string path, record_path(record));
      text += sweeps_.prefix_ + path + "\n";
    }
    return announce(text);
  }
  Status announce_blobs(std::span<const BlobDigest> blobs) override {
    std::string text;
    for (const BlobDigest& blob : blobs)
      text += sweeps_.prefix_ + "blobs/" + std::string(server::to_string(blob.algorithm())) + "/" +
              blob.hex() + "\n";
    return announce(text);
  }
  Status check() override {
    if (Steady::now() - announced_ < kActTime) return {};
    return fail(Code::kUnavailable, "the object storage is too slow to collect garbage in it");
  }
  Status finished() override {
    const Announced over = std::exchange(*sweeps_.own_list_.lock(), {});
    KILN_TRY(keep_listed(over.repeated));
    return sweeps_.client_.remove(list_);
  }

 private:
  // Under another name: nobody reads a list twice.
  Status keep_listed(const Keys& keys) {
    if (keys.empty()) return {};
    std::string text;
    for (const std::string& each : keys) text += each + "\n";
    KILN_TRY_ASSIGN(const std::string name, random_name());
    return sweeps_.client_.put(sweeps_.prefix_ + "sweeps/" + std::string(kLate) + name, text);
  }
  Status announce(const std::string& text) {
    KILN_TRY(sweeps_.client_.put(key(), name_));  // ours for longer
    KILN_TRY_ASSIGN(const std::string list, random_name());
    list_ = sweeps_.prefix_ + "sweeps/" + list;
    const std::vector<std::string> lines = split(text, '\n');
    *sweeps_.own_list_.lock() = {Keys(lines.begin(), lines.end()), {}};
    announced_ = Steady::now();
    KILN_TRY(sweeps_.client_.put(list_, text));
    std::this_thread::sleep_for(sweeps_.times_.announce);
    return {};
  }

  S3Sweeps& sweeps_;
  const std::string name_;
  const TimePoint now_;
  std::string list_;
  Steady::time_point announced_;
};

// Not every object storage has conditional writes: who wrote last has it.
Result<std::unique_ptr<Collection>> S3Sweeps::begin() {
  const std::string key = prefix_ + "collector";
  KILN_TRY_ASSIGN(const auto held, client_.head(key));
  if (held && held->modified + kLeaseLife > held->now)
    return fail(Code::kFailedPrecondition, "another server is collecting garbage");
  KILN_TRY_ASSIGN(const std::string name, random_name());
  KILN_TRY(client_.put(key, name));
  std::this_thread::sleep_for(times_.view / 10);
  KILN_TRY_ASSIGN(const std::string owner, client_.get(key, kMaxListBytes));
  if (owner != name) return fail(Code::kFailedPrecondition, "another server is collecting garbage");
  KILN_TRY_ASSIGN(const S3Listing old, client_.list(prefix_ + "sweeps/"));
  for (const S3Object& list : old.objects)
    if (is_over(list, old)) KILN_TRY(client_.remove(list.key));
  return std::make_unique<Lease>(*this, name, old.now);
}

}  // namespace kiln::server
