#include "cache/chunker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "tests/fakes/must.h"

namespace kiln::cache {
namespace {

using fake::must;

std::vector<std::string> chunks_of(const std::string& data, size_t piece) {
  std::vector<std::string> chunks;
  Chunker chunker([&](std::span<const std::byte> chunk) -> Status {
    chunks.emplace_back(as_text(chunk));
    return {};
  });
  for (size_t at = 0; at < data.size(); at += piece)
    must(chunker.write(as_bytes(std::string_view(data).substr(at, piece))));
  must(chunker.finish());
  return chunks;
}

std::string noise(size_t bytes) {
  std::mt19937_64 random(1);
  std::string data(bytes, '\0');
  for (char& byte : data) byte = static_cast<char>(random());
  return data;
}

TEST(Chunker, CutsTheSameHoweverTheBytesCome) {
  const std::string data = noise(12U << 20U);
  const auto chunks = chunks_of(data, data.size());
  EXPECT_EQ(chunks, chunks_of(data, 100'000));
  EXPECT_EQ(chunks, chunks_of(data, 4097));
  std::string joined;
  for (const std::string& chunk : chunks) joined += chunk;
  EXPECT_EQ(joined, data);
  for (size_t i = 0; i + 1 < chunks.size(); ++i) {
    EXPECT_GT(chunks[i].size(), kMinChunk);
    EXPECT_LE(chunks[i].size(), kMaxChunk);
  }
}

// Known answers: another rule would make all chunks that caches have useless.
TEST(Chunker, CutsWhereItAlwaysDid) {
  std::vector<size_t> sizes;
  for (const std::string& chunk : chunks_of(noise(6U << 20U), 1U << 16U))
    sizes.push_back(chunk.size());
  EXPECT_EQ(sizes, (std::vector<size_t>{1050300, 2062658, 1218341, 355172, 1048597, 556388}));
}

TEST(Chunker, AChangeMovesOnlyTheCutsNearIt) {
  const std::string data = noise(12U << 20U);
  std::string changed = data;
  changed.insert(5U << 20U, "inserted");
  const auto before = chunks_of(data, data.size()), after = chunks_of(changed, data.size());
  size_t same = 0;
  for (const std::string& chunk : after)
    same += static_cast<size_t>(std::count(before.begin(), before.end(), chunk));
  EXPECT_GE(same + 2, before.size());
  EXPECT_LT(same, before.size());
}

TEST(Chunker, CutsWhatNeverSaysWhere) {
  const auto chunks = chunks_of(std::string(9U << 20U, '\0'), 1U << 20U);
  ASSERT_EQ(chunks.size(), 3);
  EXPECT_EQ(chunks[0].size(), kMaxChunk);
  EXPECT_EQ(chunks[2].size(), 1U << 20U);
  EXPECT_TRUE(chunks_of("", 1).empty());
}

}  // namespace
}  // namespace kiln::cache
