#include "cache/chunker.h"

#include <algorithm>
#include <array>

namespace kiln::cache {
namespace {

// A gear hash: each byte's number is added and the sum shifted, so that a byte is forgotten after
// 64. A cut is where the highest bits are zero: more of them before the mean length and fewer
// after it, which keeps lengths near it.
constexpr uint64_t kBeforeMean = ~uint64_t{0} << (64U - 22U);
constexpr uint64_t kAfterMean = ~uint64_t{0} << (64U - 18U);

constexpr std::array<uint64_t, 256> make_gear() {
  std::array<uint64_t, 256> gear{};
  uint64_t state = 0;
  for (uint64_t& number : gear) {  // SplitMix64
    state += 0x9e3779b97f4a7c15U;
    uint64_t mixed = (state ^ (state >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    number = mixed ^ (mixed >> 31U);
  }
  return gear;
}
constexpr std::array<uint64_t, 256> kGear = make_gear();

}  // namespace

Status Chunker::write(std::span<const std::byte> data) {
  while (!data.empty()) {
    // No cut is looked for where none may be.
    const size_t blind = pending_.size() < kMinChunk ? kMinChunk - pending_.size() : 0;
    const size_t skipped = std::min(blind, data.size());
    for (size_t i = skipped - std::min<size_t>(skipped, 64); i < skipped; ++i)
      hash_ = (hash_ << 1U) + kGear[static_cast<uint8_t>(data[i])];
    size_t at = skipped;
    bool found = false;
    const size_t room = std::min(data.size(), kMaxChunk - pending_.size());
    while (at < room && !found) {
      hash_ = (hash_ << 1U) + kGear[static_cast<uint8_t>(data[at])];
      ++at;
      const uint64_t mask = pending_.size() + at < kMeanChunk ? kBeforeMean : kAfterMean;
      found = (hash_ & mask) == 0;
    }
    pending_.insert(pending_.end(), data.begin(), data.begin() + static_cast<ptrdiff_t>(at));
    data = data.subspan(at);
    if (found || pending_.size() == kMaxChunk) KILN_TRY(cut());
  }
  return {};
}

Status Chunker::finish() {
  return pending_.empty() ? Status{} : cut();
}

Status Chunker::cut() {
  hash_ = 0;
  Status taken = on_chunk_(pending_);
  pending_.clear();
  return taken;
}

}  // namespace kiln::cache
