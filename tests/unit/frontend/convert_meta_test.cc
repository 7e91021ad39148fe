#include "tests/unit/frontend/convert_support.h"

#include "frontend/git_ref.h"
#include "frontend/go_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::frontend {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ConvertMetaTest, KeepsWhatTheBaseHasAndKilnDoesNotKnow) {
  const Converted c("FROM app:1\nLABEL a=2\n");
  EXPECT_TRUE(c.config()["Future"]["kept"].as_bool());
  EXPECT_EQ(c.config()["Labels"].dump(), R"({"a":"2","b":"1"})");
  EXPECT_THAT(c.config()["Entrypoint"].strings(), ElementsAre("/app"));
  EXPECT_TRUE(c.document()["rootfs"].is_null());
  EXPECT_TRUE(c.document()["created"].is_null());
  EXPECT_EQ(c.document()["history"].elements()[0]["created"].as_string(), "2020-01-01T00:00:00Z");
}

TEST(ConvertMetaTest, LetsEveryValueOfAnEnvLineSeeTheEnvironmentBeforeIt) {
  const Converted c("FROM alpine\nENV abc=hello\nENV abc=bye def=$abc\nENV $abc=x\n");
  EXPECT_THAT(c.config()["Env"].strings(),
              ElementsAre("PATH=/bin", "abc=bye", "def=hello", "bye=x"));
  EXPECT_EQ(c.history()[2], "ENV abc=bye def=hello");
}

TEST(ConvertMetaTest, ClearsAnInheritedCmdWithEntrypoint) {
  EXPECT_TRUE(Converted("FROM app:1\nENTRYPOINT [\"/x\"]\n").config()["Cmd"].is_null());
  const Converted before("FROM app:1\nCMD [\"own\"]\nENTRYPOINT [\"/x\"]\n");
  EXPECT_THAT(before.config()["Cmd"].strings(), ElementsAre("own"));
  const Converted stage("FROM alpine AS a\nCMD c\nFROM a\nENTRYPOINT e\n");
  EXPECT_TRUE(stage.config()["Cmd"].is_null());
}

TEST(ConvertMetaTest, StoresCommandsWrappedByTheCurrentShell) {
  const Converted c("FROM alpine\nCMD a \"b\"\nSHELL [\"/x\"]\nENTRYPOINT c\n");
  EXPECT_THAT(c.config()["Cmd"].strings(), ::testing::ElementsAre("/bin/sh", "-c", "a \"b\""));
  EXPECT_THAT(c.config()["Entrypoint"].strings(), ElementsAre("/x", "c"));
  EXPECT_TRUE(c.config()["ArgsEscaped"].as_bool());
  EXPECT_EQ(c.history()[1], R"(CMD ["/bin/sh" "-c" "a \"b\""])");
  EXPECT_EQ(c.history()[2], "SHELL [/x]");
}

TEST(ConvertMetaTest, WritesHealthchecks) {
  const Converted c("FROM alpine\nHEALTHCHECK --interval=90s --retries=3 CMD curl x\n");
  EXPECT_EQ(c.config()["Healthcheck"].dump(),
            R"({"Test":["CMD-SHELL","curl x"],"Interval":90000000000,"Retries":3})");
  EXPECT_EQ(c.history().back(),
            R"(HEALTHCHECK &{["CMD-SHELL" "curl x"] "1m30s" "0s" "0s" "0s" '\x03'})");
  const Converted none("FROM alpine\nHEALTHCHECK NONE\n");
  EXPECT_EQ(none.config()["Healthcheck"].dump(), R"({"Test":["NONE"]})");
}

TEST(ConvertMetaTest, SplitsExposeAfterExpansion) {
  const Converted c("FROM alpine\nENV P=\"81 82/udp\"\nEXPOSE 8000-8001 $P\n");
  EXPECT_EQ(c.config()["ExposedPorts"].dump(),
            R"({"8000/tcp":{},"8001/tcp":{},"81/tcp":{},"82/udp":{}})");
  EXPECT_THAT(error_of("FROM alpine\nEXPOSE 70000\n"), HasSubstr("invalid containerPort: 70000"));
  EXPECT_THAT(error_of("FROM alpine\nEXPOSE 80/tpc\n"), HasSubstr("invalid proto: tpc"));
}

