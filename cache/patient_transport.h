// A transport whose calls end with the patience with its server, and use it up while the build
// waits for them. Once the server is left alone, every call fails at once with the reason.
#pragma once

#include <memory>
#include <mutex>

#include "cache/patience.h"
#include "cache/transport.h"

namespace kiln::cache {

class PatientTransport : public CacheTransport {
 public:
  enum class Waits : uint8_t {
    kAlways,  // the build waits for every call
    kLater,   // for none before build_waits(): until then a call must not stand still
    kNever,   // it must succeed: patience ends no call, but none may stand still
  };
  struct Config {
    std::shared_ptr<CacheTransport> transport;
    std::shared_ptr<Patience> patience;  // with the server, whoever else asks it
    Waits waits = Waits::kAlways;
    std::chrono::milliseconds standstill = Patience::kBudget;
  };
  explicit PatientTransport(Config config)
      : config_(std::move(config)), counts_(config_.waits == Waits::kAlways) {}

  std::string name() const override { return config_.transport->name(); }
  size_t batch() const override { return config_.transport->batch(); }
  bool lost() const override;
  /// kUnavailable here means that the server cannot be reached: it is given up.
  Result<std::vector<std::optional<std::string>>> lookup(std::span<const CacheKey> keys,
                                                         std::stop_token stop) override;
  Status fetch(const oci::Descriptor& blob, Sink& to, std::stop_token stop) override;
  /// kUnavailable here may mean that it is full: it can still be read.
  Status upload(const oci::BlobContent& content, std::stop_token stop) override;
  Status publish(std::span<const Publication> publications, std::stop_token stop) override;
  Status finish(std::stop_token stop) override;
  /// From here on the build waits for what is under way and for what comes (kLater).
  void build_waits();

 private:
  class Call;

  const Config config_;
  std::mutex mutex_;  // all below
  bool counts_;
  unsigned under_way_ = 0;
};

}  // namespace kiln::cache
