// How garbage is collected in a bucket that several servers write to, with no lock over all of them
// (FORMAT.md, "Collection in a bucket"). Who collects writes down what is about to go ("sweeps/"),
// waits until everybody has seen that, looks at each thing for the last time and removes what
// nobody has touched. Who pushes touches first and then looks into those lists; whatever is in one
// may or may not survive, so the push waits until the list is gone and looks again. Either the
// collector sees the touch or the push sees the list. Clocks are never compared between machines.
#pragma once

#include "base/guarded.h"
#include "cache/server/s3_client.h"
#include "cache/server/storage.h"

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace kiln::server {

struct SweepTimes {
  std::chrono::milliseconds view{10000};      // for how long a list that was read counts
  std::chrono::milliseconds announce{30000};  // between writing a list and acting on it: > view
  std::chrono::milliseconds poll{1000};
  std::chrono::milliseconds patience{180000};  // of a push that waits
  size_t most_waiting = 8;  // pushes: each has a thread, and others need some too
};

/// Thread-safe.
class S3Sweeps {
 public:
  S3Sweeps(S3Client& client, std::string prefix, SweepTimes times)
      : client_(client), prefix_(std::move(prefix)), times_(times) {}

  /// After `keys` were made or touched. False: they stay. True: one of them was about to go; that
  /// is over, look whether it is there. kUnavailable: that takes too long, or too many wait.
  Result<bool> waited_for(const std::vector<std::string>& keys);
  /// A removal of `key` was sent several times. If it was announced, whoever makes it again waits
  /// until none of them can be on its way any more: finished() sees to that.
  void removed_with_repetitions(const std::string& key);

  /// kFailedPrecondition: another server is collecting.
  Result<std::unique_ptr<Collection>> begin();

 private:
  class Lease;
  using Keys = std::set<std::string>;
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct View {
    std::optional<SteadyTime> asked;
    std::map<std::string, std::shared_ptr<const Keys>> lists = {};  // by object
  };
  enum class Freshness : uint8_t { kRecent, kNew };
  Result<bool> is_listed(const std::vector<std::string>& keys, Freshness freshness);
  Result<View> look();
  bool is_over(const S3Object& list, const S3Listing& listing) const;  // nobody heeds it any more

  S3Client& client_;
  const std::string prefix_;  // of all that is the registry's in the bucket
  const SweepTimes times_;
  Guarded<View> view_;
  struct Announced {
    Keys keys, repeated;  // of the collection in this process; those whose removals were repeated
  };
  Guarded<Announced> own_list_;
  std::atomic<size_t> waiting_{0};
};

}  // namespace kiln::server
