// FROM, ARG before FROM, targets, reachability, ONBUILD, contexts.
#include "tests/unit/frontend/convert_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::frontend {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST(ConvertStagesTest, PinsABaseImageToItsDigest) {
  const Converted c("FROM alpine\nRUN true\n");
  EXPECT_THAT(c.op<llb::SourceOp>().identifier,
              StartsWith("docker-image://docker.io/library/alpine:latest@sha256:"));
  EXPECT_EQ(c.result().graph.vertex(0).platform, (Platform{"linux", "amd64", ""}));
}

TEST(ConvertStagesTest, ConvertsOnlyWhatTheTargetNeeds) {
  FakeImages images = usual_images();
  const Converted c("FROM nowhere AS a\nRUN a\nFROM alpine AS b\nRUN b\n", images);
  EXPECT_EQ(c.count<llb::ExecOp>(), 1U);
  EXPECT_THAT(images.asked, ElementsAre("docker.io/library/alpine:latest linux/amd64"));
  EXPECT_FALSE(c.result().stages[0].reachable);
  EXPECT_TRUE(c.result().stages[1].reachable);
}

TEST(ConvertStagesTest, TakesTheTargetInAnyCase) {
  const Converted c("FROM alpine AS Build\nRUN a\nFROM scratch\n",
                    [](FrontendRequest& r) { r.target = "BUILD"; });
  EXPECT_EQ(c.result().target, "build");
  EXPECT_EQ(c.count<llb::ExecOp>(), 1U);
}

TEST(ConvertStagesTest, SuggestsATarget) {
  EXPECT_THAT(error_of("FROM alpine AS build\n", [](FrontendRequest& r) { r.target = "biuld"; }),
              HasSubstr("target stage \"biuld\" could not be found (did you mean build?)"));
}

TEST(ConvertStagesTest, GivesAnEmptyGraphForScratchAlone) {
  const Converted c("FROM scratch\nENV A=1\n");
  EXPECT_THAT(c.result().graph.targets(), IsEmpty());
  EXPECT_EQ(c.config()["WorkingDir"].as_string(), "/");
  EXPECT_THAT(c.config()["Env"].strings(), ElementsAre(StartsWith("PATH=/usr/local/sbin:"), "A=1"));
}

TEST(ConvertStagesTest, TreatsAnImageWithoutLayersAsScratch) {
  const Converted c("FROM hollow\nCOPY a /\n");
  EXPECT_EQ(c.op<llb::FileOp>().actions[0].input, llb::kNoIndex);
  EXPECT_THAT(c.config()["Env"].strings(), ElementsAre("A=1", StartsWith("PATH=")));
}

TEST(ConvertStagesTest, LooksUpStagesExactlyInFromAndLooselyInCopyFrom) {
  EXPECT_THAT(error_of("FROM alpine AS base\nFROM Base\n"),
              HasSubstr("failed to parse stage name"));
  const Converted c("FROM alpine AS base\nRUN a\nFROM scratch\nCOPY --from=BASE /a /\n");
  EXPECT_EQ(c.count<llb::ExecOp>(), 1U);
}

TEST(ConvertStagesTest, CopiesFromAStageByNumber) {
  const Converted c("FROM alpine\nRUN a\nFROM scratch\nCOPY --from=0 /a /\n");
  EXPECT_EQ(c.count<llb::ExecOp>(), 1U);
  EXPECT_THAT(error_of("FROM scratch\nCOPY --from=1 /a /\n"), HasSubstr("invalid stage index 1"));
}

TEST(ConvertStagesTest, CopiesFromAnImageThatIsNoStage) {
  const Converted c("FROM scratch\nCOPY --from=alpine /a /b\n");
  EXPECT_THAT(c.steps(), ElementsAre(StartsWith("FROM docker.io/library/alpine:latest@sha256:"),
                                     "[stage-0 1/1] COPY --from=alpine /a /b"));
}

