#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/process.h"
#include "oci/compression.h"

namespace kiln::oci {
namespace {

// Gives a few bytes at a time, so that every state of a decoder meets the end of its input.
class Trickle : public Source {
 public:
  Trickle(std::string data, size_t step) : data_(std::move(data)), step_(step) {}
  Result<size_t> read(std::span<std::byte> buffer) override {
    const size_t count = std::min({buffer.size(), step_, data_.size() - position_});
    std::copy_n(as_bytes(data_).begin() + static_cast<ptrdiff_t>(position_), count, buffer.begin());
    position_ += count;
    return count;
  }

 private:
  std::string data_;
  size_t step_, position_ = 0;
};

Result<std::string> expand(const std::string& data, size_t step = 1U << 20U) {
  KILN_TRY_ASSIGN(auto source, decompress(std::make_unique<Trickle>(data, step)));
  return read_all(*source, 64U << 20U, "test");
}

std::string run(const std::vector<std::string>& argv, const std::string& input) {
  ProcessSpec spec;
  spec.argv = argv;
  spec.env = {"PATH=/usr/bin:/bin"};
  auto done = run_captured(spec, input, 64U << 20U, {});
  return done && done->exit.ok() ? done->out : "";
}

class DecompressTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    for (int i = 0; i < 9'000; ++i) text_ += std::to_string(i * 7919) + " lines of text\n";
    packed_ = run({GetParam(), "-c"}, text_);
    if (packed_.empty()) GTEST_SKIP() << GetParam() << " is not installed";
  }
  std::string text_, packed_;
};

TEST_P(DecompressTest, ReadsWhatTheToolWrote) {
  EXPECT_EQ(expand(packed_).value(), text_);
}

TEST_P(DecompressTest, ReadsByteByByte) {
  EXPECT_EQ(expand(packed_, 1).value(), text_);
}

TEST_P(DecompressTest, ReadsMembersOneAfterTheOther) {
  for (const size_t step : {1U, 7U, 1U << 20U}) {
    EXPECT_EQ(expand(packed_ + packed_ + packed_, step).value(), text_ + text_ + text_) << step;
  }
}

TEST_P(DecompressTest, ZerosBehindTheDataArePadding) {
  EXPECT_EQ(expand(packed_ + std::string(1024, '\0')).value(), text_);
}

TEST_P(DecompressTest, GarbageBehindTheDataIsDataLoss) {
  EXPECT_EQ(expand(packed_ + "garbage").error().code(), Code::kDataLoss);
}

TEST_P(DecompressTest, TruncatedDataIsDataLoss) {
  for (const size_t size : {packed_.size() - 1, packed_.size() / 2, size_t{20}}) {
    const auto text = expand(packed_.substr(0, size));
    ASSERT_FALSE(text) << size;
    EXPECT_EQ(text.error().code(), Code::kDataLoss) << size;
  }
}

TEST_P(DecompressTest, AFlippedBitIsDataLossOrAtLeastNeverACrash) {
  int found = 0;
  for (size_t at = 6; at < packed_.size(); at += packed_.size() / 17) {
    std::string flipped = packed_;
    flipped[at] = static_cast<char>(flipped[at] ^ 16);
    const auto text = expand(flipped);
    if (!text) ++found;
  }
  // zstd has no checksum by default: some literals get through, and the digest finds those.
  EXPECT_GT(found, 8);
}

INSTANTIATE_TEST_SUITE_P(Tools, DecompressTest, testing::Values("gzip", "bzip2", "xz", "zstd"),
                         [](const auto& param) { return std::string(param.param); });

TEST(DecompressPlainTest, WhatIsNotCompressedPassesThrough) {
  for (const char* text : {"", "a", "plain text that is longer than the head"}) {
    EXPECT_EQ(expand(text, 1).value(), text);
  }
}

TEST(DecompressPlainTest, AZstdWindowAbove128MiBIsRefused) {
  const std::string packed =
      run({"zstd", "--ultra", "-22", "--long=28", "-c"}, std::string(1U << 20U, 'x'));
  if (packed.empty()) GTEST_SKIP() << "zstd is not installed";
  // From a pipe the size is not known, so the frame asks for the whole window.
  EXPECT_FALSE(expand(packed));
}

TEST(DetectCompressionTest, GoesByMagicNumbers) {
  EXPECT_EQ(detect_compression(as_bytes("\x1f\x8b\x08")), Detected::kGzip);
  EXPECT_EQ(detect_compression(as_bytes("BZh9")), Detected::kBzip2);
  EXPECT_EQ(detect_compression(as_bytes(std::string_view("\xfd"
                                                         "7zXZ\0",
                                                         6))),
            Detected::kXz);
  EXPECT_EQ(detect_compression(as_bytes("\x28\xb5\x2f\xfd")), Detected::kZstd);
  EXPECT_EQ(detect_compression(as_bytes("\x50\x2a\x4d\x18")), Detected::kZstd);
  EXPECT_EQ(detect_compression(as_bytes("usr/")), Detected::kNone);
  EXPECT_EQ(detect_compression({}), Detected::kNone);
}

}  // namespace
}  // namespace kiln::oci
