#include "exporter/image_assembler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln {
namespace {

using testing::ElementsAre;

std::chrono::sys_time<std::chrono::nanoseconds> second(int64_t seconds) {
  return std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::seconds(seconds));
}
constexpr const char* kAt1 = "1970-01-01T00:00:01Z";
constexpr const char* kAt2 = "1970-01-01T00:00:02Z";
constexpr const char* kAt9 = "1970-01-01T00:00:09Z";

// A gzip layer that was made at this second.
ChainLayer layer(const std::string& name, int64_t created) {
  return {{{std::string(oci::media_type::kLayerGzip), Digest::of(name), 3, std::nullopt, {}},
           Digest::of("diff " + name)},
          second(created)};
}

class HistoryTest : public testing::Test {
 protected:
  // "text@created", with "(empty)" for entries without a layer.
  static std::vector<std::string> reconciled(const std::string& history,
                                             const std::vector<ChainLayer>& layers,
                                             std::optional<int64_t> epoch = std::nullopt) {
    std::vector<std::string> rows;
    const Json entries = reconcile_history(Json::parse(history).value(), layers, epoch);
    for (const Json& entry : entries.elements())
      rows.push_back(entry["created_by"].as_string() + "@" + entry["created"].as_string() +
                     (entry["empty_layer"].as_bool() ? "(empty)" : ""));
    return rows;
  }
};

TEST_F(HistoryTest, EntriesGetTheTimesOfTheirLayers) {
  EXPECT_THAT(
      reconciled(R"([{"created_by":"a"},{"created_by":"b"}])", {layer("1", 1), layer("2", 2)}),
      ElementsAre(std::string("a@") + kAt1, std::string("b@") + kAt2));
}

TEST_F(HistoryTest, MetadataTakesTheTimeOfTheLayerBeforeOrElseOfTheFirst) {
  EXPECT_THAT(reconciled(R"([{"created_by":"env","empty_layer":true},{"created_by":"a"},)"
                         R"({"created_by":"cmd","empty_layer":true}])",
                         {layer("1", 1)}),
              ElementsAre(std::string("env@") + kAt1 + "(empty)", std::string("a@") + kAt1,
                          std::string("cmd@") + kAt1 + "(empty)"));
}

TEST_F(HistoryTest, ATimeThatIsThereIsKept) {
  EXPECT_THAT(
      reconciled(R"([{"created_by":"a","created":"1970-01-01T00:00:09Z"}])", {layer("1", 1)}),
      ElementsAre(std::string("a@") + kAt9));
}

TEST_F(HistoryTest, EntriesBeyondTheLayersBecomeEmpty) {
  EXPECT_THAT(reconciled(R"([{"created_by":"a"},{"created_by":"b"}])", {layer("1", 1)}),
              ElementsAre(std::string("a@") + kAt1, std::string("b@") + kAt1 + "(empty)"));
}

// A base without history: its layers are the oldest.
TEST_F(HistoryTest, LayersBeyondTheEntriesGetSomeInFront) {
  EXPECT_THAT(reconciled(R"([{"created_by":"b"}])", {layer("1", 1), layer("2", 2)}),
              ElementsAre(std::string("@") + kAt1, std::string("b@") + kAt2));
  EXPECT_THAT(reconciled("[]", {layer("1", 1)}), ElementsAre(std::string("@") + kAt1));
  EXPECT_THAT(reconciled("[]", {layer("1", 1)}, 9), ElementsAre(std::string("@") + kAt9));
  EXPECT_THAT(reconciled("[]", {}), ElementsAre());
}

