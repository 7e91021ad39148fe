#include "cache/inline_cache.h"

#include <gtest/gtest.h>

#include "cache/entry.h"

namespace kiln::cache {
namespace {

KeyRecord record(const std::string& name) {
  KeyRecord made;
  made.op.add("kind", name);
  made.name = name;
  return made;
}

class InlineCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    cache_.layer_times = {std::chrono::sys_seconds(std::chrono::seconds(10)),
                          std::chrono::sys_seconds(std::chrono::seconds(20))};
    cache_.records = {{record("one"), 1, InlineTime(std::chrono::nanoseconds(5))},
                      {record("two"), 2, {}}};
    cache_.aliases = {{record("fast"), record("two").key()}};
    Json diff_ids = Json::array();
    for (const char* layer : {"a", "b"}) {
      manifest_.layers.push_back(
          {std::string(oci::media_type::kLayerGzip), Digest::of(layer), 3, std::nullopt, {}});
      diff_ids.push_back(Digest::of(std::string(layer) + " tar").to_string());
    }
    Json rootfs = Json::object();
    rootfs.set("diff_ids", std::move(diff_ids));
    config_.set("rootfs", std::move(rootfs));
  }
  using InlineTime = std::chrono::sys_time<std::chrono::nanoseconds>;
  std::map<CacheKey, std::string> entries() {
    config_.set(kInlineKey, to_json(cache_));
    return inline_entries(config_, manifest_);
  }
  InlineCache cache_;
  oci::Manifest manifest_{
      std::string(oci::media_type::kManifest), {"", Digest::of(""), 0, std::nullopt, {}}, {}, {}};
  Json config_ = Json::object();
};

TEST_F(InlineCacheTest, RecordsBecomeEntriesWithTheImagesLayers) {
  const auto found = entries();
  ASSERT_EQ(found.size(), 3U);
  const CacheKey two = record("two").key(), one = record("one").key(), fast = record("fast").key();
  const auto result = std::get<ResultEntry>(decode_entry(two, found.at(two)).value());
  ASSERT_EQ(result.result.layers.size(), 2U);
  EXPECT_EQ(result.result.layers[1].descriptor.digest, Digest::of("b"));
  EXPECT_EQ(result.result.layers[1].diff_id, Digest::of("b tar"));
  EXPECT_EQ(result.result.layer_times, cache_.layer_times);
  const auto first = std::get<ResultEntry>(decode_entry(one, found.at(one)).value());
  EXPECT_EQ(first.result.layers.size(), 1U);
  EXPECT_EQ(first.result.created, cache_.records[0].created);
  EXPECT_EQ(std::get<AliasEntry>(decode_entry(fast, found.at(fast)).value()).target, two);
}

TEST_F(InlineCacheTest, TheTextDoesNotDependOnTheOrderInWhichStepsEnded) {
  const std::string text = to_json(cache_).dump();
  std::swap(cache_.records[0], cache_.records[1]);
  cache_.records.push_back(cache_.records[0]);
  EXPECT_EQ(to_json(cache_).dump(), text);
}

TEST_F(InlineCacheTest, WhatDoesNotFitTheImageIsNoEntry) {
  cache_.records[1].layers = 3;
  EXPECT_EQ(entries().size(), 2U);
  cache_.records[1].layers = 0;
  EXPECT_EQ(entries().size(), 2U);
  cache_.aliases[0].target = record("another").key();
  EXPECT_EQ(entries().size(), 1U);
  manifest_.layers.pop_back();
  EXPECT_EQ(entries().size(), 0U);
}

TEST_F(InlineCacheTest, TornTextIsNoEntry) {
  const std::string text = to_json(cache_).dump();
  for (size_t i = 0; i < text.size(); ++i) {
    std::string torn = text;
    torn[i] ^= 1;
    const Result<Json> json = Json::parse(torn);
    if (!json) continue;
    config_.set(kInlineKey, *json);
    // Whatever is left reads, and belongs to its key.
    for (const auto& [key, entry] : inline_entries(config_, manifest_))
      EXPECT_TRUE(decode_entry(key, entry)) << i;
  }
}

}  // namespace
}  // namespace kiln::cache
