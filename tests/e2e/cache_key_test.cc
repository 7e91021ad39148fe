// docs/cache-keys.md row by row: something is changed between two builds on one root, and what ran
// in the second one is counted.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/strings.h"
#include "tests/e2e/kiln_runner.h"

namespace kiln::e2e {
namespace {

using Files = std::map<std::string, std::string>;
using Words = std::vector<std::string>;

struct Row {
  std::string name;
  std::string before, after;      // the Dockerfile
  std::string ran;                // in the second build, by their texts; "": all was cached
  Files files = {};               // of the context
  std::string change = {};        // a shell command in the context, between the builds
  Words first = {}, second = {};  // arguments of the builds
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.name;
}

/// The same Dockerfile, so what differs is beside it.
Row beside(const std::string& name, const std::string& dockerfile, const std::string& ran) {
  return {name, dockerfile, dockerfile, ran};
}
Row with_arguments(const std::string& name, const std::string& dockerfile, Words first,
                   Words second, const std::string& ran) {
  Row row = beside(name, dockerfile, ran);
  row.first = std::move(first);
  row.second = std::move(second);
  return row;
}
Row with_change(const std::string& name, const std::string& dockerfile, Files files,
                const std::string& change, const std::string& ran) {
  Row row = beside(name, dockerfile, ran);
  row.files = std::move(files);
  row.change = change;
  return row;
}
Row with_files(Row row, Files files) {
  row.files = std::move(files);
  return row;
}

/// In order of their appearance, without the "[2/3]" of their stage.
std::string steps_that_ran(const std::string& progress) {
  std::map<std::string, std::string> names;
  std::string ran;
  for (const std::string& line : split(progress, '\n')) {
    if (!line.starts_with("#")) continue;
    const size_t space = line.find(' ');
    const std::string number = line.substr(0, space);
    const std::string rest = line.substr(space + 1);
    const size_t name = rest.find("] ");
    if (rest.starts_with("[") && !rest.starts_with("[internal]") && name != std::string::npos)
      names[number] = rest.substr(name + 2);
    if (!rest.starts_with("DONE ") || !names.contains(number)) continue;
    if (names[number].starts_with("FROM ")) continue;
    ran += (ran.empty() ? "" : "; ") + names[number];
  }
  return ran;
}

const std::string kRun = "FROM base\nRUN true\n";

std::vector<Row> run_rows() {
  return {
      {"RunOtherArguments", kRun, "FROM base\nRUN :\n", "RUN :"},
      {"RunOtherEnvironment", "FROM base\nENV A=1\nRUN true\n", "FROM base\nENV A=2\nRUN true\n",
       "RUN true"},
      {"RunEnvironmentInOtherOrder", "FROM base\nENV A=1\nENV B=1\nRUN true\n",
       "FROM base\nENV B=1\nENV A=1\nRUN true\n", "RUN true"},
      {"RunOtherDirectory", "FROM base\nWORKDIR /bin\nRUN true\n",
       "FROM base\nWORKDIR /etc\nRUN true\n", "WORKDIR /etc; RUN true"},
      {"RunOtherUser", "FROM base\nUSER app\nRUN true\n", "FROM base\nUSER 7\nRUN true\n",
       "RUN true"},
      {"RunOtherNetworkMode", kRun, "FROM base\nRUN --network=none true\n",
       "RUN --network=none true"},
      {"RunSameNetworkModeByName", kRun, "FROM base\nRUN --network=default true\n", ""},
      {"ConfigAfterRun", "FROM base\nRUN true\nLABEL a=1\nCMD a\nENV A=1\n",
       "FROM base\nRUN true\nLABEL a=2\nCMD b\nENTRYPOINT c\nEXPOSE 1\n", ""},
      {"ArgBeforeRun", "FROM base\nARG A=1\nRUN true\n", "FROM base\nARG A=2\nRUN true\n",
       "RUN true"},
      {"ArgAfterRun", "FROM base\nRUN true\nARG A=1\n", "FROM base\nRUN true\nARG A=2\n", ""},
      with_arguments("BuildArgOfDeclaredArg", "FROM base\nARG A\nRUN true\n",
                     {"--build-arg", "A=1"}, {"--build-arg", "A=2"}, "RUN true"),
      with_arguments("BuildArgOfNoArg", kRun, {"--build-arg", "A=1"}, {"--build-arg", "A=2"}, ""),
      with_arguments("Limits", kRun, {},
                     {"-m", "64m", "-c", "512", "--cpu-quota", "50000", "--cpu-period", "100000",
                      "--cpuset-cpus", "0", "--ulimit", "nofile=64:64", "--shm-size", "16m"},
                     ""),
      with_arguments("AddedHosts", kRun, {}, {"--add-host", "one.example:10.0.0.1"}, ""),
      with_arguments("Proxy", kRun, {}, {"--build-arg", "HTTP_PROXY=http://127.0.0.1:1"}, ""),
      with_arguments("Tags", kRun, {"-t", "one"}, {"-t", "two", "--label", "a=b"}, ""),
      with_arguments("NoCache", kRun, {}, {"--no-cache"}, "RUN true"),
  };
}

std::string mounted(const std::string& options) {
  return "FROM base\nRUN --mount=" + options + " true\n";
}

std::vector<Row> mount_rows() {
  const Files two = {{"a", "same"}, {"b", "same"}};
  const std::string bind = "type=bind,source=a,target=/m";
  return {
      {"MountOtherPlace", mounted("type=tmpfs,target=/m"), mounted("type=tmpfs,target=/n"),
       "RUN --mount=type=tmpfs,target=/n true"},
      {"MountOtherTmpfsSize", mounted("type=tmpfs,target=/m"),
       mounted("type=tmpfs,target=/m,size=1m"), "RUN --mount=type=tmpfs,target=/m,size=1m true"},
      {"MountOtherType", mounted("type=tmpfs,target=/m"), mounted("type=cache,target=/m"),
       "RUN --mount=type=cache,target=/m true"},
      {"CacheMountOtherIdAndSharing", mounted("type=cache,target=/m"),
       mounted("type=cache,target=/m,id=x,sharing=locked"), ""},
      {"CacheMountReadonly", mounted("type=cache,target=/m"),
       mounted("type=cache,target=/m,readonly"), "RUN --mount=type=cache,target=/m,readonly true"},
      with_change("BindMountOtherContent", mounted(bind), two, "echo other > a",
                  "RUN --mount=" + bind + " true"),
      with_change("BindMountOtherFileBeside", mounted(bind), two, "echo other > b", ""),
      with_change("BindMountOtherTime", mounted(bind), two, "touch -d @7 a", ""),
      with_files({"BindMountOtherNameSameContent", mounted(bind),
                  mounted("type=bind,source=b,target=/m"), ""},
                 two),
      with_arguments("SecretOtherValue", mounted("type=secret,id=s"), {"--secret", "id=s,env=ONE"},
                     {"--secret", "id=s,env=TWO"}, ""),
      {"SecretOtherPlace", mounted("type=secret,id=s"), mounted("type=secret,id=s,target=/s"),
       "RUN --mount=type=secret,id=s,target=/s true"},
      {"SecretOtherId", mounted("type=secret,id=s"), mounted("type=secret,id=t"),
       "RUN --mount=type=secret,id=t true"},
  };
}

std::vector<Row> copy_rows() {
  const Files two = {{"x/f", "same"}, {"y/f", "same"}, {"y/g", "same"}};
  const std::string copy = "FROM base\nCOPY x /d/\n";
  const auto copied = [](const std::string& what) { return "FROM base\nCOPY " + what + "\n"; };
  return {
      with_change("CopyOtherContent", copy, two, "echo other > x/f", "COPY x /d/"),
      with_change("CopyOtherMode", copy, two, "chmod 600 x/f", "COPY x /d/"),
      with_change("CopyOtherTime", copy, two, "touch -d @7 x/f x", ""),
      with_change("CopyOtherOwnerOnDisk", copy, two, "chown 7:7 x/f", ""),
      with_change("CopyOtherFileBeside", copy, two, "echo other > y/f", ""),
      with_change("CopyOneMoreFile", copy, two, "echo > x/more", "COPY x /d/"),
      with_change("CopyIgnoredFile", copy, {{"x/f", "a"}, {".dockerignore", "x/g\n"}},
                  "echo ignored > x/g", ""),
      with_change("CopyOtherIgnoreFileSameSelection", copy, two, "echo y > .dockerignore", ""),
      with_change("CopyWildcardOneMoreMatch", copied("y/* /d/"), two, "echo > y/h", "COPY y/* /d/"),
      with_files({"CopyOtherParentOfSource", copied("x/f /d/"), copied("y/f /d/"), ""}, two),
      with_files({"CopyOtherNameOfSource", copied("y/f /d/"), copied("y/g /d/"), "COPY y/g /d/"},
                 two),
      with_files({"CopyOtherDestination", copied("x /d/"), copied("x /e/"), "COPY x /e/"}, two),
      with_files(
          {"CopyOtherOwner", copied("x /d/"), copied("--chown=7 x /d/"), "COPY --chown=7 x /d/"},
          two),
      with_files({"CopyOtherModeAsked", copied("x /d/"), copied("--chmod=700 x /d/"),
                  "COPY --chmod=700 x /d/"},
                 two),
      with_files({"CopyOtherExclude", copied("x /d/"), copied("--exclude=z x /d/"),
                  "COPY --exclude=z x /d/"},
                 two),
      {"CopyOtherHeredoc", "FROM base\nCOPY <<E /h\none\nE\n", "FROM base\nCOPY <<E /h\ntwo\nE\n",
       "COPY <<E /h"},
      with_files({"CopyOwnerByNameOfOtherAccounts", "FROM base\nRUN true\nCOPY --chown=app x /d/\n",
                  "FROM base\nRUN sed -i s/1000/1007/ /etc/passwd\nCOPY --chown=app x /d/\n",
                  "RUN sed -i s/1000/1007/ /etc/passwd; COPY --chown=app x /d/"},
                 two),
      with_files({"CopyBelowAnotherTree", "FROM base\nRUN true\nCOPY x /d/\n",
                  "FROM base\nRUN echo > /new\nCOPY x /d/\n", "RUN echo > /new; COPY x /d/"},
                 two),
      with_files({"LinkedCopyBelowAnotherTree", "FROM base\nRUN true\nCOPY --link x /d/\n",
                  "FROM base\nRUN echo > /new\nCOPY --link x /d/\n",
                  "RUN echo > /new; LINK COPY --link x /d/"},
                 two),
  };
}

const std::string kTwoStages =
    "FROM base AS one\nARG A=1\nRUN echo same > /f\nFROM base\nCOPY --from=one /f /\nRUN cat /f\n";

std::vector<Row> graph_rows() {
  return {
      with_arguments("EqualContentEndsTheSpread", kTwoStages, {}, {"--build-arg", "A=2"},
                     "RUN echo same > /f"),
      with_arguments("NoCacheOfOneStageWithEqualContent", kTwoStages, {},
                     {"--no-cache-filter", "one"}, "RUN echo same > /f"),
      {"StageUnderAnotherName", "FROM base AS one\nRUN true\n", "FROM base AS two\nRUN true\n", ""},
      {"StageNotNeededBefore", "FROM base AS one\nRUN echo 1\nFROM base\nRUN true\n",
       "FROM base AS one\nRUN echo 1\nFROM base\nRUN true\nCOPY --from=one /bin/sh /x\n",
       "RUN echo 1; COPY --from=one /bin/sh /x"},
      {"SameStepInAnotherFile", "FROM base\nRUN echo a\nRUN echo b\n",
       "FROM base AS x\nRUN echo a\nFROM x\nRUN echo b\n", ""},
  };
}

class CacheKeyTest : public KilnTest, public ::testing::WithParamInterface<Row> {};

TEST_P(CacheKeyTest, WhatRanIsWhatTheTableSays) {
  const Row& row = GetParam();
  environment_.insert(environment_.end(), {"ONE=1", "TWO=2"});
  Files files = row.files;
  files["Dockerfile"] = row.before;
  const std::string directory = context("c", files);
  (void)build(directory, row.first);
  ASSERT_TRUE(write_file(directory + "/Dockerfile", row.after));
  const Output changed = command({"/bin/sh", "-euc", "cd \"$0\"\n" + row.change, directory});
  ASSERT_EQ(changed.exit_code, 0) << changed.err;
  const std::string progress = build(directory, row.second);
  EXPECT_EQ(steps_that_ran(progress), row.ran) << progress;
}

std::vector<Row> all_rows() {
  std::vector<Row> all;
  for (auto* rows : {run_rows, mount_rows, copy_rows, graph_rows})
    for (Row& row : rows()) all.push_back(std::move(row));
  return all;
}

INSTANTIATE_TEST_SUITE_P(Rows, CacheKeyTest, ::testing::ValuesIn(all_rows()),
                         [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace kiln::e2e
