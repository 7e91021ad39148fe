#include "cache/key.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

KeyRecord sample() {
  KeyRecord record;
  record.op.add("kind", "exec");
  record.op.add("arg", "make");
  record.op.add("arg", "-j4");
  record.output = 1;
  record.inputs = {{InputKey::Kind::kDefinition, Digest::of("base"), ""},
                   {InputKey::Kind::kContent, Digest::of("tree"), "/src"}};
  record.name = "RUN make -j4";
  return record;
}

// Changing these means changing every stored key: raise the version in key.cc and FORMAT.md.
TEST(CacheKeyTest, HasKnownAnswers) {
  EXPECT_EQ(KeyRecord{}.key().digest.hex(),
            "9d19fbcb747739d6a64c59e8d2ef6516a6f00f0edb68f5c42a80ae289b79b1c3");
  EXPECT_EQ(sample().key().digest.hex(),
            "28b0b4cb8084194967ed5c0e2d31639dfe82d8d28d15b5ed34cdd0383cd6b16d");
  EXPECT_EQ(sample().op.digest().hex(),
            "bf91c126769eeb31c51ca4c683a1e28254234c3aac7bafda61004600aff51340");
}

TEST(CacheKeyTest, DependsOnEveryPartThatChangesTheResult) {
  struct Case {
    const char* what;
    void (*change)(KeyRecord&);
  };
  const Case cases[] = {
      {"a field's value", [](KeyRecord& r) { r.op.fields[1].second = "cmake"; }},
      {"a field's name", [](KeyRecord& r) { r.op.fields[1].first = "env"; }},
      {"the order of fields", [](KeyRecord& r) { std::swap(r.op.fields[1], r.op.fields[2]); }},
      {"one field more", [](KeyRecord& r) { r.op.add("arg", ""); }},
      {"the output", [](KeyRecord& r) { r.output = 2; }},
      {"an input's digest", [](KeyRecord& r) { r.inputs[0].digest = Digest::of("other"); }},
      {"an input's kind", [](KeyRecord& r) { r.inputs[0].kind = InputKey::Kind::kContent; }},
      {"a definition's selector", [](KeyRecord& r) { r.inputs[0].selector = "/a"; }},
      {"the order of inputs", [](KeyRecord& r) { std::swap(r.inputs[0], r.inputs[1]); }},
      {"one input less", [](KeyRecord& r) { r.inputs.pop_back(); }},
  };
  for (const Case& c : cases) {
    KeyRecord changed = sample();
    c.change(changed);
    EXPECT_NE(changed.key(), sample().key()) << c.what;
  }
}

TEST(CacheKeyTest, LeavesOutNamesAndTheSelectorsOfContent) {
  KeyRecord renamed = sample();
  renamed.name = "something else";
  renamed.inputs[1].selector = "/other";
  EXPECT_EQ(renamed.key(), sample().key());
}

TEST(CacheKeyTest, DoesNotConfuseWhereFieldsEnd) {
  KeyRecord a, b;
  a.op.add("ab", "c");
  b.op.add("a", "bc");
  EXPECT_NE(a.key(), b.key());
}

TEST(KeyRecordTest, ReadsBackWhatItWrote) {
  KeyRecord record = sample();
  record.op.add(std::string("\0\xff", 2), std::string("\0\n\x01", 3));
  const auto decoded = KeyRecord::decode(record.encode());
  ASSERT_TRUE(decoded) << decoded.error().to_string();
  EXPECT_EQ(*decoded, record);
}

TEST(KeyRecordTest, RefusesEveryTruncation) {
  const std::string bytes = sample().encode();
  for (size_t length = 0; length < bytes.size(); ++length) {
    const auto decoded = KeyRecord::decode(bytes.substr(0, length));
    ASSERT_FALSE(decoded) << length;
    EXPECT_EQ(decoded.error().code(), Code::kDataLoss);
  }
}

TEST(KeyRecordTest, RefusesEveryFlippedByte) {
  const std::string bytes = sample().encode();
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x20);
    EXPECT_FALSE(KeyRecord::decode(flipped)) << i;
  }
}

TEST(KeyRecordTest, RefusesTrailingBytes) {
  EXPECT_FALSE(KeyRecord::decode(sample().encode() + "x"));
}

}  // namespace
}  // namespace kiln