TEST(ConvertMetaTest, WritesTheRest) {
  const Converted c(
      "FROM alpine\nUSER a:b\nVOLUME /v /a\nSTOPSIGNAL SIGINT\nMAINTAINER Jane Doe\n");
  EXPECT_EQ(c.config()["User"].as_string(), "a:b");
  EXPECT_EQ(c.config()["Volumes"].dump(), R"({"/a":{},"/v":{}})");
  EXPECT_EQ(c.config()["StopSignal"].as_string(), "SIGINT");
  EXPECT_EQ(c.document()["author"].as_string(), "Jane Doe");
  EXPECT_THAT(c.history(), ElementsAre("base", "USER a:b", "VOLUME [/v /a]", "STOPSIGNAL SIGINT",
                                       "MAINTAINER Jane Doe"));
  EXPECT_EQ(c.document()["history"].elements()[1]["comment"].as_string(), "buildkit.dockerfile.v0");
}

TEST(ConvertMetaTest, RefusesUnknownSignals) {
  EXPECT_THAT(error_of("FROM alpine\nSTOPSIGNAL SIGTREM\n"),
              HasSubstr("Dockerfile:2: invalid signal: SIGTREM (did you mean SIGTERM?)"));
}

TEST(ConvertMetaTest, LetsLabelsOfTheCommandLineWin) {
  const Converted c("FROM alpine\nLABEL a=1\n", [](FrontendRequest& r) {
    r.labels = {{"a", "2"}, {"b", "3"}};
  });
  EXPECT_EQ(c.config()["Labels"].dump(), R"({"a":"2","b":"3"})");
}

TEST(ConvertMetaTest, WarnsOfUndefinedVariablesOnce) {
  const Converted c("FROM alpine\nARG NAME\nENV A=$NAEM B=$NAME PATH=$PAHT\n");
  EXPECT_THAT(
      c.warnings(),
      ElementsAre("UndefinedVar: Usage of undefined variable '$NAEM'",
                  "UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?)"));
  EXPECT_EQ(c.result().warnings[0].where.first_line, 3);
}

TEST(ConvertMetaTest, FailsWhereAVariableIsRequired) {
  EXPECT_THAT(error_of("FROM alpine\nENV A=\"${B:?set B}\"\n"), HasSubstr("Dockerfile:2:"));
  EXPECT_THAT(error_of("FROM alpine\nENV A=\"${B:?set B}\"\n"), HasSubstr("B: set B"));
}

TEST(GoFormatTest, PrintsDurationsAsGo) {
  using std::chrono::nanoseconds;
  EXPECT_EQ(go_duration(nanoseconds(0)), "0s");
  EXPECT_EQ(go_duration(nanoseconds(1'500'000'000)), "1.5s");
  EXPECT_EQ(go_duration(nanoseconds(300'000'000)), "300ms");
  EXPECT_EQ(go_duration(nanoseconds(1'001)), "1.001µs");
  EXPECT_EQ(go_duration(std::chrono::minutes(90)), "1h30m0s");
}

TEST(GitRefTest, TellsRepositoriesFromPathsAndFiles) {
  for (const char* path :
       {"a/b", "./x.git", "github.com/a/b", "https://e.com/a.tgz", "a.git", "/x@y"}) {
    const auto ref = parse_git_ref(path);
    ASSERT_TRUE(ref) << path;
    EXPECT_FALSE(*ref) << path;
  }
}

TEST(GitRefTest, ReadsQueries) {
  const auto ref = parse_git_ref(
      "https://u:p@e.com/a.git?tag=v1&subdir=x&submodules=false&keep-git-dir&checksum=abc");
  ASSERT_TRUE(ref && *ref);
  EXPECT_EQ((*ref)->ref, "refs/tags/v1");
  EXPECT_EQ((*ref)->host, "e.com");
  EXPECT_EQ((*ref)->remote, "https://u:p@e.com/a.git");
  EXPECT_EQ(git_source(**ref).attrs.at("git.skipsubmodules"), "true");
  EXPECT_EQ(git_source(**ref).attrs.at("git.keepgitdir"), "true");
  EXPECT_EQ(git_source(**ref).identifier, "git://e.com/a.git#refs/tags/v1:x");
}

TEST(GitRefTest, RefusesContradictions) {
  for (const char* url : {"https://e.com/a.git?tag=a&branch=b", "https://e.com/a.git?ref=a#b",
                          "https://e.com/a.git?nope=1", "https://e.com/a.git?ref=a&ref=b"}) {
    EXPECT_FALSE(parse_git_ref(url)) << url;
  }
}

}  // namespace
}  // namespace kiln::frontend
