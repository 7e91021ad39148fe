#include "frontend/run_mount.h"

#include <gtest/gtest.h>

#include "frontend/go_value.h"

namespace kiln::dockerfile {
namespace {

// "$x" becomes "X": enough to see what is expanded.
Result<std::string> expand_x(std::string_view value) {
  std::string out(value);
  for (size_t at = out.find("$x"); at != std::string::npos; at = out.find("$x"))
    out.replace(at, 2, "X");
  return out;
}

RunMount mount(std::string_view csv) {
  const auto result = parse_mount(csv, expand_x);
  EXPECT_TRUE(result) << csv << ": " << (result ? "" : result.error().to_string());
  return result.value_or(RunMount());
}

TEST(RunMountTest, NamesWhatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"type=bnid", "unsupported mount type \"bnid\" (did you mean bind?)"},
      {"sharng=x", "unexpected key 'sharng' in 'sharng=x' (did you mean sharing?)"},
      {"type=cache,target=/a,sharing=shard",
       "unsupported sharing value \"shard\" (did you mean shared?)"},
      {"target", "invalid field 'target' must be a key=value pair"},
      {"from=$x", "'from' doesn't support variable expansion, define alias stage instead"},
      {"target=/a,mode=0700", "mode not allowed for \"bind\" type mounts"},
      {"target=/a,uid=1", "uid not allowed for \"bind\" type mounts"},
      {"type=tmpfs,target=/a,gid=1", "gid not allowed for \"tmpfs\" type mounts"},
      {"target=/a,size=1m", "unexpected key 'size' for mount type 'bind'"},
      {"type=tmpfs,target=/a,size=big", "invalid value for size: big"},
      {"target=/a,required", "unexpected key 'required' for mount type 'bind'"},
      {"type=cache,target=/a,required=true", "unexpected key 'required' for mount type 'cache'"},
      {"type=secret,id=a,required=maybe", "invalid value for required: maybe"},
      {"target=/a,ro=maybe", "invalid value for ro: maybe"},
      {"type=cache,target=/a,mode=8", "invalid value 8 for mode"},
      {"type=cache,target=/a,uid=-1", "invalid value -1 for uid"},
      {"type=cache,target=/a,gid=4294967296", "invalid value 4294967296 for gid"},
      {"type=bind,target=/a,sharing=locked", "invalid cache sharing set for bind mount"},
      {"type=secret", "invalid secret mount. one of source, target required"},
      {"type=secret,id=a,source=b", "both source and id can't be set"},
      {"type=secret,id=a,from=b", "secret mount should not have a from"},
      {"type=secret,id=a,sharing=shared", "secret mount should not define sharing"},
      {"type=ssh,source=a", "ssh mount should not have a source"},
      {"type=cache,target=/a,env=B", "env not allowed for \"cache\" type mounts"}};
  for (const auto& [csv, message] : cases) {
    const auto result = parse_mount(csv, expand_x);
    ASSERT_FALSE(result) << csv;
    EXPECT_EQ(result.error().to_string(), message) << csv;
    EXPECT_EQ(result.error().code(), Code::kInvalidArgument);
  }
}

TEST(RunMountTest, ChecksBeforeExpansionOnlyWhatExpansionCannotChange) {
  EXPECT_TRUE(check_mount("type=$t,target=$x,sharing=$y"));
  EXPECT_FALSE(check_mount("tpe=$t"));
  EXPECT_FALSE(check_mount("from=a$x"));
  EXPECT_TRUE(check_mount("from=a$"));
  EXPECT_FALSE(check_mount("\"target=/a"));
}

TEST(RunMountTest, ReadsABindMount) {
  const RunMount bind = mount("from=stage,source=$x/y,target=/t/$x");
  EXPECT_EQ(bind.type, llb::MountType::kBind);
  EXPECT_EQ(bind.from, "stage");
  EXPECT_EQ(bind.source, "X/y");
  EXPECT_EQ(bind.target, "/t/X");
  EXPECT_TRUE(bind.read_only);
}

