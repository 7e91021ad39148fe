// What lies around the rules: options, where they hold, which stages are looked at, and when
// findings fail the build. The rules themselves: lint_cases_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "frontend/lint/check_options.h"
#include "frontend/lint/report.h"
#include "tests/unit/frontend/convert_support.h"

namespace kiln::lint {
namespace {

using frontend::convert_text;
using frontend::FakeImages;
using frontend::FrontendRequest;
using frontend::usual_images;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Change = std::function<void(FrontendRequest&)>;

FrontendRequest request_for(const std::string& dockerfile, const Change& change = {}) {
  FrontendRequest request;
  request.dockerfile = dockerfile;
  request.build_platform = Platform{"linux", "amd64", ""};
  if (change) change(request);
  return request;
}

CheckResult check(const std::string& dockerfile, const Change& change = {}) {
  FakeImages images = usual_images();
  return check_dockerfile(request_for(dockerfile, change), images, {});
}

std::string short_form(const std::string& rule, int line) {
  return rule + ":" + std::to_string(line);
}

/// "Rule:line" of each.
std::vector<std::string> found(const std::string& dockerfile, const Change& change = {}) {
  std::vector<std::string> out;
  for (const Finding& finding : check(dockerfile, change).findings) {
    out.push_back(short_form(std::string(info(finding.rule).name), finding.where.first_line));
  }
  return out;
}

std::vector<std::string> found_by_build(const std::string& dockerfile, const Change& change = {}) {
  FakeImages images = usual_images();
  std::vector<BuildWarning> warnings;
  const FrontendRequest request = request_for(dockerfile, change);
  (void)frontend::dockerfile_to_llb(request, images, {}, &warnings);  // it may fail
  std::vector<std::string> out;
  for (const BuildWarning& warning : warnings) {
    out.push_back(short_form(warning.rule, warning.where.first_line));
  }
  return out;
}

Change with_arg(const std::string& name, const std::string& value) {
  return [name, value](FrontendRequest& request) { request.build_args.emplace_back(name, value); };
}

TEST(RulesTest, AreTheTwentyTwoThatUsersKnowAndAdvice) {
  size_t rules = 0, experimental = 0;
  for (const RuleInfo& row : all_rules()) {
    rules += row.standing == Standing::kAdvice ? 0 : 1;
    experimental += row.standing == Standing::kExperimental ? 1 : 0;
    EXPECT_EQ(find_rule(row.name), row.rule);
    if (!row.url.empty()) {
      EXPECT_THAT(row.url, HasSubstr("/rule/" + std::string(row.page) + "/"));
    }
  }
  EXPECT_EQ(rules, 22U);
  EXPECT_EQ(experimental, 1U);
}

TEST(CheckOptionsTest, TakeBlanksAndTheSpellingsOfTrue) {
  for (const char* text : {"error=true", "skip= FromAsCasing ;error= 1", "error=T", "error=True"}) {
    const auto options = parse_check_options(text);
    ASSERT_TRUE(options) << text;
    EXPECT_EQ(options->violations, Violations::kFail) << text;
  }
  EXPECT_EQ(parse_check_options("error=0")->violations, Violations::kWarn);
  EXPECT_FALSE(parse_check_options("skip=A, FromAsCasing")->enabled.contains(Rule::kFromAsCasing));
}

TEST(CheckOptionsTest, RefuseWhatTheyDoNotKnow) {
  const auto message = [](const char* text) {
    const auto options = parse_check_options(text);
    return options ? "no error" : options.error().message();
  };
  EXPECT_EQ(message("skp=all"), "invalid check option \"skp\" (did you mean skip?)");
  EXPECT_EQ(message("skip=all;"), "invalid check option \"\"");
  EXPECT_EQ(message("all"), "invalid check option \"all\"");
  EXPECT_EQ(message("error=maybe"),
            "failed to parse check option \"error=maybe\": \"maybe\" is neither true nor false");
}

TEST(CheckOptionsTest, SkipAllLeavesExperimentalRulesAlone) {
  const auto options = parse_check_options("skip=all;experimental=InvalidDefinitionDescription");
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->enabled.contains(Rule::kInvalidDefinitionDescription));
  EXPECT_FALSE(options->enabled.contains(Rule::kStageNameCasing));
  EXPECT_TRUE(parse_check_options("experimental=all")
                  ->enabled.contains(Rule::kInvalidDefinitionDescription));
}

constexpr char kTwoFaults[] = "FROM alpine as base\ncopy a /\nRUN true\n";

TEST(LintTest, ObeysTheDirectiveAtTheTop) {
  EXPECT_THAT(found(kTwoFaults), ElementsAre("FromAsCasing:1", "ConsistentInstructionCasing:2"));
  EXPECT_THAT(found(std::string("#check=skip=FromAsCasing\n") + kTwoFaults),
              ElementsAre("ConsistentInstructionCasing:3"));
  EXPECT_THAT(found(std::string("# check=skip=all\n") + kTwoFaults), IsEmpty());
}

TEST(LintTest, LetsTheBuildArgumentTakeTheDirectivesPlace) {
  const std::string text = std::string("# check=skip=all\n") + kTwoFaults;
  EXPECT_THAT(found(text, with_arg("BUILDKIT_DOCKERFILE_CHECK", "skip=FromAsCasing")),
              ElementsAre("ConsistentInstructionCasing:3"));
  const CheckResult failed = check(text, with_arg("BUILDKIT_DOCKERFILE_CHECK", "err=1"));
  ASSERT_TRUE(failed.error);
  EXPECT_EQ(failed.error->to_string(),
            "BUILDKIT_DOCKERFILE_CHECK: invalid check option \"err\" (did you mean error?)");
}

TEST(LintTest, PlacesWrongOptionsAtTheDirective) {
  const CheckResult result = check("# syntax=docker/dockerfile:1\n# check=foo=1\nFROM alpine\n");
  ASSERT_TRUE(result.error);
  EXPECT_EQ(result.error->to_string(),
            "Dockerfile:2: failed to parse check options: invalid check option \"foo\"");
}

TEST(LintTest, ObeysACommentAboveAnInstructionForThatOneOnly) {
  EXPECT_THAT(found("FROM alpine AS a\n# check=skip=JSONArgsRecommended\nCMD a\n"
                    "FROM alpine\nCMD b\n"),
              ElementsAre("JSONArgsRecommended:5"));
}

TEST(LintTest, ObeysACommentAboveAStageForAllOfIt) {
  EXPECT_THAT(found("# check=skip=JSONArgsRecommended,LegacyKeyValueFormat\nFROM alpine AS a\n"
                    "CMD a\nENV a b\n\nFROM alpine\nENV a b\n",
                    [](FrontendRequest& r) { r.dockerfile.insert(0, "# a remark\n"); }),
              ElementsAre("LegacyKeyValueFormat:8"));
}

TEST(LintTest, TakesCheckCommentsThatSayNothingForComments) {
  EXPECT_THAT(found("FROM alpine\n# check=it works\nCMD a\n"),
              ElementsAre("JSONArgsRecommended:3"));
  EXPECT_FALSE(check("FROM alpine\n# check=error=true\nCMD a\n").error);
}

TEST(LintTest, ChecksAllStagesAndABuildThoseItNeeds) {
  const std::string text = "FROM alpine AS a\nENV a b\nFROM alpine AS b\nENV c d\n";
  EXPECT_THAT(found(text), ElementsAre("LegacyKeyValueFormat:2", "LegacyKeyValueFormat:4"));
  EXPECT_THAT(found_by_build(text), ElementsAre("LegacyKeyValueFormat:4"));
  const auto to_a = [](FrontendRequest& request) { request.target = "a"; };
  EXPECT_THAT(found(text, to_a), ElementsAre("LegacyKeyValueFormat:2"));
  EXPECT_THAT(found_by_build(text, to_a), ElementsAre("LegacyKeyValueFormat:2"));
}

TEST(LintTest, ChecksTheTextOfStagesThatABuildDoesNotNeed) {
  EXPECT_THAT(found_by_build("FROM alpine as a\nMAINTAINER x\nFROM alpine\n"),
              ElementsAre("FromAsCasing:1", "MaintainerDeprecated:2"));
}

TEST(LintTest, TellsWhatItFoundBeforeAnError) {
  const std::string text = "FROM scratch AS Bad\nMAINTAINER me\nBADCMD\n";
  const CheckResult result = check(text);
  ASSERT_TRUE(result.error);
  EXPECT_THAT(result.error->message(), HasSubstr("unknown instruction: BADCMD"));
  EXPECT_THAT(found(text), ElementsAre("StageNameCasing:1", "MaintainerDeprecated:2"));
  EXPECT_THAT(found_by_build(text), ElementsAre("StageNameCasing:1", "MaintainerDeprecated:2"));
}

TEST(LintTest, TellsWhatItFoundWhenABaseImageIsMissing) {
  const CheckResult result = check("FROM nosuch as a\nENV a b\n");
  ASSERT_TRUE(result.error);
  EXPECT_EQ(result.error->code(), Code::kNotFound);
  EXPECT_EQ(result.findings.size(), 1U);
}

TEST(LintTest, FailsABuildThatWantsItAndNamesTheRules) {
  FakeImages images = usual_images();
  const auto failed = convert_text(std::string("# check=error=true\n") + kTwoFaults, images);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().to_string(),
            "Dockerfile:1: lint violation found for rules: ConsistentInstructionCasing, "
            "FromAsCasing");
  EXPECT_EQ(failed.error().code(), Code::kFailedPrecondition);
  EXPECT_TRUE(convert_text("# check=error=true\nFROM alpine\n", images));
  EXPECT_TRUE(convert_text(std::string("# check=skip=all;error=true\n") + kTwoFaults, images));
}