class AssembleTest : public testing::Test {
 protected:
  AssembledImage assembled(const std::string& config) {
    request_.config_json = config;
    request_.layers = layers_;
    request_.platform = Platform{"linux", "amd64", ""};
    request_.now = second(100);
    auto image = assemble_image(request_);
    EXPECT_TRUE(image) << image.error().to_string();
    return *std::move(image);
  }
  static Json config_of(const AssembledImage& image) {
    return Json::parse(image.config_json).value();
  }
  std::vector<ChainLayer> layers_ = {layer("1", 1), layer("2", 2)};
  AssembleRequest request_{"", {}, Platform::host(), std::nullopt, {}, false, {}};
};

TEST_F(AssembleTest, TheDescriptorsDescribeTheDocuments) {
  const AssembledImage image = assembled("{}");
  EXPECT_EQ(image.manifest.config.digest, Digest::of(image.config_json));
  EXPECT_EQ(image.manifest.config.size, image.config_json.size());
  ASSERT_EQ(image.manifest.layers.size(), 2U);
  EXPECT_EQ(image.manifest.layers[1].digest, Digest::of("2"));
  const Json config = config_of(image);
  EXPECT_EQ(config["rootfs"]["type"].as_string(), "layers");
  EXPECT_THAT(config["rootfs"]["diff_ids"].strings(),
              ElementsAre(Digest::of("diff 1").to_string(), Digest::of("diff 2").to_string()));
  EXPECT_EQ(config["os"].as_string(), "linux");
  EXPECT_EQ(config["architecture"].as_string(), "amd64");
}

TEST_F(AssembleTest, CreatedIsThatOfTheLastEntrySoThatARebuildGivesTheSameImage) {
  EXPECT_EQ(config_of(assembled("{}"))["created"].as_string(), kAt2);
  request_.now = second(200);
  EXPECT_EQ(assembled("{}").config_json, assembled("{}").config_json);
}

TEST_F(AssembleTest, WithNothingThatHasATimeItIsNow) {
  layers_.clear();
  EXPECT_EQ(config_of(assembled("{}"))["created"].as_string(), "1970-01-01T00:01:40Z");
}

TEST_F(AssembleTest, ASourceDateEpochIsCreated) {
  request_.source_date_epoch = 9;
  EXPECT_EQ(config_of(assembled("{}"))["created"].as_string(), kAt9);
}

TEST_F(AssembleTest, WhatTheConfigSaysStays) {
  const Json config = config_of(assembled(
      R"({"architecture":"arm64","os":"windows","config":{"Env":["A=1"]},"custom":{"x":[1]}})"));
  EXPECT_EQ(config["architecture"].as_string(), "arm64");
  EXPECT_EQ(config["os"].as_string(), "windows");
  EXPECT_EQ(config["config"].dump(), R"({"Env":["A=1"]})");
  EXPECT_EQ(config["custom"].dump(), R"({"x":[1]})");
}

TEST_F(AssembleTest, MediaTypesAreOneFamilys) {
  using namespace oci::media_type;
  layers_.push_back(layer("3", 3));
  layers_[0].blob.descriptor.media_type = kDockerLayerGzip;
  layers_[1].blob.descriptor.media_type = kLayerZstd;
  layers_[2].blob.descriptor.media_type = kLayerTar;
  const auto types = [&] {
    const AssembledImage image = assembled("{}");
    std::vector<std::string> all = {image.manifest.media_type, image.manifest.config.media_type};
    for (const oci::Descriptor& layer : image.manifest.layers) all.push_back(layer.media_type);
    return all;
  };
  EXPECT_THAT(types(), ElementsAre(kManifest, kConfig, kLayerGzip, kLayerZstd, kLayerTar));
  request_.docker_media_types = true;
  EXPECT_THAT(types(), ElementsAre(kDockerManifest, kDockerConfig, kDockerLayerGzip,
                                   kDockerLayerZstd, kDockerLayerTar));
}

TEST_F(AssembleTest, AConfigThatIsNoObjectIsRefused) {
  for (const char* config : {"[]", "1", "", "{"}) {
    request_.config_json = config;
    EXPECT_FALSE(assemble_image(request_)) << config;
  }
}

}  // namespace
}  // namespace kiln
