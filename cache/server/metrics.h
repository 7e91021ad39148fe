// What the server counts, as Prometheus reads it (text exposition format 0.0.4).
#pragma once

#include "cache/server/http_server.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace kiln::server {

/// Thread-safe.
class Metrics {
 public:
  void count_request(std::string_view method, int status, uint64_t in_bytes, uint64_t out_bytes);
  std::string text() const;

  Gauges gauges;
  std::atomic<uint64_t> failed_logins{0}, limited{0}, collections{0}, collected_blobs{0},
      collected_bytes{0}, evicted_entries{0};

 private:
  static constexpr std::array<std::string_view, 7> kMethods = {"GET", "HEAD",   "POST", "PATCH",
                                                               "PUT", "DELETE", "other"};
  static constexpr size_t kClasses = 6;  // by hundreds; 0: the client went away
  std::array<std::array<std::atomic<uint64_t>, kClasses>, kMethods.size()> requests_{};
  std::atomic<uint64_t> in_bytes_{0}, out_bytes_{0};
};

}  // namespace kiln::server
