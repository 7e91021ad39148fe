#include "cmd/stream_context.h"

#include <gtest/gtest.h>

#include "oci/tar.h"

namespace kiln::cmd {
namespace {

std::string small_tar() {
  StringSink sink;
  oci::TarWriter writer(sink);
  oci::TarEntry entry;
  entry.path = RelPath::rooted("Dockerfile").value();
  entry.mode = 0644;
  EXPECT_TRUE(writer.add(entry));
  EXPECT_TRUE(writer.finish());
  return sink.take();
}

TEST(StreamContextTest, ATarIsKnownByTheChecksumOfItsHeader) {
  std::string tar = small_tar();
  EXPECT_TRUE(looks_like_archive(tar.substr(0, 512)));
  EXPECT_FALSE(looks_like_archive(tar.substr(0, 511)));
  tar[0] = 'X';
  EXPECT_FALSE(looks_like_archive(tar.substr(0, 512)));
}

TEST(StreamContextTest, CompressedStreamsAndAnEmptyTarAreArchives) {
  using namespace std::string_literals;
  for (const std::string& head : {"\x1f\x8b\x08"s, "BZh9"s,
                                  "\xfd"
                                  "7zXZ\0"s,
                                  "\x28\xb5\x2f\xfd"s, std::string(512, '\0')})
    EXPECT_TRUE(looks_like_archive(head));
}

TEST(StreamContextTest, TextIsNoArchiveHoweverLong) {
  std::string text = "FROM scratch\n";
  EXPECT_FALSE(looks_like_archive(text));
  EXPECT_FALSE(looks_like_archive(""));
  text.resize(512, '#');
  EXPECT_FALSE(looks_like_archive(text));
}

}  // namespace
}  // namespace kiln::cmd
