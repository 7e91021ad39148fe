#include "cache/server/metrics.h"

#include <algorithm>

namespace kiln::server {
namespace {

std::string metric(std::string_view name, std::string_view type, std::string_view help,
                   uint64_t value) {
  const std::string full = "kiln_registry_" + std::string(name);
  return "# HELP " + full + " " + std::string(help) + "\n# TYPE " + full + " " + std::string(type) +
         "\n" + full + " " + std::to_string(value) + "\n";
}

}  // namespace

void Metrics::count_request(std::string_view method, int status, uint64_t in_bytes,
                            uint64_t out_bytes) {
  const auto* known = std::find(kMethods.begin(), kMethods.end() - 1, method);
  const auto row = static_cast<size_t>(known - kMethods.begin());
  const auto column = std::min<size_t>(static_cast<size_t>(status / 100), kClasses - 1);
  ++requests_[row][column];
  in_bytes_ += in_bytes;
  out_bytes_ += out_bytes;
}

std::string Metrics::text() const {
  std::string text =
      "# HELP kiln_registry_requests_total Requests answered, by method and class of status.\n"
      "# TYPE kiln_registry_requests_total counter\n";
  for (size_t row = 0; row < kMethods.size(); ++row)
    for (size_t column = 0; column < kClasses; ++column) {
      const uint64_t value = requests_[row][column];
      if (value == 0) continue;
      const std::string code = column == 0 ? "aborted" : std::to_string(column) + "xx";
      text += "kiln_registry_requests_total{method=\"" + std::string(kMethods[row]) + "\",code=\"" +
              code + "\"} " + std::to_string(value) + "\n";
    }
  const auto gauge = [](int64_t value) {
    return static_cast<uint64_t>(std::max<int64_t>(value, 0));
  };
  text += metric("received_bytes_total", "counter", "Bytes of request bodies.", in_bytes_);
  text += metric("sent_bytes_total", "counter", "Bytes of response bodies.", out_bytes_);
  text += metric("connections", "gauge", "Open connections.", gauge(gauges.connections));
  text += metric("running_requests", "gauge", "Requests at work.", gauge(gauges.requests));
  text += metric("refused_connections_total", "counter", "Connections over a limit.",
                 gauges.refused_connections);
  text += metric("timeouts_total", "counter", "Connections given up.", gauges.timeouts);
  text +=
      metric("failed_logins_total", "counter", "Requests with wrong credentials.", failed_logins);
  text += metric("limited_requests_total", "counter", "Requests over the rate.", limited);
  text += metric("collections_total", "counter", "Garbage collections.", collections);
  text += metric("collected_blobs_total", "counter", "Blobs removed by them.", collected_blobs);
  text += metric("evicted_entries_total", "counter", "Entries of build caches dropped.",
                 evicted_entries);
  text += metric("collected_bytes_total", "counter", "Bytes removed by them.", collected_bytes);
  return text;
}

}  // namespace kiln::server
