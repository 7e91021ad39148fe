#include "cache/patient_transport.h"

#include <functional>
#include <optional>

#include "base/watchdog.h"

namespace kiln::cache {

/// A call from its start to its end.
class PatientTransport::Call {
 public:
  Call(PatientTransport& transport, std::stop_token parent, int standstills = 1)
      : transport_(transport),
        patience_(*transport.config_.patience),
        parent_(std::move(parent)),
        ends_with_parent_(parent_, [this] { ends_.request_stop(); }) {
    const Config& config = transport.config_;
    if (config.waits != Waits::kNever)
      ends_with_patience_.emplace(patience_.token(), [this] { ends_.request_stop(); });
    if (config.waits != Waits::kAlways && standstills > 0)
      dog_.emplace(ends_.get_token(), config.standstill * standstills);
    const std::lock_guard hold(transport_.mutex_);
    ++transport_.under_way_;
    if (transport_.counts_) patience_.begin_wait();
  }
  ~Call() {
    const std::lock_guard hold(transport_.mutex_);
    --transport_.under_way_;
    if (transport_.counts_) patience_.end_wait();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  std::stop_token token() const { return dog_ ? dog_->token() : ends_.get_token(); }
  void moved(uint64_t bytes) {
    if (dog_) dog_->feed();
    const std::lock_guard hold(transport_.mutex_);
    if (transport_.counts_) patience_.moved(bytes);
  }
  /// What the call says that ended with `done`.
  template <class T>
  T outcome(T done) const {
    if (done || parent_.stop_requested()) return done;
    if (ends_with_patience_)
      if (auto why = patience_.lost()) return tl::unexpected(*std::move(why));
    if (dog_ && dog_->expired())
      return tl::unexpected(Error(Code::kUnavailable, "it stood still for too long"));
    return done;
  }
  template <class T>
  T outcome_of_reading(T done) const {
    done = outcome(std::move(done));
    if (!done && done.error().code() == Code::kUnavailable && ends_with_patience_)
      patience_.give_up(done.error());
    return done;
  }

 private:
  PatientTransport& transport_;
  Patience& patience_;
  const std::stop_token parent_;
  std::stop_source ends_;
  const std::stop_callback<std::function<void()>> ends_with_parent_;
  std::optional<std::stop_callback<std::function<void()>>> ends_with_patience_;
  std::optional<Watchdog> dog_;
};

namespace {

template <class Call>
class MovingSink : public Sink {
 public:
  MovingSink(Sink& next, Call& call) : next_(next), call_(call) {}
  Status write(std::span<const std::byte> data) override {
    call_.moved(data.size());
    return next_.write(data);
  }

 private:
  Sink& next_;
  Call& call_;
};

template <class Call>
class MovingSource : public Source {
 public:
  MovingSource(std::unique_ptr<Source> from, Call& call) : from_(std::move(from)), call_(call) {}
  Result<size_t> read(std::span<std::byte> buffer) override {
    KILN_TRY_ASSIGN(const size_t bytes, from_->read(buffer));
    call_.moved(bytes);
    return bytes;
  }

 private:
  const std::unique_ptr<Source> from_;
  Call& call_;
};

}  // namespace

bool PatientTransport::lost() const {
  return config_.waits != Waits::kNever && config_.patience->lost().has_value();
}

Result<std::vector<std::optional<std::string>>> PatientTransport::lookup(
    std::span<const CacheKey> keys, std::stop_token stop) {
  if (lost()) return tl::unexpected(*config_.patience->lost());
  Call call(*this, std::move(stop));
  return call.outcome_of_reading(config_.transport->lookup(keys, call.token()));
}

Status PatientTransport::fetch(const oci::Descriptor& blob, Sink& to, std::stop_token stop) {
  if (lost()) return tl::unexpected(*config_.patience->lost());
  Call call(*this, std::move(stop));
  MovingSink<Call> sink(to, call);
  return call.outcome_of_reading(config_.transport->fetch(blob, sink, call.token()));
}

Status PatientTransport::upload(const oci::BlobContent& content, std::stop_token stop) {
  if (lost()) return tl::unexpected(*config_.patience->lost());
  Call call(*this, std::move(stop));
  const auto open = [&](uint64_t from) -> Result<std::unique_ptr<Source>> {
    KILN_TRY_ASSIGN(auto source, content.open(from));
    return std::make_unique<MovingSource<Call>>(std::move(source), call);
  };
  return call.outcome(config_.transport->upload({content.blob, open}, call.token()));
}

// Twice the time to stand still: of many small requests nothing is seen until the end.
Status PatientTransport::publish(std::span<const Publication> publications, std::stop_token stop) {
  if (lost()) return tl::unexpected(*config_.patience->lost());
  Call call(*this, std::move(stop), 2);
  return call.outcome(config_.transport->publish(publications, call.token()));
}

// May have to wait for other builds, which is no standstill.
Status PatientTransport::finish(std::stop_token stop) {
  if (lost()) return tl::unexpected(*config_.patience->lost());
  Call call(*this, std::move(stop), 0);
  return call.outcome(config_.transport->finish(call.token()));
}

void PatientTransport::build_waits() {
  const std::lock_guard hold(mutex_);
  if (counts_ || config_.waits == Waits::kNever) return;
  counts_ = true;
  for (unsigned i = 0; i < under_way_; ++i) config_.patience->begin_wait();
}

}  // namespace kiln::cache
