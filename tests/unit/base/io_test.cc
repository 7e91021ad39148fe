#include "base/io.h"

#include <gtest/gtest.h>

#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;

TEST(IoTest, CopyStreamHashesAndCountsWhatPasses) {
  StringSource source("abc");
  StringSink kept;
  HashingSink hashing(&kept);
  EXPECT_EQ(must(copy_stream(source, hashing)), 3U);
  EXPECT_EQ(kept.data(), "abc");
  EXPECT_EQ(hashing.bytes(), 3U);
  EXPECT_EQ(hashing.digest(), Digest::of("abc"));
}

TEST(IoTest, LimitAllowsExactlyTheLimit) {
  StringSource exact("12345");
  EXPECT_EQ(must(read_all(exact, 5, "text")), "12345");
  StringSource longer("123456");
  const auto result = read_all(longer, 5, "the config");
  EXPECT_EQ(code_of(result), "resource_exhausted");
  EXPECT_NE(fake::message_of(result).find("the config"), std::string::npos);
}

TEST(IoTest, FdsCarryStreamsLargerThanTheirBuffers) {
  Pipe pipe = must(Pipe::create());
  const std::string small(60'000, 'x');  // fits a pipe
  must(FdSink(pipe.write_end.get()).write(as_bytes(small)));
  pipe.write_end.reset();
  FdSource source(std::move(pipe.read_end), "pipe");
  EXPECT_EQ(must(read_all(source, 1U << 20U, "pipe")), small);
}

TEST(IoTest, ErrorsNameTheStream) {
  FdSource closed(Fd(), "input.tar");
  std::byte buffer[1];
  EXPECT_NE(fake::message_of(closed.read(buffer)).find("input.tar"), std::string::npos);
  EXPECT_NE(fake::message_of(FdSink(-1, "out.tar").write(as_bytes("x"))).find("out.tar"),
            std::string::npos);
}

class FailingSink final : public Sink {
 public:
  Status write(std::span<const std::byte>) override {
    return fail(Code::kResourceExhausted, "full");
  }
};

TEST(IoTest, HashingSinkDoesNotCountWhatWasNotWritten) {
  FailingSink failing;
  HashingSink hashing(&failing);
  EXPECT_EQ(code_of(hashing.write(as_bytes("abc"))), "resource_exhausted");
  EXPECT_EQ(hashing.bytes(), 0U);
}

}  // namespace
}  // namespace kiln
