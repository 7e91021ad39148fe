#include "cache/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln {
namespace {

using ::testing::ElementsAre;

using Fields = std::vector<std::pair<std::string, std::string>>;

InputKey by_key(const std::string& of) {
  return {InputKey::Kind::kDefinition, Digest::of(of), ""};
}
InputKey by_content(const std::string& of, const std::string& selector = "") {
  return {InputKey::Kind::kContent, Digest::of(of), selector};
}
KeyRecord record_of(const std::string& name, Fields fields, std::vector<InputKey> inputs = {}) {
  return {{std::move(fields)}, 0, std::move(inputs), name};
}

// Of a RUN: what comes after "kind" in its key.
KeyRecord run_of(Fields fields, std::vector<InputKey> inputs = {by_key("base")}) {
  fields.insert(fields.begin(), {"kind", "exec"});
  return record_of("[build 2/4] RUN make", std::move(fields), std::move(inputs));
}

std::string nobody(const Digest& /*key*/) {
  return {};
}

TEST(ExplainTest, EachFieldIsToldInItsOwnWords) {
  struct Row {
    Fields now, before;
    std::vector<std::string> reasons;
  };
  const Fields shell = {{"arg", "/bin/sh"}, {"arg", "-c"}, {"arg", "make"}};
  const Row rows[] = {
      {shell, shell, {}},
      {{{"arg", "/bin/sh"}, {"arg", "-c"}, {"arg", "make all"}},
       shell,
       {R"(its command is "make all", was "make")"}},
      {{{"arg", "/bin/bash"}, {"arg", "-c"}, {"arg", "make"}},
       shell,
       {R"(its command is "/bin/bash -c make", was "/bin/sh -c make")"}},
      {{{"env", "A=1"}, {"env", "B=x=y"}},
       {{"env", "A=2"}, {"env", "C"}},
       {R"(variable A is "1", was "2")", R"(variable B is new: "x=y")",
        R"(variable C is gone, was "")"}},
      {{{"env", "A=1"}, {"env", "B=1"}},
       {{"env", "B=1"}, {"env", "A=1"}},
       {"its variables are in another order"}},
      {{{"env_digest", "1"}},
       {{"env_digest", "2"}},
       {"a credential in its command or variables is another one"}},
      {{{"cwd", "/src"}}, {{"cwd", "/"}}, {R"(its working directory is "/src", was "/")"}},
      {{{"user", "app"}}, {}, {R"(user is new: "app")"}},
      {{}, {{"user", "app"}}, {R"(user is gone, was "app")"}},
      {{{"mount", "/m"}, {"type", "cache"}},
       {{"mount", "/m"}, {"type", "tmpfs"}},
       {R"(mount /m: type is "cache", was "tmpfs")"}},
      {{{"mount", "/m"}, {"mount", "/n"}}, {{"mount", "/m"}}, {R"(mount is "/m", "/n", was "/m")"}},
      {{{"data", "1"}}, {{"data", "2"}}, {"the text that it writes is another one"}},
      {{{"env", "A=" + std::string(100, 'x') + "1"}},
       {{"env", "A=" + std::string(100, 'x') + "2é"}},
       {"variable A is \"…" + std::string(20, 'x') + "1\", was \"…" + std::string(20, 'x') +
        "2é\""}},
      {{{"env", "A=" + std::string(79, 'x') + "é"}},
       {},
       {"variable A is new: \"" + std::string(79, 'x') + "…\""}},
      {{{"platform", std::string(100, 'p')}},
       {{"platform", "a\nb"}},
       {"platform is \"" + std::string(80, 'p') + "…\", was \"a\\nb\""}},
  };
  for (const Row& row : rows)
    EXPECT_EQ(differences(run_of(row.now), run_of(row.before), {}, nobody), row.reasons);
}

TEST(ExplainTest, AnInputIsToldByWhatBecameOfIt) {
  struct Row {
    InputKey now, before;
    ExplainedInput input;
    std::string was;
    std::string reason;
  };
  const Row rows[] = {
      {by_key("1"),
       by_key("2"),
       {"[1/2] RUN a", true},
       "[1/2] RUN b",
       "it builds on [1/2] RUN a, which was not cached either"},
      {by_key("1"),
       by_key("2"),
       {"[1/2] RUN a", false},
       "[1/2] RUN b",
       "it builds on [1/2] RUN a, before on [1/2] RUN b"},
      {by_key("1"),
       by_key("2"),
       {"[1/2] RUN a", false},
       "[1/2] RUN a",
       "it builds on another result of [1/2] RUN a"},
      {by_key("1"),
       by_key("2"),
       {"[1/2] FROM x@2", true},
       "[1/2] FROM x@1",
       "it builds on [1/2] FROM x@2, before on [1/2] FROM x@1"},
      {by_content("1"),
       by_content("2"),
       {"[internal] load build context", true},
       "",
       "files from the build context changed"},
      {by_content("1", "/src"),
       by_content("2", "/src"),
       {"[build 3/3] RUN make", true},
       "",
       "files from [build 3/3] RUN make (/src) changed"},
  };
  for (const Row& row : rows) {
    const auto name_of = [&](const Digest& key) {
      return key == row.before.digest ? row.was : std::string();
    };
    EXPECT_THAT(
        differences(run_of({}, {row.now}), run_of({}, {row.before}), {{row.input}}, name_of),
        ElementsAre(row.reason));
  }
}

TEST(ExplainTest, MoreAndFewerInputsAreTold) {
  const ExplainedInput inputs[] = {{"[1/2] FROM x", false}, {"tools", false}};
  const KeyRecord two = run_of({}, {by_key("base"), by_content("tools")});
  const KeyRecord one = run_of({}, {by_key("base")});
  EXPECT_THAT(differences(two, one, inputs, nobody), ElementsAre("it takes from tools, too"));
  EXPECT_THAT(differences(one, two, inputs, nobody), ElementsAre("it took from another step, too"));
}

TEST(ExplainTest, TheNearestOfTheSameStepIsTaken) {
  const KeyRecord now = run_of({{"env", "A=1"}, {"cwd", "/"}});
  const KeyRecord far = run_of({{"env", "A=2"}, {"cwd", "/src"}});
  const KeyRecord near = run_of({{"env", "A=2"}, {"cwd", "/"}});
  const KeyRecord before[] = {far, near, near};
  EXPECT_EQ(nearest_record(now, before), &before[1]);
}

TEST(ExplainTest, AStepIsTheSameByItsNameItsInstructionOrItsPlaceOnTheSame) {
  const auto is_same = [](const KeyRecord& now, const KeyRecord& before) {
    return nearest_record(now, {&before, 1}) != nullptr;
  };
  const auto step = [](const std::string& name, const std::string& base) {
    return record_of(name, {{"kind", "exec"}}, {by_key(base)});
  };
  const KeyRecord make = step("[2/4] RUN make", "a");
  EXPECT_TRUE(is_same(make, step("[2/4] RUN make", "b")));
  EXPECT_TRUE(is_same(make, step("[7/9] RUN make", "b")));
  EXPECT_TRUE(is_same(make, step("[2/9] RUN make all", "a")));
  EXPECT_FALSE(is_same(make, step("[2/9] RUN make all", "b")));
  EXPECT_FALSE(is_same(make, step("[3/4] RUN make all", "a")));
  EXPECT_FALSE(is_same(make, record_of("[2/4] RUN make", {{"kind", "file"}}, {by_key("a")})));
  EXPECT_TRUE(is_same(record_of("[1/4] FROM x@2", {{"kind", "image"}}),
                      record_of("[1/2] FROM x@1", {{"kind", "image"}})));
}

TEST(ExplainTest, AStepNameHasAPlaceAndAnInstruction) {
  const auto parts = [](std::string_view name) {
    const StepName split = split_step_name(name);
    return std::string(split.place) + "|" + std::string(split.instruction);
  };
  EXPECT_EQ(parts("[build 2/4] RUN make [x/y] z"), "[build 2/|RUN make [x/y] z");
  EXPECT_EQ(parts("[linux/arm64 build 2/4] RUN a"), "[linux/arm64 build 2/|RUN a");
  EXPECT_EQ(parts("[internal] load build context"), "|[internal] load build context");
  EXPECT_EQ(parts("RUN a"), "|RUN a");
}

}  // namespace
}  // namespace kiln