TEST(ConvertStagesTest, ResolvesAnImageOnce) {
  FakeImages images = usual_images();
  const Converted c(
      "FROM alpine AS a\nFROM alpine AS b\nCOPY --from=a / /\nCOPY --from=alpine / /\n", images);
  EXPECT_EQ(images.asked.size(), 1U);
  EXPECT_EQ(c.count<llb::SourceOp>(), 1U);
}

TEST(ConvertStagesTest, RefusesForwardAndCircularReferences) {
  EXPECT_THAT(
      error_of("FROM alpine AS a\nCOPY --from=b /x /\nFROM alpine AS b\nCOPY --from=a / /\n"),
      HasSubstr("circular dependency detected on stage: a"));
  EXPECT_THAT(error_of("FROM scratch AS a\nCOPY --from=b /x /\nFROM alpine AS b\n",
                       [](FrontendRequest& r) { r.target = "a"; }),
              HasSubstr("Dockerfile:2: cannot copy from stage \"b\", it needs to be defined before "
                        "current stage \"a\""));
}

TEST(ConvertStagesTest, SuggestsAStageOrACommonImage) {
  EXPECT_THAT(error_of("FROM alpine AS build\nFROM biuld\n"),
              HasSubstr("Dockerfile:2: biuld: no such image (did you mean build?)"));
  EXPECT_THAT(error_of("FROM debain\n"), HasSubstr("(did you mean debian?)"));
}

TEST(ConvertStagesTest, ExpandsGlobalArgsInFrom) {
  const std::string text = "ARG V=1\nARG NAME=app:$V\nFROM $NAME\nRUN a\n";
  EXPECT_THAT(Converted(text).op<llb::SourceOp>().identifier, HasSubstr("library/app:1@"));
  EXPECT_THAT(error_of(text,
                       [](FrontendRequest& r) {
                         r.build_args = {{"V", "2"}};
                       }),
              HasSubstr("app:2: no such image"));
  EXPECT_THAT(error_of("FROM $NOTHING\n"),
              HasSubstr("Dockerfile:1: base name ($NOTHING) should not be blank"));
}

TEST(ConvertStagesTest, WarnsOfAnUndeclaredArgInFrom) {
  const Converted c("ARG TAG=1\nFROM app:1${TGA}\nRUN a\n");
  EXPECT_THAT(c.warnings(), ElementsAre("UndefinedArgInFrom: FROM argument 'TGA' is not declared "
                                        "(did you mean TAG?)"));
}

TEST(ConvertStagesTest, BuildsOnThePlatformThatFromSays) {
  FakeImages images = usual_images();
  const Converted c(
      "FROM --platform=$BUILDPLATFORM alpine\nARG TARGETARCH\nARG TARGETPLATFORM\nRUN a\n", images,
      [](FrontendRequest& r) {
        r.platform = Platform{"linux", "arm64", ""};
        r.multi_platform = true;
      });
  EXPECT_THAT(images.asked, ElementsAre("docker.io/library/alpine:latest linux/amd64"));
  EXPECT_THAT(c.op<llb::ExecOp>().meta.env,
              ElementsAre("PATH=/bin", "TARGETARCH=arm64", "TARGETPLATFORM=linux/arm64"));
  EXPECT_THAT(c.steps(),
              ElementsAre(StartsWith("[linux/amd64 1/2] FROM "), "[linux/amd64->arm64 2/2] RUN a"));
  EXPECT_EQ(c.document()["architecture"].as_string(), "arm64");
}

TEST(ConvertStagesTest, ReportsABadPlatform) {
  EXPECT_THAT(error_of("FROM --platform=$BUILDPLATFROM alpine\n"),
              HasSubstr("empty platform value from expression $BUILDPLATFROM (did you mean "
                        "BUILDPLATFORM?)"));
}

TEST(ConvertStagesTest, WarnsWhenTheBaseIsForAnotherPlatform) {
  const Converted c("FROM alpine\nRUN a\n", [](FrontendRequest& r) {
    r.platform = Platform{"linux", "arm64", ""};
  });
  EXPECT_THAT(c.warnings(), ElementsAre(StartsWith("InvalidBaseImagePlatform: Base image alpine")));
}

