#include <gmock/gmock.h>

#include "tests/e2e/kiln_runner.h"

namespace kiln::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class CheckTest : public KilnTest {
 protected:
  /// With one finding, on its second line.
  std::string faulty(const std::string& directive = {}) {
    return context("faulty", {{"Dockerfile", directive + "FROM base\nCMD sh\n"}});
  }
};

TEST_F(CheckTest, FindingsMakeTheExitStatusAndNothingIsBuilt) {
  const Output checked = kiln({"build", "--check", "-t", "x", faulty()});
  EXPECT_EQ(checked.exit_code, 1);
  EXPECT_THAT(checked.out, StartsWith("Check complete, 1 warning has been found!\n\n"
                                      "WARNING: JSONArgsRecommended - https://"));
  EXPECT_THAT(checked.out, HasSubstr("   2 | >>> CMD sh\n"));
  EXPECT_THAT(checked.err, IsEmpty());
  EXPECT_THAT(kiln({"images"}).out, Not(HasSubstr("x ")));
}

TEST_F(CheckTest, ACleanFilePasses) {
  const std::string clean = context("clean", {{"Dockerfile", "FROM base\nCMD [\"sh\"]\n"}});
  const Output checked = kiln({"build", "--check", clean});
  EXPECT_EQ(checked.exit_code, 0);
  EXPECT_EQ(checked.out, "Check complete, no warnings found.\n");
}

TEST_F(CheckTest, TheDockerfileMayComeFromStandardInput) {
  const Output checked = kiln({"build", "--check", "-"}, "FROM base as x\n");
  EXPECT_EQ(checked.exit_code, 1);
  EXPECT_THAT(checked.out, HasSubstr("WARNING: FromAsCasing"));
}

TEST_F(CheckTest, AnErrorIsToldAfterTheFindings) {
  const std::string broken =
      context("broken", {{"Dockerfile", "FROM base as x\nCOPY --from=y / /\nFROM base AS y\n"}});
  const Output checked = kiln({"build", "--call=check,format=json", broken});
  EXPECT_EQ(checked.exit_code, 1);
  const auto json = Json::parse(checked.out);
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["warnings"].elements()[0]["ruleName"].as_string(), "FromAsCasing");
  EXPECT_THAT((*json)["buildError"]["message"].as_string(),
              HasSubstr("cannot copy from stage \"y\""));
  EXPECT_THAT(checked.err, HasSubstr("cannot copy from stage \"y\""));
}

TEST_F(CheckTest, ABuildListsWarningsAndGoesOn) {
  const Output built = kiln({"build", "--progress=plain", "-t", "x", faulty()});
  EXPECT_EQ(built.exit_code, 0);
  EXPECT_THAT(built.err,
              AllOf(HasSubstr("#1 [internal] load build definition from Dockerfile\n"
                              "#1 WARN: JSONArgsRecommended: "),
                    HasSubstr("\n 1 warning found (use --debug to expand):\n"
                              " - JSONArgsRecommended: JSON arguments recommended for CMD"),
                    HasSubstr("OS signals (line 2)\n"), Not(HasSubstr("More info"))));
  const Output expanded = kiln({"-D", "build", "--progress=plain", faulty()});
  EXPECT_THAT(expanded.err, AllOf(HasSubstr("More info: https://docs.docker.com/go/dockerfile/"),
                                  HasSubstr("   2 | >>> CMD sh\n")));
}

TEST_F(CheckTest, AQuietBuildSaysNothingOfThem) {
  EXPECT_THAT(kiln({"build", "-q", faulty()}).err, IsEmpty());
}

TEST_F(CheckTest, JsonProgressCarriesThem) {
  const Output built = kiln({"build", "--progress=rawjson", faulty()});
  EXPECT_THAT(built.err, AllOf(HasSubstr(R"({"warnings":[{"vertex":"sha256:)"),
                               HasSubstr(R"("range":[{"start":{"line":2},"end":{"line":2}}])"),
                               Not(HasSubstr("1 warning found"))));
}

TEST_F(CheckTest, AFileMayWantThemToBeErrors) {
  const Output built =
      kiln({"build", "--progress=plain", "-t", "x", faulty("# check=error=true\n")});
  EXPECT_EQ(built.exit_code, 1);
  EXPECT_THAT(built.err, AllOf(HasSubstr(" 1 warning found"),
                               HasSubstr("ERROR: failed to solve: lint violation found for rules: "
                                         "JSONArgsRecommended\n")));
  EXPECT_THAT(kiln({"images"}).out, Not(HasSubstr("x ")));
  EXPECT_EQ(kiln({"build", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all",
                  faulty("# check=error=true\n")})
                .exit_code,
            0);
}

TEST_F(CheckTest, CallsAnswerAndBuildNothing) {
  const std::string stages = context(
      "stages", {{"Dockerfile", "FROM base AS one\n# two runs\nFROM one AS two\nARG V=1\n"}});
  EXPECT_EQ(kiln({"build", "--call=targets", stages}).out,
            "TARGET        DESCRIPTION\none\ntwo (default) runs\n");
  EXPECT_EQ(kiln({"build", "--call=outline", stages}).out,
            "TARGET:      two\nDESCRIPTION: runs\n\nBUILD ARG   VALUE   DESCRIPTION\n"
            "V           1\n\n");
  EXPECT_EQ(kiln({"build", "--call=outline", "--target=one", stages}).out, "TARGET: one\n\n");
  EXPECT_THAT(kiln({"build", "--call=subrequests.describe"}).out, HasSubstr("outline"));
}

TEST_F(CheckTest, UnknownCallsAreWrongUsage) {
  const Output wrong = kiln({"build", "--call=outlin", faulty()});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("(did you mean outline?)"));
  EXPECT_EQ(kiln({"build", "--check", "--call=targets", faulty()}).exit_code, 2);
  EXPECT_EQ(kiln({"build", "--check", "--llb", "-"}).exit_code, 2);
}

}  // namespace
}  // namespace kiln::e2e
