#include "solver/executor/uplink_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/strings.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::must;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class UplinkProgramTest : public ::testing::Test {
 protected:
  void install(const std::string& name) {
    const std::string file = directory_.path() + "/" + name;
    must(write_file(file, ""));
    ASSERT_EQ(::chmod(file.c_str(), 0755), 0);
  }
  UplinkProgram chosen(const Uplinks& uplinks, bool forward_dns = false) {
    return must(uplink_program(directory_.path(), uplinks, forward_dns, 7));
  }
  Error refused(const Uplinks& uplinks) {
    const auto program = uplink_program(directory_.path(), uplinks, false, 7);
    EXPECT_FALSE(program);
    return program.error();
  }
  TempDir directory_ = must(TempDir::create("/tmp", "kiln-uplink-"));
};

constexpr Uplinks kV4 = {.ipv4 = true, .ipv6 = false};
constexpr Uplinks kV6 = {.ipv4 = false, .ipv6 = true};

TEST_F(UplinkProgramTest, Slirp4netnsGoesFirst) {
  install("slirp4netns");
  install("pasta");
  const UplinkProgram program = chosen(kV4);
  EXPECT_EQ(program.path, directory_.path() + "/slirp4netns");
  EXPECT_THAT(program.argv, Contains("/proc/self/fd/7"));
  EXPECT_THAT(program.argv, Contains("--disable-host-loopback"));
}

TEST_F(UplinkProgramTest, PastaServesWhereThereIsIPv6AloneOrNothingElse) {
  install("pasta");
  EXPECT_THAT(chosen(kV4).argv, Contains("10.0.2.100"));
  install("slirp4netns");
  const UplinkProgram program = chosen(kV6);
  EXPECT_EQ(program.path, directory_.path() + "/pasta");
  EXPECT_THAT(program.argv, Contains("-6"));
  EXPECT_THAT(program.argv, Contains("--no-map-gw"));
}

TEST_F(UplinkProgramTest, DnsIsForwardedOnlyWhenTheMachinesResolverIsOutOfReach) {
  install("slirp4netns");
  EXPECT_THAT(chosen(kV4, false).argv, Contains("--disable-dns"));
  EXPECT_THAT(chosen(kV4, true).argv, Not(Contains("--disable-dns")));
  install("pasta");
  EXPECT_THAT(chosen(kV6, false).argv, Not(Contains("--dns-forward")));
  EXPECT_THAT(chosen(kV6, true).argv, Contains("--dns-forward"));
}

TEST_F(UplinkProgramTest, SaysWhatToInstall) {
  EXPECT_THAT(refused(kV4).message(), HasSubstr("neither slirp4netns nor pasta is installed"));
  EXPECT_THAT(refused(kV4).advice(), HasSubstr("the package slirp4netns"));
  install("slirp4netns");
  EXPECT_THAT(refused(kV6).message(), HasSubstr("pasta is not installed"));
  EXPECT_THAT(refused(kV6).advice(), HasSubstr("the package passt"));
}

}  // namespace
}  // namespace kiln
