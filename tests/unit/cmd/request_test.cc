// Values of `kiln build` options, as the frontend and RUN get them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmd/build_inputs.h"
#include "cmd/cache_options.h"
#include "cmd/run_inputs.h"

namespace kiln::cmd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

Result<frontend::FrontendRequest> request(const BuildOptions& options,
                                          const Environment& environment = {}) {
  return make_request(options, BuildInputs(), environment);
}

TEST(RequestTest, BuildArgsComeFromTheOptionsAndTheEnvironment) {
  BuildOptions options;
  options.build_args = {"A=1", "B", "C", "D=", "E=x=y"};
  const auto made = request(options, {{"B", "from env"}, {"SOURCE_DATE_EPOCH", "7"}});
  ASSERT_TRUE(made);
  EXPECT_THAT(made->build_args,
              ElementsAre(Pair("SOURCE_DATE_EPOCH", "7"), Pair("A", "1"), Pair("B", "from env"),
                          Pair("D", ""), Pair("E", "x=y")));
}

TEST(RequestTest, HostsTakeAColonOrAnEqualsSign) {
  BuildOptions options;
  options.add_hosts = {"h:1.2.3.4", "v6=::1", "b=[fe80::1]", "g:host-gateway"};
  const auto made = request(options);
  ASSERT_TRUE(made);
  ASSERT_EQ(made->extra_hosts.size(), 4U);
  EXPECT_EQ(made->extra_hosts[0].host + " " + made->extra_hosts[0].ip, "h 1.2.3.4");
  EXPECT_EQ(made->extra_hosts[1].ip, "::1");
  EXPECT_EQ(made->extra_hosts[2].ip, "fe80::1");
  EXPECT_EQ(made->extra_hosts[3].ip, "host-gateway");
}

TEST(RequestTest, AUlimitWithoutAHardLimitHasItsSoftOne) {
  BuildOptions options;
  options.ulimits = {"nofile=10:20", "nproc=5", "core=-1"};
  const auto made = request(options);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->ulimits[0].hard, 20);
  EXPECT_EQ(made->ulimits[1].hard, 5);
  EXPECT_EQ(made->ulimits[2].soft, -1);
}

TEST(RequestTest, SizesHaveUnits) {
  BuildOptions options;
  options.resources.memory = "64m";
  options.resources.memory_swap = "-1";
  options.resources.shm_size = "1g";
  const auto made = request(options);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->resources.memory_bytes, 64 << 20);
  EXPECT_EQ(made->resources.memory_swap_bytes, -1);
  EXPECT_EQ(made->resources.shm_bytes, 1U << 30U);
}

TEST(RequestTest, PlatformsAreNormalisedAndEachIsBuiltOnce) {
  BuildOptions options;
  options.platforms = {"linux/aarch64",  "x86_64",      "",
                       "linux/arm64/v8", "linux/armhf", "linux/i386"};
  const auto platforms = requested_platforms(options);
  ASSERT_TRUE(platforms);
  std::vector<std::string> names;
  for (const Platform& platform : *platforms) names.push_back(platform.to_string());
  EXPECT_THAT(names, ElementsAre("linux/arm64", "linux/amd64", "linux/arm/v7", "linux/386"));
  EXPECT_EQ(request(options)->platform->to_string(), "linux/arm64");
  EXPECT_TRUE(request(options)->multi_platform);
}

TEST(RequestTest, OnePlatformIsAnIndexOnlyWhereThatIsAskedFor) {
  BuildOptions options;
  options.platforms = {"linux/amd64"};
  EXPECT_FALSE(builds_index(options).value());
  options.build_args = {"BUILDKIT_MULTI_PLATFORM=true"};
  EXPECT_TRUE(builds_index(options).value());
}

struct BadValue {
  const char* name;
  void (*set)(BuildOptions&);
  const char* message;
};
class BadValueTest : public testing::TestWithParam<BadValue> {};
void PrintTo(const BadValue& value, std::ostream* out) {
  *out << value.name;
}