TEST(RunMountTest, KnowsEverySpellingOfReadOnly) {
  const std::vector<std::pair<std::string, bool>> cases = {
      {"target=/a,rw", false},           {"target=/a,readwrite", false},
      {"target=/a,rw=false", true},      {"target=/a,ro=false", false},
      {"target=/a,readonly=1", true},    {"type=cache,target=/a", false},
      {"type=cache,target=/a,ro", true}, {"type=tmpfs,target=/a", false},
      {"TARGET=/a,RO=true", true}};
  for (const auto& [csv, read_only] : cases) EXPECT_EQ(mount(csv).read_only, read_only) << csv;
}

TEST(RunMountTest, ReadsACacheMount) {
  const RunMount cache =
      mount("type=cache,id=$x,dst=/a,sharing=LOCKED,from=b,src=/c,mode=0700,uid=1,gid=2");
  EXPECT_EQ(cache.type, llb::MountType::kCache);
  EXPECT_EQ(cache.id, "X");
  EXPECT_EQ(cache.target, "/a");
  EXPECT_EQ(cache.sharing, llb::CacheSharing::kLocked);
  EXPECT_TRUE(cache.sharing_given);
  EXPECT_EQ(cache.source, "/c");
  EXPECT_EQ(cache.mode, 0700U);
  EXPECT_EQ(cache.uid, 1U);
  EXPECT_EQ(cache.gid, 2U);
}

TEST(RunMountTest, ReadsATmpfsWithItsSize) {
  EXPECT_EQ(mount("type=tmpfs,destination=/a,size=2m").size_bytes, 2U << 20U);
}

TEST(RunMountTest, FillsInTheNamesOfASecret) {
  EXPECT_EQ(mount("type=secret,id=a").target, "/run/secrets/a");
  EXPECT_EQ(mount("type=secret,id=d/a").target, "/run/secrets/a");
  EXPECT_EQ(mount("type=secret,source=a").id, "a");
  EXPECT_EQ(mount("type=secret,target=/x/b").id, "b");
  const RunMount env = mount("type=secret,id=a,env=TOKEN,required");
  EXPECT_EQ(env.target, "");
  EXPECT_EQ(env.env, "TOKEN");
  EXPECT_TRUE(env.required);
  EXPECT_EQ(mount("type=secret,id=a,env=T,target=/t").target, "/t");
}

TEST(RunMountTest, ReadsAnSshMount) {
  const RunMount ssh = mount("type=ssh,required=true,mode=0666");
  EXPECT_EQ(ssh.id, "default");
  EXPECT_TRUE(ssh.required);
  EXPECT_EQ(ssh.mode, 0666U);
}

TEST(RunMountTest, PassesOnTheErrorsOfExpansion) {
  const auto result = parse_mount("target=/a", [](std::string_view) -> Result<std::string> {
    return fail(Code::kInvalidArgument, "no");
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().to_string(), "no");
}

TEST(GoValueTest, ReadsDurationsAsGoDoes) {
  const std::vector<std::pair<std::string, int64_t>> cases = {{"0", 0},
                                                              {"5s", 5'000'000'000},
                                                              {"1h2m3s", 3'723'000'000'000},
                                                              {"1.5h", 5'400'000'000'000},
                                                              {".5s", 500'000'000},
                                                              {"5.s", 5'000'000'000},
                                                              {"-2ms", -2'000'000},
                                                              {"+3us", 3'000},
                                                              {"7\xC2\xB5s", 7'000},
                                                              {"7\xCE\xBCs", 7'000},
                                                              {"9ns", 9},
                                                              {"-0", 0},
                                                              {"0s", 0}};
  for (const auto& [text, nanoseconds] : cases) {
    const auto duration = parse_duration(text);
    ASSERT_TRUE(duration) << text;
    EXPECT_EQ(duration->count(), nanoseconds) << text;
  }
}

TEST(GoValueTest, RefusesDurationsWithGosWords) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "time: invalid duration \"\""},
      {"-", "time: invalid duration \"-\""},
      {"x", "time: invalid duration \"x\""},
      {".s", "time: invalid duration \".s\""},
      {"5", "time: missing unit in duration \"5\""},
      {"1s5", "time: missing unit in duration \"1s5\""},
      {"5d", "time: unknown unit \"d\" in duration \"5d\""},
      {"9999999999h", "time: invalid duration \"9999999999h\""}};
  for (const auto& [text, message] : cases) {
    const auto duration = parse_duration(text);
    ASSERT_FALSE(duration) << text;
    EXPECT_EQ(duration.error().to_string(), message);
  }
}

}  // namespace
}  // namespace kiln::dockerfile