TEST(ConvertStagesTest, NumbersTheStepsOfAStage) {
  const Converted c(
      "FROM alpine AS build\nWORKDIR /src\nENV A=1\nCOPY . .\nRUN make\nFROM scratch\n"
      "COPY --from=build /src/x /x\n");
  EXPECT_THAT(c.steps(),
              ElementsAre(StartsWith("[build 1/4] FROM docker.io/library/alpine:latest@sha256:"),
                          "[build 2/4] WORKDIR /src", "[internal] load build context",
                          "[build 3/4] COPY . .", "[build 4/4] RUN make",
                          "[stage-1 1/1] COPY --from=build /src/x /x"));
}

TEST(ConvertStagesTest, PadsStepNumbers) {
  std::string text = "FROM alpine\n";
  for (int i = 0; i < 9; ++i) text += "RUN " + std::to_string(i) + "\n";
  const std::vector<std::string> steps = Converted(text).steps();
  EXPECT_EQ(steps[1], "[ 2/10] RUN 0");
  EXPECT_EQ(steps[9], "[10/10] RUN 8");
}

TEST(ConvertOnbuildTest, RunsTheTriggersOfABaseImageFirst) {
  const Converted c("FROM trigger\nRUN own\n");
  EXPECT_THAT(c.steps(),
              ElementsAre(StartsWith("[1/4] FROM"), "[internal] load build context",
                          "[2/4] ONBUILD COPY . /src", "[3/4] ONBUILD RUN make", "[4/4] RUN own"));
  EXPECT_TRUE(c.config()["OnBuild"].is_null());
  EXPECT_EQ(c.named("[3/4] ONBUILD RUN make").meta.where[0].first_line, 1);
}

TEST(ConvertOnbuildTest, KeepsTriggersForChildrenOnly) {
  const Converted base("FROM alpine\nONBUILD RUN x\n");
  EXPECT_THAT(base.config()["OnBuild"].strings(), ElementsAre("RUN x"));
  EXPECT_THAT(base.history(), ElementsAre("base"));
  const Converted child("FROM alpine AS base\nONBUILD RUN x\nFROM base\nRUN y\nFROM base AS z\n",
                        [](FrontendRequest& r) { r.target = "z"; });
  EXPECT_EQ(child.count<llb::ExecOp>(), 1U);
  EXPECT_TRUE(child.config()["OnBuild"].is_null());
}

TEST(ConvertOnbuildTest, OpensImagesThatATriggerNames) {
  FakeImages images = usual_images();
  images.add_config("docker.io/library/chain:latest",
                    R"({"OnBuild":["COPY --from=alpine /a /b"],"Env":["PATH=/bin"]})");
  const Converted c("FROM chain\n", images);
  EXPECT_EQ(images.asked.size(), 2U);
  EXPECT_EQ(c.count<llb::FileOp>(), 1U);
}

TEST(ConvertContextsTest, ReplacesAnImage) {
  FakeImages images = usual_images();
  const Converted c("FROM nowhere:latest\nRUN a\n", images, [](FrontendRequest& r) {
    r.named_contexts["nowhere"] = {ContextRef::Kind::kImage, "app:1", {}};
  });
  EXPECT_THAT(c.op<llb::SourceOp>().identifier, HasSubstr("library/app:1@sha256:"));
  EXPECT_EQ(c.steps()[0], "[context nowhere] app:1");
  EXPECT_EQ(c.op<llb::ExecOp>().meta.user, "app");
}

TEST(ConvertContextsTest, ReplacesAStageAndSkipsItsBody) {
  const Converted c("FROM nowhere AS deps\nRUN a\nFROM scratch\nCOPY --from=deps /lib /lib\n",
                    [](FrontendRequest& r) {
                      r.named_contexts["deps"] = {ContextRef::Kind::kLocal, "deps", {"*.log"}};
                    });
  const auto& source = c.op<llb::SourceOp>();
  EXPECT_EQ(source.identifier, "local://deps");
  EXPECT_EQ(source.attrs.at("local.followpaths"), R"(["lib"])");
  EXPECT_EQ(source.attrs.at("local.excludepatterns"), R"(["*.log"])");
  EXPECT_EQ(c.count<llb::ExecOp>(), 0U);
}

