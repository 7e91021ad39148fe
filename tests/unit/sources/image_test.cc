#include "solver/sources/image.h"

#include "oci/compression.h"
#include "oci/tar.h"
#include "tests/unit/ops/ops_world.h"

namespace kiln {
namespace {

class ImageSourceTest : public fake::OpsWorld {
 protected:
  oci::LayerBlob layer(const std::string& file, const std::string& data) {
    auto writer = oci::LayerWriter::create(*content_, *lease_, {}, {}).value();
    oci::TarWriter tar(*writer);
    oci::TarEntry entry;
    entry.path = RelPath::strict(file).value();
    entry.mode = 0644;
    entry.size = data.size();
    EXPECT_TRUE(tar.add(entry));
    EXPECT_TRUE(tar.data(as_bytes(data)));
    EXPECT_TRUE(tar.finish());
    return writer->finish().value();
  }

  oci::Descriptor blob(std::string_view type, const std::string& text) {
    const Digest digest = oci::write_blob(*content_, *lease_, text).value();
    return {std::string(type), digest, text.size(), std::nullopt, {}};
  }

  oci::Descriptor image(const std::vector<oci::LayerBlob>& layers,
                        const std::string& architecture = "amd64") {
    Json diff_ids = Json::array();
    oci::Manifest manifest{
        std::string(oci::media_type::kManifest), blob(oci::media_type::kConfig, "{}"), {}, {}};
    for (const oci::LayerBlob& one : layers) {
      diff_ids.push_back(one.diff_id.to_string());
      manifest.layers.push_back(one.descriptor);
    }
    const Json config =
        Json::object({{"architecture", architecture},
                      {"os", "linux"},
                      {"rootfs", Json::object({{"type", "layers"}, {"diff_ids", diff_ids}})}});
    manifest.config = blob(oci::media_type::kConfig, config.dump());
    return blob(oci::media_type::kManifest, oci::to_json_text(manifest));
  }

  void tag(const std::string& name, const oci::Descriptor& what) {
    ASSERT_TRUE(images_->tag(oci::Reference::parse(name).value(), what));
  }

