#include "solver/executor/user.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::must;

constexpr const char* kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "# a comment\n"
    "broken:x:notanumber:0::/:/bin/sh\n"
    "huge:x:4294967296:0::/:/bin/sh\n"
    "app:x:1000:1001:App:/home/app:/bin/sh\n"
    "1234:x:77:78::/numeric:/bin/sh\n"
    "homeless:x:1002:1002::\n";
constexpr const char* kGroup =
    "root:x:0:root\n"
    "staff:x:50:app,other\n"
    "app:x:1001:\n"
    "wheel:x:10:other,app\n"
    "broken:x:junk:app\n"
    "rooty:x:99:root\n";

class UserTest : public ::testing::Test {
 protected:
  void SetUp() override {
    must(make_dirs(path("etc")));
    must(write_file(path("etc/passwd"), kPasswd));
    must(write_file(path("etc/group"), kGroup));
  }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  Result<User> resolve(std::string_view spec) const {
    const Root root = must(Root::open(directory_.path()));
    return resolve_user(root, spec);
  }
  TempDir directory_ = must(TempDir::create("/tmp", "kiln-user-"));
};

TEST_F(UserTest, NamesAndNumbersResolve) {
  struct Case {
    const char* spec;
    User expected;
  };
  const Case cases[] = {
      {"", {0, 0, {0, 99}, "/root"}},
      {"root", {0, 0, {0, 99}, "/root"}},
      {"0", {0, 0, {0, 99}, "/root"}},
      {"app", {1000, 1001, {10, 50, 1001}, "/home/app"}},
      {"1000", {1000, 1001, {10, 50, 1001}, "/home/app"}},
      {"app:staff", {1000, 50, {50}, "/home/app"}},
      {"app:50", {1000, 50, {50}, "/home/app"}},
      {"app:12345", {1000, 12345, {12345}, "/home/app"}},
      {"app:", {1000, 1001, {10, 50, 1001}, "/home/app"}},
      {"4321", {4321, 0, {0}, "/"}},
      {"4321:wheel", {4321, 10, {10}, "/"}},
      {"1234", {77, 78, {78}, "/numeric"}},
      {"homeless", {1002, 1002, {1002}, "/"}},
      {"2147483647", {2147483647, 0, {0}, "/"}},
      {":staff", {0, 50, {50}, "/root"}},
  };
  for (const Case& c : cases) {
    const auto user = resolve(c.spec);
    ASSERT_TRUE(user) << c.spec << ": " << user.error().to_string();
    EXPECT_EQ(user->uid, c.expected.uid) << c.spec;
    EXPECT_EQ(user->gid, c.expected.gid) << c.spec;
    EXPECT_EQ(user->additional_gids, c.expected.additional_gids) << c.spec;
    EXPECT_EQ(user->home, c.expected.home) << c.spec;
  }
}

TEST_F(UserTest, WhatIsNotClearlyAUserIsAnErrorAndNeverRoot) {
  for (const char* spec : {"-1",
                           "0x0",
                           "0x10",
                           "+0",
                           " 0",
                           "0 ",
                           "1e3",
                           "0.0",
                           "2147483648",
                           "4294967295",
                           "4294967296",
                           "18446744073709551616",
                           "99999999999999999999999",
                           "nobody",
                           "broken",
                           "huge",
                           "app:nogroup",
                           "app:-1",
                           "app:0x0",
                           "app:2147483648",
                           "app:broken",
                           "app:staff:x",
                           "0\n"}) {
    const auto user = resolve(spec);
    EXPECT_EQ(fake::code_of(user), "invalid_argument") << spec;
  }
}

TEST_F(UserTest, TheErrorNamesWhatWasLookedFor) {
  EXPECT_EQ(fake::message_of(resolve("nobody")),
            "unable to find user \"nobody\": no matching entries in the image's /etc/passwd");
  EXPECT_EQ(fake::message_of(resolve("4294967296")),
            "user 4294967296 is out of range: ids are 0 to 2147483647");
}

TEST_F(UserTest, TheErrorNamesAUserThatMayBeMeant) {
  must(write_file(path("etc/passwd"), "app:x:7:7::/app:/bin/sh\n"));
  EXPECT_EQ(fake::message_of(resolve("apq")),
            "unable to find user \"apq\": no matching entries in the image's /etc/passwd (did you "
            "mean app?)");
}

TEST_F(UserTest, AnImageWithoutTheFilesKnowsNumbersOnly) {
  must(remove_tree(path("etc")));
  EXPECT_EQ(must(resolve("")).uid, 0U);
  EXPECT_EQ(must(resolve("5:6")).gid, 6U);
  EXPECT_EQ(fake::code_of(resolve("root")), "invalid_argument");
}

TEST_F(UserTest, FilesAreFoundThroughTheImagesLinksAndNotTheMachines) {
  must(remove_tree(path("etc/passwd")));
  must(write_file(path("real"), "inside:x:7:7::/:\n"));
  ASSERT_EQ(::symlink("/real", path("etc/passwd").c_str()), 0);
  EXPECT_EQ(must(resolve("inside")).uid, 7U);
  must(remove_tree(path("etc/passwd")));
  ASSERT_EQ(::symlink("../../../../../../etc/passwd", path("etc/passwd").c_str()), 0);
  EXPECT_NE(fake::code_of(resolve("root")), "ok") << "a link to itself, not to the machine's file";
}

TEST_F(UserTest, AFifoIsNotRead) {
  must(remove_tree(path("etc/passwd")));
  ASSERT_EQ(::mkfifo(path("etc/passwd").c_str(), 0644), 0);
  EXPECT_EQ(fake::code_of(resolve("root")), "invalid_argument");
}

TEST_F(UserTest, AHugeFileIsRefused) {
  ASSERT_EQ(::truncate(path("etc/group").c_str(), (10 << 20) + 1), 0);
  EXPECT_EQ(fake::code_of(resolve("root")), "invalid_argument");
}

}  // namespace
}  // namespace kiln
