#include "snapshotter/read_ahead.h"

#include <gtest/gtest.h>

#include "tests/fakes/must.h"

namespace kiln::internal {
namespace {

// Gives `left` bytes in uneven pieces, then ends or fails.
class UnevenSource : public Source {
 public:
  UnevenSource(size_t left, Status end) : left_(left), end_(std::move(end)) {}
  Result<size_t> read(std::span<std::byte> buffer) override {
    if (left_ == 0) {
      KILN_TRY(end_);
      return size_t{0};
    }
    const size_t n = std::min({buffer.size(), left_, piece_ = piece_ % 70'001 + 4'099});
    for (std::byte& byte : buffer.first(n)) byte = static_cast<std::byte>(position_++ % 251);
    left_ -= n;
    return n;
  }

 private:
  size_t left_;
  Status end_;
  size_t piece_ = 1;
  size_t position_ = 0;
};

TEST(ReadAheadTest, GivesTheSameBytesAsItsSource) {
  constexpr size_t kSize = 9'000'003;
  UnevenSource plain(kSize, {});
  UnevenSource source(kSize, {});
  ReadAhead ahead(source);
  const std::string expected = fake::must(read_all(plain, kSize, "source"));
  EXPECT_EQ(Digest::of(fake::must(read_all(ahead, kSize, "source"))), Digest::of(expected));
}

TEST(ReadAheadTest, StaysAtTheEnd) {
  UnevenSource source(10, {});
  ReadAhead ahead(source);
  std::array<std::byte, 100> buffer{};
  EXPECT_EQ(fake::must(ahead.read(buffer)), 10U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(fake::must(ahead.read(buffer)), 0U);
}

TEST(ReadAheadTest, ErrorComesAfterTheBlocksBeforeIt) {
  UnevenSource source(1U << 20U, fail(Code::kDataLoss, "torn"));
  ReadAhead ahead(source);
  std::vector<std::byte> buffer(1U << 20U);
  EXPECT_EQ(fake::must(ahead.read(buffer)), buffer.size());
  for (int i = 0; i < 2; ++i) EXPECT_EQ(fake::code_of(ahead.read(buffer)), "data_loss");
}

TEST(ReadAheadTest, EndsWithoutBeingReadToTheEnd) {
  UnevenSource source(100'000'000, {});
  ReadAhead ahead(source);
  std::array<std::byte, 10> buffer{};
  EXPECT_EQ(fake::must(ahead.read(buffer)), 10U);
}

}  // namespace
}  // namespace kiln::internal
