// testdata/lint/<rule>: a Dockerfile in which the rule finds something, with what is said about it
// as text and JSON, and a clean one in which no rule finds anything. KILN_ACCEPT=1 rewrites what is
// expected.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "frontend/dockerignore.h"
#include "frontend/lint/report.h"
#include "tests/unit/frontend/convert_support.h"

namespace kiln::lint {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

fs::path folder_of(const RuleInfo& rule) {
  return fs::path(KILN_SOURCE_DIR) / "testdata/lint" / rule.name;
}

/// "build-args": NAME=VALUE lines. "dockerignore": the context's ignore file.
frontend::FrontendRequest request_for(const fs::path& folder, const std::string& file) {
  frontend::FrontendRequest request;
  request.dockerfile = read(folder / file);
  request.build_platform = Platform{"linux", "amd64", ""};
  request.context.exclude_patterns =
      dockerfile::read_ignore_patterns(read(folder / "dockerignore"));
  std::istringstream lines(read(folder / "build-args"));
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find('=');
    request.build_args.emplace_back(line.substr(0, equals), line.substr(equals + 1));
  }
  return request;
}

CheckResult check(const frontend::FrontendRequest& request) {
  frontend::FakeImages images = frontend::usual_images();
  images.add_config("docker.io/library/with-workdir:latest", R"({"WorkingDir":"/srv"})");
  images.add_config("docker.io/library/shelled:latest", R"({"Shell":["/bin/bash","-c"]})");
  images.add("docker.io/library/arm:latest",
             R"({"architecture":"arm64","os":"linux","config":{},"rootfs":{"type":"layers",)"
             R"("diff_ids":["sha256:)" +
                 std::string(64, 'a') + R"("]}})");
  return check_dockerfile(request, images, {});
}

/// Advice is no part of what --check prints, so it is added here.
std::string text_of(const CheckResult& result, const frontend::FrontendRequest& request) {
  std::string text = check_text(result, request.filename, request.dockerfile);
  for (const Finding& finding : result.advice) {
    text += "advice: " + std::string(info(finding.rule).name) + ": " + finding.message + " (line " +
            std::to_string(finding.where.first_line) + ")\n";
  }
  if (result.error) text += "error: " + result.error->to_string() + "\n";
  return text;
}

void expect_file(const fs::path& path, const std::string& actual) {
  if (std::getenv("KILN_ACCEPT") != nullptr) {
    std::ofstream(path, std::ios::binary) << actual;
    return;
  }
  EXPECT_EQ(actual, read(path));
}

class LintCaseTest : public testing::TestWithParam<RuleInfo> {};

TEST_P(LintCaseTest, FindsWhatItIsForAndNothingElse) {
  const fs::path folder = folder_of(GetParam());
  const frontend::FrontendRequest request = request_for(folder, "Dockerfile");
  const CheckResult result = check(request);
  std::vector<Finding> all = result.findings;
  all.insert(all.end(), result.advice.begin(), result.advice.end());
  EXPECT_TRUE(std::any_of(all.begin(), all.end(),
                          [](const Finding& finding) { return finding.rule == GetParam().rule; }));
  expect_file(folder / "expected.txt", text_of(result, request));
  expect_file(folder / "expected.json", check_json(result, request.filename, request.dockerfile));
}

TEST_P(LintCaseTest, LeavesACleanFileAlone) {
  frontend::FrontendRequest request = request_for(folder_of(GetParam()), "clean.Dockerfile");
  if (GetParam().rule != Rule::kUnusedBuildArg) request.build_args.clear();
  const CheckResult result = check(request);
  EXPECT_EQ(text_of(result, request), "Check complete, no warnings found.\n");
  EXPECT_TRUE(result.passed());
}

TEST_P(LintCaseTest, HasAPageAndIsInTheIndex) {
  const fs::path pages = fs::path(KILN_SOURCE_DIR) / "docs/rules";
  const std::string page = std::string(GetParam().page) + ".md";
  EXPECT_TRUE(read(pages / page).starts_with("# " + std::string(GetParam().name) + "\n")) << page;
  EXPECT_NE(read(pages / "README.md").find("[" + std::string(GetParam().name) + "](" + page + ")"),
            std::string::npos);
}

/// Any image there is, for linux/amd64.
class EveryImage : public frontend::ImageConfigResolver {
 public:
  Result<frontend::ResolvedImage> resolve(const std::string& reference, const Platform&,
                                          frontend::ResolveMode, std::stop_token) override {
    frontend::FakeImages images;
    images.add_config(reference, R"({"Env":["PATH=/bin"]})");
    return images.resolve(reference, {}, {}, {});
  }
};

/// The lines of the first code block below a heading.
std::string example(const std::string& page, const std::string& heading) {
  const std::string fence = "```dockerfile\n";
  const size_t start = page.find(fence, page.find("## " + heading + "\n")) + fence.size();
  std::string text = page.substr(start, page.find("```", start) - start);
  const bool complete =
      text.find("FROM ") != std::string::npos || text.find("# check=") != std::string::npos;
  return complete ? text + "\nFROM scratch\n" : "FROM alpine\n" + text;
}

bool finds(const std::string& dockerfile, Rule rule) {
  frontend::FrontendRequest request;
  request.dockerfile = dockerfile;
  request.build_platform = Platform{"linux", "amd64", ""};
  // What the examples about the world outside take for granted.
  request.platform =
      Platform{"linux", rule == Rule::kInvalidBaseImagePlatform ? "arm64" : "amd64", ""};
  if (dockerfile.find("VERSOIN") != std::string::npos) request.build_args = {{"VERSOIN", "2"}};
  const size_t ignored = dockerfile.find("holds: ");
  if (ignored != std::string::npos) {
    const size_t end = dockerfile.find('\n', ignored);
    request.context.exclude_patterns = {dockerfile.substr(ignored + 7, end - ignored - 7)};
  }
  if (rule == Rule::kInvalidDefinitionDescription) {
    request.build_args = {{"BUILDKIT_DOCKERFILE_CHECK", "experimental=all"}};
  }
  EveryImage images;
  const CheckResult result = check_dockerfile(request, images, {});
  std::vector<Finding> all = result.findings;
  all.insert(all.end(), result.advice.begin(), result.advice.end());
  return std::any_of(all.begin(), all.end(),
                     [rule](const Finding& finding) { return finding.rule == rule; });
}

TEST_P(LintCaseTest, HasAPageWhoseExamplesAreWhatTheySay) {
  const std::string page =
      read(fs::path(KILN_SOURCE_DIR) / "docs/rules" / (std::string(GetParam().page) + ".md"));
  EXPECT_TRUE(finds(example(page, "Bad"), GetParam().rule)) << example(page, "Bad");
  EXPECT_FALSE(finds(example(page, "Good"), GetParam().rule)) << example(page, "Good");
}

INSTANTIATE_TEST_SUITE_P(Rules, LintCaseTest,
                         testing::ValuesIn(all_rules().begin(), all_rules().end()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace kiln::lint
