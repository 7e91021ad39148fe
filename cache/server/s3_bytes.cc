#include "cache/server/s3_bytes.h"

#include <algorithm>

namespace kiln::server {
namespace {

// A piece takes a request, some 20 ms: 4 MiB keep a gigabit busy. With many readers they get
// smaller, so that all together stay within the budget as long as that makes sense.
constexpr size_t kFirstPieceBytes = 512U << 10U;
constexpr size_t kMaxPieceBytes = 4U << 20U;
constexpr size_t kMinPieceBytes = 128U << 10U;
constexpr size_t kReadingBudgetBytes = 128U << 20U;

class PiecewiseSource : public Source {
 public:
  PiecewiseSource(std::shared_ptr<S3Reading> reading, std::string key, uint64_t offset,
                  uint64_t length)
      : reading_(std::move(reading)), key_(std::move(key)), offset_(offset), left_(length) {}
  ~PiecewiseSource() override {
    if (begun_) --reading_->readers;
  }

  Result<size_t> read(std::span<std::byte> buffer) override {
    if (position_ == piece_.size()) {
      if (left_ == 0) return 0;
      KILN_TRY(fetch());
    }
    const std::string_view rest = std::string_view(piece_).substr(position_);
    const size_t n = std::min(buffer.size(), rest.size());
    std::copy_n(as_bytes(rest).data(), n, buffer.data());
    position_ += n;
    return n;
  }

 private:
  Status fetch() {
    const size_t readers = begun_ ? reading_->readers.load() : ++reading_->readers;
    const size_t fair = std::clamp(kReadingBudgetBytes / std::max<size_t>(readers, 1),
                                   kMinPieceBytes, kMaxPieceBytes);
    const uint64_t n = std::min<uint64_t>(left_, begun_ ? fair : std::min(fair, kFirstPieceBytes));
    begun_ = true;
    piece_ = std::string();
    position_ = 0;
    Result<std::string> piece = reading_->client.get_range(key_, offset_, n);
    if (!piece) {
      if (reading_->log) reading_->log("read from the object storage: " + piece.error().message());
      return tl::unexpected(piece.error());
    }
    piece_ = *std::move(piece);
    offset_ += n;
    left_ -= n;
    return {};
  }

  const std::shared_ptr<S3Reading> reading_;
  const std::string key_;
  uint64_t offset_, left_;  // of what is not fetched
  std::string piece_;
  size_t position_ = 0;
  bool begun_ = false;
};

class ObjectBytes : public RemoteBytes {
 public:
  ObjectBytes(std::shared_ptr<S3Reading> reading, std::string key)
      : reading_(std::move(reading)), key_(std::move(key)) {}
  std::unique_ptr<Source> range(uint64_t offset, uint64_t length) override {
    return std::make_unique<PiecewiseSource>(reading_, key_, offset, length);
  }

 private:
  const std::shared_ptr<S3Reading> reading_;
  const std::string key_;
};

}  // namespace

std::unique_ptr<RemoteBytes> s3_bytes(std::shared_ptr<S3Reading> reading, std::string key) {
  return std::make_unique<ObjectBytes>(std::move(reading), std::move(key));
}

}  // namespace kiln::server
