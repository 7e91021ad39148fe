#include "base/digest.h"

#include <gtest/gtest.h>

#include "base/fingerprint.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;

constexpr const char* kEmpty =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kAbc =
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(DigestTest, KnownAnswers) {
  EXPECT_EQ(Digest::of("").to_string(), kEmpty);
  EXPECT_EQ(Digest::of("abc").to_string(), kAbc);
}

TEST(DigestTest, TextReadsBack) {
  EXPECT_EQ(must(Digest::parse(kAbc)), Digest::of("abc"));
  EXPECT_EQ(Digest::from_bytes(Digest::of("abc").bytes()), Digest::of("abc"));
}

TEST(DigestTest, RefusesOtherAlgorithmsAndMalformedText) {
  EXPECT_EQ(code_of(Digest::parse("sha512:" + std::string(128, 'a'))), "unimplemented");
  const std::string good = kAbc;
  for (const std::string& text :
       {std::string(), std::string("sha256:"), good.substr(0, 70), good + "0",
        "SHA256:" + good.substr(7), "sha256:" + std::string(64, 'A'),
        "sha256:" + std::string(64, 'g'), "md5:" + good.substr(7)})
    EXPECT_EQ(code_of(Digest::parse(text)), "invalid_argument") << text;
}

TEST(DigestTest, HasherStartsAnewAfterFinish) {
  Hasher hasher;
  hasher.update("a");
  hasher.update("bc");
  EXPECT_EQ(hasher.finish().to_string(), kAbc);
  EXPECT_EQ(hasher.finish().to_string(), kEmpty);
}

TEST(FingerprintTest, IsStableAndDependsOnEveryByte) {
  EXPECT_EQ(fingerprint(""), 0x2D06800538D394C2ULL);  // XXH3_64bits of nothing, seed 0
  EXPECT_NE(fingerprint("a"), fingerprint("b"));
}

}  // namespace
}  // namespace kiln
