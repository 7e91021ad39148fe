// What servers said of files that were downloaded, so that the next build can ask whether they
// changed instead of fetching them again (RFC 9110, "Conditional Requests").
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/database.h"
#include "base/digest.h"

namespace kiln {

struct Download {
  std::string etag;           // a strong one, as sent; "": none
  std::string last_modified;  // as sent, where it is a strong validator; "": none
  Digest digest;              // of the content
  int64_t mtime = 0;          // what the file's time became, seconds
  bool operator==(const Download&) const = default;
};

using DownloadTime = std::chrono::sys_time<std::chrono::nanoseconds>;

/// A record as pruning sees it.
struct StoredDownload {
  std::string key;  // of its URL, for remove()
  Digest digest;    // of the content
  DownloadTime last_used{};
};

/// In kiln.db. Thread-safe. URLs are kept as digests, without credentials: nothing in here can be
/// read back. A torn or forged record counts as none.
class Downloads {
 public:
  static Result<std::unique_ptr<Downloads>> open(Database& database);
  Result<std::optional<Download>> find(const std::string& url);
  /// Replaces, and counts as a use; of the oldest more than 10,000 are dropped.
  Status save(const std::string& url, const Download& download, DownloadTime now);
  /// All that read, least recently used first. What does not read is dropped.
  Result<std::vector<StoredDownload>> list();
  /// Absent ones are fine: a record can go at any time, and costs a download.
  Status remove(std::span<const std::string> keys);

 private:
  explicit Downloads(Database& database) : database_(database) {}
  Database& database_;
};

}  // namespace kiln