TEST_P(BadValueTest, IsRefusedWithWhatWasExpected) {
  BuildOptions options;
  GetParam().set(options);
  const auto made = request(options);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Values, BadValueTest,
    testing::Values(
        BadValue{"build-arg", [](BuildOptions& o) { o.build_args = {"=x"}; }, "NAME=VALUE"},
        BadValue{"label", [](BuildOptions& o) { o.labels = {"=x"}; }, "NAME=VALUE"},
        BadValue{"network", [](BuildOptions& o) { o.network = "hots"; }, "(did you mean host?)"},
        BadValue{"host", [](BuildOptions& o) { o.add_hosts = {"h"}; }, "HOST:IP"},
        BadValue{"host without ip", [](BuildOptions& o) { o.add_hosts = {"h:"}; }, "HOST:IP"},
        BadValue{"ulimit", [](BuildOptions& o) { o.ulimits = {"nofile"}; }, "NAME=SOFT[:HARD]"},
        BadValue{"ulimit order", [](BuildOptions& o) { o.ulimits = {"nofile=2:1"}; },
                 "above the hard limit"},
        BadValue{"ulimit number", [](BuildOptions& o) { o.ulimits = {"nofile=x"}; },
                 "NAME=SOFT[:HARD]"},
        BadValue{"memory", [](BuildOptions& o) { o.resources.memory = "1x"; }, "--memory \"1x\""},
        BadValue{"little memory", [](BuildOptions& o) { o.resources.memory = "1m"; },
                 "minimum memory limit"},
        BadValue{"swap below memory",
                 [](BuildOptions& o) {
                   o.resources.memory = "2g";
                   o.resources.memory_swap = "1g";
                 },
                 "cannot be below"},
        BadValue{"platform", [](BuildOptions& o) { o.platforms = {"a/b/c/d/e"}; }, "--platform"},
        BadValue{"no index for several",
                 [](BuildOptions& o) {
                   o.platforms = {"linux/amd64", "linux/arm64"};
                   o.build_args = {"BUILDKIT_MULTI_PLATFORM=0"};
                 },
                 "BUILDKIT_MULTI_PLATFORM"},
        BadValue{"index or not",
                 [](BuildOptions& o) { o.build_args = {"BUILDKIT_MULTI_PLATFORM=x"}; },
                 "expected true or false"}),
    [](const auto& row) {
      std::string name = row.param.name;
      for (char& c : name)
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
      return name;
    });

TEST(CacheOptionsTest, SeveralNamesAreAsManyCachesAndBuildKitsFormIsTaken) {
  const std::vector<std::string> from{"a/b,c/d:1", "type=local,src=x"};
  const auto places = parse_cache_from(from);
  ASSERT_TRUE(places) << places.error().to_string();
  std::vector<std::string> where;
  for (const CachePlace& place : *places) where.push_back(place.where);
  EXPECT_EQ(where, (std::vector<std::string>{"a/b", "c/d:1", "x"}));
  const std::vector<std::string> to{
      "type=registry,ref=a,mode=max,image-manifest=true,oci-mediatypes=true"};
  EXPECT_TRUE(parse_cache_to(to)) << parse_cache_to(to).error().to_string();
  const std::vector<std::string> other{"type=registry,ref=a,image-manifest=false"};
  EXPECT_NE(parse_cache_to(other).error().message().find("entries are OCI manifests"),
            std::string::npos);
}

TEST(SecretTest, ComesFromAFileOrAVariable) {
  const TempDir directory = TempDir::create("/tmp", "secret-").value();
  const std::string file = directory.path() + "/s";
  ASSERT_TRUE(write_file(file, "in file"));
  BuildOptions options;
  options.secrets = {"id=a,src=" + file,    "id=b,source=" + file,       "id=c,env=V", "id=V",
                     "id=d,type=env,src=V", "type=file,id=e,src=" + file};
  const auto inputs = read_run_inputs(options, {{"V", "in env"}});
  ASSERT_TRUE(inputs) << inputs.error().to_string();
  for (const char* id : {"a", "b", "e"})
    EXPECT_EQ(inputs->secrets.at(id)().value(), "in file") << id;
  for (const char* id : {"c", "V", "d"})
    EXPECT_EQ(inputs->secrets.at(id)().value(), "in env") << id;
}

TEST(SecretTest, WhatIsWrongIsSaidWithoutTheSecret) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"src=f", "needs id="},
      {"id=a,scr=f", "unknown key \"scr\" (did you mean src?)"},
      {"id=a,f", "\"f\" is not KEY=VALUE"},
      {"id=a,type=x", "type is file or env"},
      {"id=a,src=/nonexistent", "no file \"/nonexistent\""},
      {"id=a,env=NONE", "the environment has no \"NONE\""}};
  for (const auto& [text, message] : cases) {
    BuildOptions options;
    options.secrets = {text};
    const auto inputs = read_run_inputs(options, {});
    ASSERT_FALSE(inputs) << text;
    EXPECT_THAT(inputs.error().message(), HasSubstr(message));
  }
}

TEST(SshTest, TakesASocketOrTheAgentOfTheEnvironment) {
  BuildOptions options;
  options.ssh = {"default", "other=/sock"};
  const auto inputs = read_run_inputs(options, {{"SSH_AUTH_SOCK", "/agent"}});
  ASSERT_TRUE(inputs);
  EXPECT_EQ(inputs->ssh_sockets.at("default"), "/agent");
  EXPECT_EQ(inputs->ssh_sockets.at("other"), "/sock");
  EXPECT_THAT(read_run_inputs(options, {}).error().message(), HasSubstr("there is no agent"));
}

}  // namespace
}  // namespace kiln::cmd