TEST(ConvertContextsTest, OpensAnOciLayoutWithoutNamingItsDirectory) {
  FakeImages images;
  images.add_config("oci-layout:///some/dir:tag", R"({"Env":["PATH=/x"]})");
  const Converted c("FROM base\nRUN a\n", images, [](FrontendRequest& r) {
    r.named_contexts["base"] = {ContextRef::Kind::kOciLayout, "/some/dir:tag", {}};
  });
  const auto& source = c.op<llb::SourceOp>();
  EXPECT_THAT(source.identifier, StartsWith("oci-layout://docker.io/library/base@sha256:"));
  EXPECT_EQ(source.attrs.at("oci.store"), "base");
  EXPECT_THAT(source.identifier, ::testing::Not(HasSubstr("some")));
}

TEST(ConvertContextsTest, PrefersTheOneForThePlatform) {
  const Converted c("FROM base\nRUN a\n", [](FrontendRequest& r) {
    r.named_contexts["base"] = {ContextRef::Kind::kImage, "alpine", {}};
    r.named_contexts["base::linux/amd64"] = {ContextRef::Kind::kImage, "app:1", {}};
  });
  EXPECT_THAT(c.op<llb::SourceOp>().identifier, HasSubstr("library/app:1"));
}

TEST(ConvertContextsTest, FetchesAGitContext) {
  const Converted c("FROM scratch\nCOPY a /\n", [](FrontendRequest& r) {
    r.context = {ContextRef::Kind::kGit, "https://example.com/r.git#main:sub", {}};
  });
  EXPECT_EQ(c.op<llb::SourceOp>().identifier, "git://example.com/r.git#main:sub");
}

TEST(ConvertTest, GivesTheSameDigestsEachTime) {
  const std::string text =
      "FROM alpine AS a\nARG X=1\nRUN --mount=type=cache,target=/c a\nFROM alpine\n"
      "COPY --from=a /x /y\nCOPY . .\n";
  const Converted first(text), second(text);
  ASSERT_EQ(first.result().graph.vertices().size(), second.result().graph.vertices().size());
  for (llb::VertexId id = 0; id < first.result().graph.vertices().size(); ++id) {
    EXPECT_EQ(first.result().graph.vertex(id).digest, second.result().graph.vertex(id).digest);
  }
}

TEST(ConvertTest, RefusesAForeignSyntaxAndTakesItsOwn) {
  EXPECT_THAT(error_of("# syntax=example/other:1\nFROM alpine\n"),
              HasSubstr("Dockerfile:1: frontend image \"example/other:1\" cannot be run"));
  EXPECT_EQ(error_of("# syntax=docker/dockerfile:1.7-labs\nFROM alpine\n"), "no error");
}

TEST(ConvertTest, RefusesTextThatIsNotUtf8) {
  EXPECT_THAT(error_of("FROM alpine\nRUN echo \xff\n"),
              HasSubstr("Dockerfile:2: the Dockerfile is not valid UTF-8"));
}

TEST(ConvertTest, StopsWhenAsked) {
  FakeImages images = usual_images();
  FrontendRequest request;
  request.dockerfile = "FROM alpine\nRUN a\n";
  std::stop_source stop;
  stop.request_stop();
  const auto result = dockerfile_to_llb(request, images, stop.get_token());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kCancelled);
}

TEST(ConvertTest, SaysWhichBuildArgsNothingUses) {
  const Converted c("ARG A\nFROM alpine\nARG BEE\nRUN a\n", [](FrontendRequest& r) {
    r.build_args = {
        {"A", "1"}, {"BEE", "2"}, {"BEEE", "3"}, {"http_proxy", "p"}, {"TARGETOS", "l"}};
  });
  EXPECT_THAT(c.result().unused_build_args, ElementsAre("BEEE"));
  EXPECT_THAT(c.warnings(), ElementsAre("UnusedBuildArg: build argument 'BEEE' is not used by any "
                                        "ARG (did you mean BEE?)"));
}

}  // namespace
}  // namespace kiln::frontend
