// `kiln build --explain`: why a step ran.
#include <gmock/gmock.h>

#include "tests/e2e/kiln_runner.h"

namespace kiln::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ExplainTest : public KilnTest {
 protected:
  static constexpr const char* kDockerfile =
      "FROM base AS build\n"
      "ARG VERSION=1\n"
      "COPY src /src\n"
      "RUN cat /src/a > /out\n"
      "FROM base\n"
      "COPY --from=build /out /out\n";

  std::string files(const std::string& dockerfile, const std::string& a) {
    return context("c", {{"Dockerfile", dockerfile}, {"src/a", a}, {"src/b", "b"}});
  }
  static std::string with(std::string text, const std::string& old, const std::string& other) {
    return text.replace(text.find(old), old.size(), other);
  }
};

TEST_F(ExplainTest, TellsWhatChangedOfEachStepThatRuns) {
  EXPECT_THAT(build(files(kDockerfile, "1"), {"--explain"}),
              HasSubstr("not cached: no earlier result of this step is known here\n"));
  EXPECT_THAT(build(files(kDockerfile, "1"), {"--explain"}), Not(HasSubstr("not cached")));

  const std::string argument =
      build(files(kDockerfile, "1"), {"--explain", "--build-arg", "VERSION=2"});
  EXPECT_THAT(argument, HasSubstr("not cached: variable VERSION is \"2\", was \"1\"\n"));
  EXPECT_THAT(argument, HasSubstr("CACHED"));
  EXPECT_THAT(argument, Not(HasSubstr("builds on")));

  const std::string content = build(files(kDockerfile, "2"), {"--explain"});
  EXPECT_THAT(content, HasSubstr("not cached: files from the build context changed\n"));
  EXPECT_THAT(content, HasSubstr("not cached: changed: a\n"));
  EXPECT_THAT(content, HasSubstr("not cached: it builds on [build 2/3] COPY src /src, which was "
                                 "not cached either\n"));
  EXPECT_THAT(content, HasSubstr("not cached: changed: /out\n"));

  const std::string command =
      build(files(with(kDockerfile, "cat /src/a", "cat /src/b"), "2"), {"--explain"});
  EXPECT_THAT(command, HasSubstr("not cached: its command is \"cat /src/b > /out\", was \"cat "
                                 "/src/a > /out\"\n"));
  EXPECT_THAT(build(files(kDockerfile, "2"), {"--explain", "--no-cache-filter", "build"}),
              HasSubstr("not cached: it was asked to run anew"));
  EXPECT_THAT(build(files(kDockerfile, "3")), Not(HasSubstr("not cached")));
}

TEST_F(ExplainTest, TellsProgramsToo) {
  (void)build(files(kDockerfile, "1"));
  const Output json = kiln({"build", "--explain", "--progress=rawjson", files(kDockerfile, "2")});
  EXPECT_EQ(json.exit_code, 0) << json.err;
  EXPECT_THAT(json.err, HasSubstr(R"({"cacheMisses":[{"vertex":"sha256:)"));
  EXPECT_THAT(json.err, HasSubstr(R"("reasons":["changed: a"])"));
}

}  // namespace
}  // namespace kiln::e2e
