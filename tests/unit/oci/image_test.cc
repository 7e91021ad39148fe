#include "oci/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::oci {
namespace {

Descriptor describe(std::string_view type, std::string_view bytes) {
  return Descriptor{std::string(type), Digest::of(bytes), bytes.size(), std::nullopt, {}};
}

Index index_of(const std::vector<Platform>& platforms) {
  Index index;
  for (const Platform& platform : platforms) {
    index.manifests.push_back(describe(media_type::kManifest, platform.to_string()));
    index.manifests.back().platform = platform;
  }
  return index;
}

TEST(ManifestTest, IsWrittenByteForByteAsTheSpecOrdersIt) {
  Manifest manifest{std::string(media_type::kManifest),
                    describe(media_type::kConfig, "{}"),
                    {describe(media_type::kLayerGzip, "layer")},
                    {{"b", "2"}, {"a", "1"}}};
  const std::string hex = Digest::of("{}").hex(), layer = Digest::of("layer").hex();
  EXPECT_EQ(
      to_json_text(manifest),
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
      R"("config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:)" +
          hex + R"(","size":2},"layers":[{"mediaType":)" +
          R"("application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:)" + layer +
          R"(","size":5}],"annotations":{"a":"1","b":"2"}})");
}

TEST(ManifestTest, ReadsBackWhatItWrote) {
  Manifest manifest{std::string(media_type::kDockerManifest),
                    describe(media_type::kDockerConfig, "{}"),
                    {describe(media_type::kDockerLayerGzip, "a")},
                    {{"k", "v"}}};
  manifest.layers[0].annotations = {{"x", "y"}};
  const Manifest read = parse_manifest(to_json_text(manifest)).value();
  EXPECT_EQ(read.media_type, manifest.media_type);
  EXPECT_EQ(read.config, manifest.config);
  EXPECT_EQ(read.layers, manifest.layers);
  EXPECT_EQ(read.annotations, manifest.annotations);
}

TEST(ManifestTest, HostileDocumentsAreRefused) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const std::string config = R"("config":{"digest":")" + digest + R"(","size":1})";
  const std::string cases[] = {
      "",
      "[]",
      "{}",
      R"({"config":{}})",
      R"({"config":{"digest":"sha256:aa","size":1},"layers":[]})",
      R"({"config":{"digest":")" + digest + R"("},"layers":[]})",
      R"({"config":{"digest":")" + digest + R"(","size":-1},"layers":[]})",
      "{" + config + R"(,"layers":[],"manifests":[]})",
      "{" + config + R"(,"layers":[],"layers":[]})",
      "{" + config + R"(,"layers":[{"digest":"nope","size":1}]})",
      R"({"schemaVersion":1,"fsLayers":[]})",
      "{" + config + R"(,"layers":[],"x":")" + std::string(4U << 20U, 'x') + "\"}",
  };
  for (const std::string& text : cases) {
    EXPECT_FALSE(parse_manifest(text)) << text.substr(0, 200);
    EXPECT_FALSE(parse_index(text)) << text.substr(0, 200);
  }
}

TEST(IndexTest, ReadsBackWhatItWrote) {
  const Index index = index_of({{"linux", "amd64", ""}, {"linux", "arm", "v7"}});
  EXPECT_EQ(parse_index(to_json_text(index)).value().manifests, index.manifests);
}

TEST(SelectPlatformTest, ExactThenWhatTheHostRunsThenNothing) {
  struct Case {
    Platform wanted;
    std::vector<Platform> there;
    int chosen;  // -1: none
  };
  const Case cases[] = {
      {{"linux", "amd64", ""}, {{"linux", "arm64", ""}, {"linux", "amd64", ""}}, 1},
      {{"linux", "amd64", ""}, {{"windows", "amd64", ""}}, -1},
      {{"linux", "arm64", ""}, {{"linux", "arm64", "v8"}}, 0},
      {{"linux", "arm", "v7"}, {{"linux", "arm", "v5"}, {"linux", "arm", "v6"}}, 1},
      {{"linux", "arm", "v6"}, {{"linux", "arm", "v7"}}, -1},
      {{"linux", "arm", "v7"}, {{"linux", "arm", "v6"}, {"linux", "arm", "v7"}}, 1},
      {{"linux", "amd64", ""}, {{"unknown", "unknown", ""}}, -1},
      {{"linux", "amd64", ""}, {}, -1},
  };
  for (const Case& c : cases) {
    const Index index = index_of(c.there);
    const Descriptor* chosen = select_platform(index, c.wanted);
    const Descriptor* expected =
        c.chosen < 0 ? nullptr : &index.manifests[static_cast<size_t>(c.chosen)];
    EXPECT_EQ(chosen, expected) << c.wanted.to_string();
  }
}

TEST(ConfigFactsTest, TellsPlatformAndDiffIds) {
  const std::string id = "sha256:" + std::string(64, 'b');
  const auto config =
      Json::parse(R"({"os":"linux","architecture":"arm","variant":"v7","rootfs":{"diff_ids":[")" +
                  id + R"("]}})");
  const ConfigFacts facts = config_facts(config.value()).value();
  EXPECT_EQ(facts.platform, (Platform{"linux", "arm", "v7"}));
  EXPECT_THAT(facts.diff_ids, testing::ElementsAre(Digest::parse(id).value()));
  EXPECT_FALSE(config_facts(Json::array()));
  EXPECT_FALSE(config_facts(Json::parse(R"({"rootfs":{"diff_ids":["x"]}})").value()));
}

}  // namespace
}  // namespace kiln::oci
