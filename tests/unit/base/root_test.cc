// Root against the trees that broke other builders: links that leave, loop, dangle or are swapped.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "base/fs.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;

RelPath rel(std::string_view text) {
  return must(RelPath::rooted(text));
}

class RootTest : public testing::Test {
 protected:
  RootTest() {
    must(make_dirs(path("root/dir/sub")));
    must(write_file(path("root/dir/file"), "inside"));
    must(write_file(path("secret"), "outside"));
  }
  std::string path(const std::string& below) const { return temp_.path() + "/" + below; }
  void link(const std::string& target, const std::string& at) const {
    ASSERT_EQ(::symlink(target.c_str(), path("root/" + at).c_str()), 0);
  }
  Root root() const { return must(Root::open(path("root"))); }

 private:
  TempDir temp_ = must(TempDir::create(testing::TempDir(), "kiln-root-"));
};

TEST_F(RootTest, AbsoluteLinksResolveInside) {
  link("/dir", "abs");
  EXPECT_EQ(must(root().read_file(rel("abs/file"), 100)), "inside");
  EXPECT_EQ(must(root().resolve(rel("abs/file"), FollowLast::kYes)).str(), "dir/file");
}

TEST_F(RootTest, NothingReachesOutside) {
  link("../secret", "up");
  link("../../../../../../etc/passwd", "far");
  link(path("secret"), "absolute");
  for (const char* name : {"up", "far", "absolute"}) {
    EXPECT_EQ(code_of(root().read_file(rel(name), 1U << 20U)), "not_found") << name;
    EXPECT_FALSE(must(root().stat(rel(name), FollowLast::kYes)).has_value()) << name;
  }
  EXPECT_EQ(must(root().resolve(rel("up"), FollowLast::kYes)).str(), "secret");
}

TEST_F(RootTest, CreatingThroughALinkStaysInside) {
  link("/made", "hole");
  const Fd fd = must(root().open(rel("hole"), O_CREAT | O_WRONLY, 0600));
  EXPECT_TRUE(must(exists(path("root/made"))));
}

TEST_F(RootTest, MagicLinksAreRefused) {
  const Root proc = must(Root::open("/proc"));
  EXPECT_EQ(code_of(proc.open(rel("self/root/etc"), O_PATH)), "invalid_argument");
}

TEST_F(RootTest, StatTellsLinksFromTargets) {
  link("dir/file", "soft");
  EXPECT_TRUE(S_ISLNK(must(root().stat(rel("soft"), FollowLast::kNo))->st_mode));
  EXPECT_TRUE(S_ISREG(must(root().stat(rel("soft"), FollowLast::kYes))->st_mode));
  EXPECT_TRUE(S_ISDIR(must(root().stat(RelPath(), FollowLast::kNo))->st_mode));
  EXPECT_FALSE(must(root().stat(rel("none"), FollowLast::kNo)).has_value());
  EXPECT_FALSE(must(root().stat(rel("dir/file/below"), FollowLast::kNo)).has_value());
}

TEST_F(RootTest, ReadLinkWantsALink) {
  link("any/../text", "soft");
  EXPECT_EQ(must(root().read_link(rel("soft"))), "any/../text");
  EXPECT_EQ(code_of(root().read_link(rel("dir/file"))), "invalid_argument");
  EXPECT_EQ(code_of(root().read_link(rel("none"))), "not_found");
}

TEST_F(RootTest, ResolveFollowsChainsAndKeepsWhatIsAbsent) {
  link("b", "a");
  link("/dir/./sub/..", "b");
  link("../../dir", "dir/up");
  EXPECT_EQ(must(root().resolve(rel("a/file"), FollowLast::kNo)).str(), "dir/file");
  EXPECT_EQ(must(root().resolve(rel("a"), FollowLast::kNo)).str(), "a");
  EXPECT_EQ(must(root().resolve(rel("a"), FollowLast::kYes)).str(), "dir");
  EXPECT_EQ(must(root().resolve(rel("a/up/new/deep"), FollowLast::kYes)).str(), "dir/new/deep");
  EXPECT_EQ(must(root().resolve(RelPath(), FollowLast::kYes)).str(), "");
}

TEST_F(RootTest, LinkLoopsAreAnError) {
  link("y", "x");
  link("x", "y");
  EXPECT_EQ(code_of(root().resolve(rel("x"), FollowLast::kYes)), "invalid_argument");
  EXPECT_EQ(code_of(root().open(rel("x"), O_RDONLY)), "invalid_argument");
}

TEST_F(RootTest, OnlyRegularFilesAreRead) {
  ASSERT_EQ(::mkfifo(path("root/fifo").c_str(), 0600), 0);
  EXPECT_EQ(code_of(root().read_file(rel("fifo"), 100)), "invalid_argument") << "and did not block";
  EXPECT_EQ(code_of(root().read_file(rel("dir"), 100)), "invalid_argument");
  EXPECT_EQ(code_of(root().read_file(rel("dir/file"), 5)), "resource_exhausted");
  EXPECT_EQ(must(root().read_file(rel("dir/file"), 6)), "inside");
}

TEST_F(RootTest, ParentAndSubRootAreBoundToo) {
  link("/dir", "abs");
  const Fd parent = must(root().open_parent(rel("abs/new")));
  struct stat st {};
  ASSERT_EQ(::fstatat(parent.get(), "file", &st, 0), 0);
  const Root below = must(root().sub_root(rel("dir")));
  ASSERT_EQ(::symlink("/file", path("root/dir/abs_below").c_str()), 0);
  EXPECT_EQ(must(below.read_file(rel("abs_below"), 100)), "inside");
  EXPECT_EQ(code_of(root().sub_root(rel("dir/file"))), "not_found");
}

TEST_F(RootTest, ARaceWithRenamesNeverReadsOutside) {
  must(make_dirs(path("root/real")));
  must(write_file(path("root/real/f"), "inside"));
  must(make_dirs(path("out")));
  must(write_file(path("out/f"), "outside"));
  ASSERT_EQ(::symlink(path("out").c_str(), path("root/other").c_str()), 0);
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    while (!stop)
      (void)::renameat2(AT_FDCWD, path("root/real").c_str(), AT_FDCWD, path("root/other").c_str(),
                        RENAME_EXCHANGE);
  });
  const Root bound = root();
  for (int i = 0; i < 2000; ++i) {
    const auto text = bound.read_file(rel("real/f"), 100);
    if (text) {
      EXPECT_EQ(*text, "inside");
    }
  }
  stop = true;
  swapper.join();
}

}  // namespace
}  // namespace kiln