  llb::Vertex source(const std::string& identifier, std::map<std::string, std::string> attrs = {}) {
    llb::Vertex one = vertex(llb::SourceOp{identifier, std::move(attrs)}, 0);
    one.platform = Platform{"linux", "amd64", ""};
    return one;
  }
};

TEST_F(ImageSourceTest, ATaggedImageIsAChainOfLazyLayers) {
  tag("base:1", image({layer("a", "1"), layer("b", "2")}));
  const auto made = execute(source("docker-image://docker.io/library/base:1"), {});
  ASSERT_TRUE(made) << made.error().to_string();
  const auto id = as_tree(*made->front()).value()->snapshot({}).value();
  ASSERT_TRUE(id);
  EXPECT_EQ(snapshots_->chain(*id)->size(), 2U);
  EXPECT_FALSE(snapshots_->facts(*id)->has_directory);
  EXPECT_EQ(listing(made->front()), "f a 0644 0:0 1\nf b 0644 0:0 2");
}

TEST_F(ImageSourceTest, AnImageWithoutLayersIsTheEmptyTree) {
  tag("empty", image({}));
  const auto made = execute(source("docker-image://empty"), {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(as_tree(*made->front()).value()->snapshot({}).value(), std::nullopt);
}

TEST_F(ImageSourceTest, EqualLayersUnderTwoNamesAreOneKey) {
  const oci::LayerBlob one = layer("a", "1");
  tag("x", image({one}));
  tag("y", image({one}, "other"));
  tag("z", image({layer("a", "2")}));
  const auto key = [&](const std::string& name) {
    return cache_map(source("docker-image://" + name)).value().op.digest().to_string();
  };
  EXPECT_EQ(key("x"), key("y"));
  EXPECT_NE(key("x"), key("z"));
}

TEST_F(ImageSourceTest, AnImageIsFoundByItsDigest) {
  const oci::Descriptor what = image({layer("a", "1")});
  EXPECT_TRUE(cache_map(source("docker-image://base@" + what.digest.to_string())));
}

TEST_F(ImageSourceTest, AnImageThatIsNowhereIsPulled) {
  const oci::Descriptor what = image({layer("a", "1")});
  std::vector<std::string> asked;
  environment_.images.pull = [&](const oci::Reference& name, const Platform&, ImageExtent,
                                 JobContext&) {
    asked.push_back(name.to_string());
    return Result<oci::Descriptor>(what);
  };
  EXPECT_TRUE(cache_map(source("docker-image://remote:2")));
  EXPECT_EQ(asked, std::vector<std::string>{"docker.io/library/remote:2"});
}

TEST_F(ImageSourceTest, WithoutARegistryAMissingImageIsAnErrorWithAHint) {
  const auto made = cache_map(source("docker-image://remote:2"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::kNotFound);
  EXPECT_NE(made.error().advice().find("kiln load"), std::string::npos);
}

TEST_F(ImageSourceTest, WhatTheStoreLacksIsSaidWhereTheRegistryHasItNeither) {
  oci::LayerBlob lost = layer("a", "1");
  lost.descriptor.digest = Digest::of("lost");
  tag("base", image({lost}));
  environment_.images.pull = [](const auto&, const auto&, ImageExtent, JobContext&) {
    return Result<oci::Descriptor>(fail(Code::kUnavailable, "no network"));
  };
  const auto made = execute(source("docker-image://base"), {});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message().find("no network"), std::string::npos);
  EXPECT_NE(made.error().advice().find(lost.descriptor.digest.to_string()), std::string::npos);
}

TEST_F(ImageSourceTest, ResolveModesDecideWhoIsAsked) {
  tag("base", image({layer("a", "1")}));
  int pulls = 0;
  environment_.images.pull = [&](const auto&, const auto&, ImageExtent, JobContext&) {
    ++pulls;
    return Result<oci::Descriptor>(image({layer("a", "2")}));
  };
  EXPECT_TRUE(cache_map(source("docker-image://base")));
  EXPECT_TRUE(cache_map(source("docker-image://base", {{"image.resolvemode", "local"}})));
  EXPECT_EQ(pulls, 0);
  EXPECT_FALSE(cache_map(source("docker-image://none", {{"image.resolvemode", "local"}})));
  EXPECT_EQ(pulls, 0);
  EXPECT_TRUE(cache_map(source("docker-image://base", {{"image.resolvemode", "pull"}})));
  EXPECT_EQ(pulls, 1);
}

TEST_F(ImageSourceTest, TheIndexEntryOfThePlatformIsTaken) {
  oci::Index index;
  index.manifests = {image({layer("a", "arm")}, "arm64"), image({layer("a", "amd")}, "amd64")};
  index.manifests[0].platform = Platform{"linux", "arm64", ""};
  index.manifests[1].platform = Platform{"linux", "amd64", ""};
  tag("multi", blob(oci::media_type::kIndex, oci::to_json_text(index)));
  const auto made = execute(source("docker-image://multi"), {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(listing(made->front()), "f a 0644 0:0 amd");
  llb::Vertex other = source("docker-image://multi");
  other.platform = Platform{"linux", "s390x", ""};
  const auto missing = cache_map(other);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().advice().find("linux/arm64"), std::string::npos);
}

TEST_F(ImageSourceTest, AConfigThatDoesNotFitTheLayersIsRefused) {
  oci::LayerBlob one = layer("a", "1");
  const oci::Descriptor config =
      blob(oci::media_type::kConfig,
           R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}})");
  oci::Manifest manifest{std::string(oci::media_type::kManifest), config, {one.descriptor}, {}};
  tag("bad", blob(oci::media_type::kManifest, oci::to_json_text(manifest)));
  const auto made = cache_map(source("docker-image://bad"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::kDataLoss);
}

TEST_F(ImageSourceTest, AVertexReachesOnlyLayoutsThatWereGiven) {
  const auto made = cache_map(source("oci-layout:///etc/passwd"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::kNotFound);
  EXPECT_NE(made.error().message().find("no OCI layout is known"), std::string::npos);
}

TEST_F(ImageSourceTest, TheChainIdIsTheSpecs) {
  const oci::LayerBlob a = layer("a", "1");
  const oci::LayerBlob b = layer("b", "2");
  EXPECT_EQ(chain_id({a}), a.diff_id);
  EXPECT_EQ(chain_id({a, b}), Digest::of(a.diff_id.to_string() + " " + b.diff_id.to_string()));
}

TEST_F(ImageSourceTest, AConfigIsToldWithoutTheLayers) {
  oci::LayerBlob absent = layer("a", "1");
  absent.descriptor.digest = Digest::of("never stored");
  tag("base:1", image({absent}));
  JobContext job{{}, progress_, Digest::of("vertex"), OutputUse::kInput};
  const auto resolve = [&](ImageExtent extent) {
    return resolve_image(environment_.images, "docker-image://docker.io/library/base:1", {},
                         Platform{"linux", "amd64", ""}, extent, job);
  };
  EXPECT_EQ(resolve(ImageExtent::kWhole).error().code(), Code::kNotFound);
  const auto image = resolve(ImageExtent::kConfigOnly);
  ASSERT_TRUE(image);
  EXPECT_NE(image->config_json.find("rootfs"), std::string::npos);
  EXPECT_EQ(chain_id(image->layers), absent.diff_id);
}

}  // namespace
}  // namespace kiln
