// Questions about a Dockerfile need to know what its base images are, not their files.
#include <gmock/gmock.h>

#include "tests/e2e/remote_fixture.h"

namespace kiln::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ConfigOnlyTest : public RemoteTest {
 protected:
  /// A registry that has the documents of an image "app", and none of its layers.
  void SetUp() override {
    RemoteTest::SetUp();
    if (IsSkipped()) return;
    const std::string layout = path("layout");
    (void)build(context("app", {{"Dockerfile", "FROM base\nENV APP=1\nONBUILD ARG OF_BASE=x\n"}}),
                {"-o", "type=oci,tar=false,dest=" + layout});
    const Json index = Json::parse(read_file(layout + "/index.json", 1 << 20).value()).value();
    const std::string manifest = index["manifests"].elements().at(0)["digest"].as_string();
    const std::string text = blob(layout, manifest);
    const Json document = Json::parse(text).value();
    const std::string config = document["config"]["digest"].as_string();
    layer_ = document["layers"].elements().at(0)["digest"].as_string();
    (void)serve("/v2/", "");
    (void)serve("/v2/app/blobs/" + config, blob(layout, config));
    for (const std::string& name : {std::string("latest"), manifest}) {
      (void)serve("/v2/app/manifests/" + name, text);
      served_["/v2/app/manifests/" + name].headers = {
          {"Content-Type", document["mediaType"].as_string()}};
    }
    app_ = web_->host() + "/app";
    asking_ = context("asking", {{"Dockerfile", "FROM " + app_ + "\nRUN echo $APP\n"}});
  }
  static std::string blob(const std::string& layout, const std::string& digest) {
    return read_file(layout + "/blobs/sha256/" + digest.substr(7), 8 << 20).value();
  }
  std::string app_, asking_, layer_;
};

TEST_F(ConfigOnlyTest, AQuestionFetchesTheConfigAndNoLayer) {
  const std::string other = path("other");  // the layers are not here from the start
  const Output checked = kiln_at(other, {"build", "--check", asking_});
  EXPECT_EQ(checked.exit_code, 0) << checked.out << checked.err;
  const Output outline = kiln_at(other, {"build", "--call=outline", asking_});
  EXPECT_THAT(outline.out, HasSubstr("OF_BASE")) << outline.err;
  const Output graph = kiln_at(other, {"debug", "dump-llb", "--format=json", asking_});
  EXPECT_THAT(graph.out, HasSubstr("APP=1")) << graph.err;
  EXPECT_EQ(web_->count("GET", "/v2/app/blobs/" + layer_), 0U);
}

TEST_F(ConfigOnlyTest, WhatHasNoLayersHereIsNoImage) {
  const std::string other = path("other");  // the layers are not here from the start
  ASSERT_EQ(kiln_at(other, {"build", "--check", asking_}).exit_code, 0);
  EXPECT_THAT(kiln_at(other, {"images"}).out, Not(HasSubstr("app")));
  expect_failure(kiln_at(other, {"build", asking_}), "404");
  EXPECT_EQ(web_->count("GET", "/v2/app/blobs/" + layer_), 1U);
}

TEST_F(ConfigOnlyTest, ABuildWhoseStepsAreCachedFetchesNoLayer) {
  const std::string other = path("other");  // the layers are not here from the start
  (void)serve("/v2/app/blobs/" + layer_, blob(path("layout"), layer_));
  const Output first = kiln_at(other, {"build", "-t", "built", asking_});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(web_->count("GET", "/v2/app/blobs/" + layer_), 1U);
  EXPECT_THAT(kiln_at(other, {"images"}).out, HasSubstr(app_)) << "its name came with its layers";

  // What is here is not asked about.
  const size_t before = web_->requests().size();
  EXPECT_EQ(kiln_at(other, {"build", asking_}).exit_code, 0);
  EXPECT_EQ(web_->requests().size(), before);

  // The name moves to an image of the same files, in a layer that is not here, and nowhere else.
  const std::string& manifest = served_["/v2/app/manifests/latest"].body;
  Json document = Json::parse(manifest).value();
  Json& layer = document.member("layers").make_array().at(0);
  ASSERT_THAT(layer["mediaType"].as_string(), HasSubstr("+gzip")) << manifest;
  const std::string file = path("layout") + "/blobs/sha256/" + layer_.substr(7);
  const std::string plain = command({"gzip", "-dc", file}).out;
  layer.set("mediaType", "application/vnd.oci.image.layer.v1.tar");
  layer.set("digest", Digest::of(plain).to_string());
  layer.set("size", uint64_t{plain.size()});
  const std::string moved = document.dump();
  for (const std::string& name : {std::string("latest"), Digest::of(moved).to_string()}) {
    (void)serve("/v2/app/manifests/" + name, moved);
    served_["/v2/app/manifests/" + name].headers = {
        {"Content-Type", document["mediaType"].as_string()}};
  }
  const Output again = kiln_at(other, {"build", "--progress=plain", "--pull", asking_});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("CACHED"));
  EXPECT_EQ(web_->count("GET", "/v2/app/blobs/" + Digest::of(plain).to_string()), 0U);
  EXPECT_EQ(web_->count("GET", "/v2/app/blobs/" + layer_), 1U);
}

}  // namespace
}  // namespace kiln::e2e