TEST(LintTest, DoesNotFailABuildForAdvice) {
  FakeImages images = usual_images();
  EXPECT_TRUE(convert_text("# check=error=true;skip=NoSuchRule\nFROM alpine\n", images,
                           with_arg("NOBODY", "1")));
}

TEST(LintTest, ReportsEachThingOnce) {
  EXPECT_THAT(found("FROM alpine\nENV A=$x$x B=$x\n"), ElementsAre("UndefinedVar:2"));
  // A stage that two others copy from is converted once, and one that is built on keeps its own.
  EXPECT_THAT(found("FROM alpine AS a\nENV a b\nFROM a AS b\nFROM a\nCOPY --from=b / /\n"),
              ElementsAre("LegacyKeyValueFormat:2"));
}

TEST(LintTest, DoesNotJudgeAnIgnoreFileWithExceptions) {
  const auto patterns = [](std::vector<std::string> list) {
    return [list](FrontendRequest& r) { r.context.exclude_patterns = list; };
  };
  const std::string text = "FROM alpine\nCOPY secret /\n";
  EXPECT_THAT(found(text, patterns({"secret"})), ElementsAre("CopyIgnoredFile:2"));
  EXPECT_THAT(found(text, patterns({"secret", "!secret/public"})), IsEmpty());
  EXPECT_THAT(found("FROM alpine\nCOPY . /\n", patterns({"*"})), IsEmpty());
}

TEST(LintReportTest, KeepsControlBytesFromTheTerminal) {
  const CheckResult result = check("FROM alpine\nENV A=$x \x1b[31m\n");
  EXPECT_EQ(check_text(result, "Dockerfile", "FROM alpine\nENV \x1b[31m\n").find('\x1b'),
            std::string::npos);
}

TEST(LintReportTest, CarriesTheBuildErrorInJson) {
  const std::string text = "FROM alpine\nBADCMD\n";
  const auto json = Json::parse(check_json(check(text), "Dockerfile", text));
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["buildError"]["message"].as_string(),
            "dockerfile parse error on line 2: unknown instruction: BADCMD");
  EXPECT_EQ((*json)["buildError"]["location"]["ranges"].elements()[0]["start"]["line"].as_int(), 2);
}

}  // namespace
}  // namespace kiln::lint
