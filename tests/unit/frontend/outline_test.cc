#include "frontend/outline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "tests/unit/frontend/convert_support.h"

namespace kiln::frontend {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

FrontendRequest request_for(const std::string& dockerfile,
                            const std::function<void(FrontendRequest&)>& change = {}) {
  FrontendRequest request;
  request.dockerfile = dockerfile;
  request.build_platform = Platform{"linux", "amd64", ""};
  if (change) change(request);
  return request;
}

Outline outline(const std::string& dockerfile,
                const std::function<void(FrontendRequest&)>& change = {}) {
  FakeImages images = usual_images();
  Result<Outline> result = outline_dockerfile(request_for(dockerfile, change), images, {});
  KILN_CHECK(result);
  return *std::move(result);
}

/// "NAME=value (description) line".
std::vector<std::string> args(const Outline& outline) {
  std::vector<std::string> out;
  for (const Outline::Arg& arg : outline.args) {
    out.push_back(arg.name + "=" + arg.value + " (" + arg.description + ") " +
                  std::to_string(arg.where.first_line));
  }
  return out;
}

TEST(OutlineTest, ListsWhatTheTargetAndItsStagesTake) {
  const Outline o = outline(
      "# VERSION of alpine\nARG VERSION=latest\nARG UNUSED=1\n"
      "FROM alpine:${VERSION} AS base\n# MODE of the build\nARG MODE=fast\n"
      "FROM scratch AS other\nARG OTHER=1\n"
      "# app is what runs\nFROM base AS app\nARG EXTRA\n");
  EXPECT_EQ(o.name, "app");
  EXPECT_EQ(o.description, "is what runs");
  EXPECT_THAT(args(o), ElementsAre("VERSION=latest (of alpine) 2", "MODE=fast (of the build) 6",
                                   "EXTRA= () 11"));
}

TEST(OutlineTest, FollowsGlobalArgumentsThroughTheirDefaults) {
  EXPECT_THAT(args(outline("ARG TAG=latest\nARG IMAGE=alpine:$TAG\nFROM $IMAGE\n")),
              ElementsAre("TAG=latest () 1", "IMAGE=alpine:latest () 2"));
  EXPECT_THAT(args(outline("ARG TAG=3\nARG IMAGE=alpine:$TAG\nFROM $IMAGE\n",
                           [](FrontendRequest& r) {
                             r.build_args = {{"IMAGE", "alpine"}};
                           })),
              ElementsAre("IMAGE=alpine () 2"));
}

TEST(OutlineTest, TakesAnInheritedArgumentForTheGlobalOne) {
  EXPECT_THAT(args(outline("# V is global\nARG V=1\nFROM alpine\nARG V\nARG TARGETARCH\n")),
              ElementsAre("V=1 (is global) 2"));
  EXPECT_THAT(args(outline("# V is global\nARG V=1\nFROM alpine\n# V is local\nARG V=2\n")),
              ElementsAre("V=2 (is local) 5"));
}

TEST(OutlineTest, ListsSecretsAndSocketsOnce) {
  const Outline o = outline(
      "FROM alpine AS base\nRUN --mount=type=secret,id=a --mount=type=ssh true\n"
      "RUN --mount=type=secret,id=a true\n"
      "FROM alpine\nENV ID=b\nRUN --mount=type=secret,id=$ID,required=true true\n"
      "COPY --from=base / /\n");
  ASSERT_EQ(o.secrets.size(), 2U);
  EXPECT_EQ(o.secrets[0].name, "a");
  EXPECT_EQ(o.secrets[0].where.first_line, 2);
  EXPECT_FALSE(o.secrets[0].required);
  EXPECT_EQ(o.secrets[1].name, "b");
  EXPECT_TRUE(o.secrets[1].required);
  ASSERT_EQ(o.ssh.size(), 1U);
  EXPECT_EQ(o.ssh[0].name, "default");
}

TEST(OutlineTest, PrintsTablesWithoutTrailingBlanks) {
  const Outline o = outline("# NAME to greet\nARG NAME\nARG V=1\nFROM alpine\nARG NAME\nARG V\n");
  EXPECT_EQ(outline_text(o),
            "BUILD ARG   VALUE   DESCRIPTION\n"
            "NAME                to greet\n"
            "V           1\n\n");
  EXPECT_EQ(outline_text(outline("FROM alpine AS x\nRUN --mount=type=ssh,required=true true\n")),
            "TARGET: x\n\nSSH       REQUIRED\ndefault   true\n\n");
  EXPECT_EQ(outline_text(outline("FROM alpine\n")), "");
}

TEST(OutlineTest, PrintsJsonAsBuildKitDoes) {
  const std::string text = "FROM alpine AS x\nARG A=1\n";
  const auto json = Json::parse(outline_json(outline(text), text));
  ASSERT_TRUE(json);
  EXPECT_EQ(
      json->dump(),
      R"({"name":"x","args":[{"name":"A","value":"1","location":{"ranges":[{"start":)"
      R"({"line":2},"end":{"line":2}}]}}],"sources":["RlJPTSBhbHBpbmUgQVMgeApBUkcgQT0xCg=="]})");
}

TEST(TargetsTest, ListsStagesWithoutAskingForImages) {
  const auto targets = list_targets(request_for(
      "FROM nosuch:image AS one\n# twofold\nFROM --platform=$BUILDPLATFORM one AS Two\nFROM x\n"));
  ASSERT_TRUE(targets);
  EXPECT_EQ(targets_text(*targets), "TARGET    DESCRIPTION\none\ntwo\n(default)\n");
  ASSERT_EQ(targets->size(), 3U);
  EXPECT_EQ((*targets)[1].platform, "$BUILDPLATFORM");
  EXPECT_EQ((*targets)[1].base, "one");
}

TEST(TargetsTest, MarksTheDefaultAndDescribes) {
  const auto targets = list_targets(request_for("FROM a AS one\n# two runs\nFROM one AS two\n"));
  ASSERT_TRUE(targets);
  EXPECT_EQ(targets_text(*targets), "TARGET        DESCRIPTION\none\ntwo (default) runs\n");
  const auto json = Json::parse(targets_json(*targets, "x"));
  EXPECT_EQ((*json)["targets"].elements()[1]["default"].as_bool(), true);
  EXPECT_EQ((*json)["targets"].elements()[0].find("default"), nullptr);
}

TEST(TargetsTest, RefusesAFileWithoutStages) {
  EXPECT_FALSE(list_targets(request_for("ARG A=1\n")));
  EXPECT_FALSE(list_targets(request_for("FORM a\n")));
}

}  // namespace
}  // namespace kiln::frontend
