#include "base/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/io.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;

class FsTest : public testing::Test {
 protected:
  explicit FsTest(const std::string& parent = testing::TempDir())
      : temp_(must(TempDir::create(parent, "kiln-fs-"))) {}
  std::string path(const std::string& below) const { return temp_.path() + "/" + below; }
  Fd open(const std::string& below, int flags) const {
    Fd fd(::open(path(below).c_str(), flags | O_CLOEXEC, 0644));
    EXPECT_TRUE(fd.valid());
    return fd;
  }
  std::vector<std::string> names(const std::string& below = ".") const {
    const Fd dir = open(below, O_RDONLY | O_DIRECTORY);
    std::vector<std::string> out;
    for (const DirEntry& entry : must(list_dir(dir.get()))) out.push_back(entry.name);
    return out;
  }

 private:
  TempDir temp_;
};

// For thousands of files: in memory where there is such a place, since a disk may take seconds.
class BulkFsTest : public FsTest {
 protected:
  BulkFsTest() : FsTest(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : testing::TempDir()) {}
};

TEST_F(FsTest, ListDirIsSortedBytewiseAndTyped) {
  for (const char* name : {"b", "a", "B", "\xff", "a b"}) must(write_file(path(name), ""));
  must(make_dirs(path("dir")));
  const Fd dir = open(".", O_RDONLY | O_DIRECTORY);
  const auto first = must(list_dir(dir.get()));
  const auto second = must(list_dir(dir.get()));
  ASSERT_EQ(first.size(), 6U);
  EXPECT_EQ(second.size(), 6U) << "the caller's offset is untouched";
  EXPECT_EQ(names(), (std::vector<std::string>{"B", "a", "a b", "b", "dir", "\xff"}));
  EXPECT_EQ(first[4].type, DT_DIR);
  EXPECT_EQ(first[0].type, DT_REG);
}

TEST_F(BulkFsTest, ListDirReadsDirectoriesLargerThanOneBuffer) {
  for (int i = 0; i < 3000; ++i)
    must(write_file(path("file-with-a-long-name-" + std::to_string(i)), ""));
  EXPECT_EQ(names().size(), 3000U);
}

TEST_F(FsTest, FilesReadBackWithinTheirLimit) {
  must(write_file(path("f"), "hello"));
  EXPECT_EQ(must(read_file(path("f"), 5)), "hello");
  EXPECT_EQ(code_of(read_file(path("f"), 4)), "resource_exhausted");
  EXPECT_EQ(code_of(read_file(path("none"), 4)), "not_found");
  EXPECT_FALSE(must(read_file("/proc/self/status", 1U << 20U)).empty()) << "size 0 but not empty";
}

TEST_F(FsTest, MakeDirsIsIdempotentAndRefusesFiles) {
  must(make_dirs(path("a/b//c/")));
  must(make_dirs(path("a/b/c")));
  must(write_file(path("a/file"), ""));
  EXPECT_EQ(code_of(make_dirs(path("a/file"))), "already_exists");
  EXPECT_EQ(code_of(make_dirs(path("a/file/x"))), "already_exists");
}

TEST_F(FsTest, ExistsSeesDanglingLinks) {
  ASSERT_EQ(::symlink("nowhere", path("l").c_str()), 0);
  EXPECT_TRUE(must(exists(path("l"))));
  EXPECT_FALSE(must(exists(path("l/x"))));
}

TEST_F(FsTest, CopyFileDataKeepsHolesAndStartsAtTheOffset) {
  constexpr off_t kSize = off_t{8} << 20U;
  {
    const Fd sparse = open("sparse", O_RDWR | O_CREAT);
    ASSERT_EQ(::pwrite(sparse.get(), "head", 4, 0), 4);
    ASSERT_EQ(::pwrite(sparse.get(), "middle", 6, 4U << 20U), 6);
    ASSERT_EQ(::ftruncate(sparse.get(), kSize), 0);
  }
  const Fd from = open("sparse", O_RDONLY);
  const Fd to = open("copy", O_RDWR | O_CREAT);
  EXPECT_EQ(must(copy_file_data(from.get(), to.get())), static_cast<uint64_t>(kSize));
  struct stat st {};
  ASSERT_EQ(::fstat(to.get(), &st), 0);
  EXPECT_EQ(st.st_size, kSize);
  EXPECT_LT(st.st_blocks * 512, kSize / 4);
  EXPECT_EQ(must(read_file(path("copy"), 1U << 30U)), must(read_file(path("sparse"), 1U << 30U)));
  EXPECT_EQ(must(copy_file_data(from.get(), to.get())), 0U) << "nothing is left";

  const Fd tail = open("tail", O_RDWR | O_CREAT);
  ASSERT_EQ(::lseek(from.get(), kSize - 10, SEEK_SET), kSize - 10);
  EXPECT_EQ(must(copy_file_data(from.get(), tail.get())), 10U);
}

TEST_F(FsTest, CopyFileDataReadsPipesAndProc) {
  Pipe pipe = must(Pipe::create());
  must(write_fully(pipe.write_end.get(), as_bytes("through a pipe"), ""));
  pipe.write_end.reset();
  const Fd to = open("copy", O_RDWR | O_CREAT);
  EXPECT_EQ(must(copy_file_data(pipe.read_end.get(), to.get())), 14U);
  const Fd proc(::open("/proc/version", O_RDONLY | O_CLOEXEC));
  EXPECT_GT(must(copy_file_data(proc.get(), to.get())), 0U);
}

TEST_F(FsTest, AbsentAttributesAreEmpty) {
  const Fd fd = open("f", O_RDWR | O_CREAT);
  EXPECT_EQ(must(xattr_of(fd.get(), "user.kiln")), "");
  const std::string value(1000, 'v');
  if (::fsetxattr(fd.get(), "user.kiln", value.data(), value.size(), 0) != 0)
    GTEST_SKIP() << "this file system has no user attributes";
  EXPECT_EQ(must(xattr_of(fd.get(), "user.kiln")), value);
}

TEST_F(FsTest, WriteFullyWaitsForANonBlockingReader) {
  Pipe pipe = must(Pipe::create());
  ASSERT_EQ(::fcntl(pipe.write_end.get(), F_SETFL, O_NONBLOCK), 0);
  const std::string data(1U << 20U, 'd');
  StringSink received;
  std::thread reader([&] {
    FdSource source(std::move(pipe.read_end));
    must(copy_stream(source, received));
  });
  must(write_fully(pipe.write_end.get(), as_bytes(data), "pipe"));
  pipe.write_end.reset();
  reader.join();
  EXPECT_EQ(received.data(), data);
}

// ---- remove_tree

TEST_F(FsTest, RemoveTreeTakesEverythingAndFollowsNothing) {
  must(make_dirs(path("tree/a/b")));
  must(make_dirs(path("keep")));
  must(write_file(path("keep/file"), "kept"));
  must(write_file(path("tree/a/b/f"), ""));
  ASSERT_EQ(::symlink(path("keep").c_str(), path("tree/link").c_str()), 0);
  ASSERT_EQ(::mkfifo(path("tree/fifo").c_str(), 0), 0);
  must(remove_tree(path("tree")));
  EXPECT_EQ(names(), std::vector<std::string>{"keep"});
  EXPECT_EQ(names("keep"), std::vector<std::string>{"file"});
}

TEST_F(FsTest, RemoveTreeOfALinkRemovesTheLinkAlone) {
  must(make_dirs(path("keep/x")));
  ASSERT_EQ(::symlink("keep", path("link").c_str()), 0);
  must(remove_tree(path("link")));
  EXPECT_EQ(names("keep"), std::vector<std::string>{"x"});
}

TEST_F(FsTest, RemoveTreeOfWhatIsAbsentSucceeds) {
  must(remove_tree(path("none")));
  must(remove_tree(path("none/deeper")));
}

TEST_F(FsTest, RemoveTreeRefusesPathsThatDoNotNameWhatTheyRemove) {
  // Harmless even if the rule were broken: "none" does not exist.
  for (const char* below : {"none/..", "none/../x", "none/."})
    EXPECT_EQ(code_of(remove_tree(path(below))), "invalid_argument") << below;
  EXPECT_EQ(code_of(remove_tree("")), "invalid_argument");
}

TEST_F(BulkFsTest, RemoveTreeHandlesDepthBeyondPathMaxAndFdLimits) {
  constexpr int kDepth = 3000;
  Fd at = open(".", O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(::mkdirat(at.get(), "deep-directory", 0755), 0);
    const Fd file(::openat(at.get(), "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    at = Fd(::openat(at.get(), "deep-directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at.valid());
  }
  at.reset();
  must(remove_tree(path("deep-directory")));
  EXPECT_EQ(names(), std::vector<std::string>{"file"});
}

TEST_F(BulkFsTest, RemoveTreeHandlesManyFilesInOneDirectory) {
  must(make_dirs(path("tree")));
  for (int i = 0; i < 5000; ++i) must(write_file(path("tree/f" + std::to_string(i)), ""));
  must(remove_tree(path("tree")));
  EXPECT_TRUE(names().empty());
}

TEST_F(FsTest, RemoveTreeStopsAtMounts) {
  must(make_dirs(path("tree/mnt")));
  must(make_dirs(path("other")));
  must(write_file(path("other/precious"), ""));
  must(write_file(path("tree/file"), ""));
  if (::mount(path("other").c_str(), path("tree/mnt").c_str(), nullptr, MS_BIND, nullptr) != 0)
    GTEST_SKIP() << "bind mounts need CAP_SYS_ADMIN";
  const Status removed = remove_tree(path("tree"));
  const Status top = remove_tree(path("tree/mnt"));
  ASSERT_EQ(::umount2(path("tree/mnt").c_str(), MNT_DETACH), 0);
  EXPECT_EQ(code_of(removed), "invalid_argument") << "EXDEV";
  EXPECT_EQ(code_of(top), "invalid_argument");
  EXPECT_EQ(names("other"), std::vector<std::string>{"precious"});
  EXPECT_EQ(names("tree"), std::vector<std::string>{"mnt"}) << "the rest is gone";
}

// ---- AtomicFile, TempDir, FileLock

TEST_F(FsTest, AtomicFileAppearsOnlyOnCommit) {
  AtomicFile file = must(AtomicFile::create(path("target"), 0640));
  must(file.write("new"));
  EXPECT_FALSE(must(exists(path("target"))));
  must(file.commit());
  EXPECT_EQ(must(read_file(path("target"), 10)), "new");
  struct stat st {};
  ASSERT_EQ(::stat(path("target").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0640U);
  EXPECT_EQ(code_of(file.commit()), "failed_precondition");
  EXPECT_EQ(names(), std::vector<std::string>{"target"});
}

TEST_F(FsTest, AtomicFileWithoutCommitLeavesTheOldFile) {
  must(write_file(path("target"), "old"));
  {
    AtomicFile given_up = must(AtomicFile::create(path("target")));
    must(given_up.write("new"));
    AtomicFile moved = std::move(given_up);
    moved = must(AtomicFile::create(path("target")));
  }
  EXPECT_EQ(must(read_file(path("target"), 10)), "old");
  EXPECT_EQ(names(), std::vector<std::string>{"target"});
}

TEST_F(FsTest, AtomicFileThatCannotReplaceItsTargetLeavesNothing) {
  must(make_dirs(path("target/occupied")));
  AtomicFile file = must(AtomicFile::create(path("target")));
  EXPECT_NE(code_of(file.commit()), "ok");
  EXPECT_EQ(names(), std::vector<std::string>{"target"});
}

TEST_F(FsTest, TempDirVanishesUnlessReleased) {
  std::string kept;
  {
    TempDir gone = must(TempDir::create(path("."), "gone-"));
    must(write_file(gone.path() + "/f", ""));
    TempDir moved = std::move(gone);
    TempDir released = must(TempDir::create(path("."), "kept-"));
    kept = released.release();
  }
  EXPECT_TRUE(must(exists(kept)));
  EXPECT_EQ(names().size(), 1U);
}

TEST_F(FsTest, LocksExcludeEachOtherUntilReleased) {
  const std::string lock = path("lock");
  {
    const auto shared = must(FileLock::try_acquire(lock, FileLock::Mode::kShared));
    ASSERT_TRUE(shared.has_value());
    EXPECT_TRUE(must(FileLock::try_acquire(lock, FileLock::Mode::kShared)).has_value());
    EXPECT_FALSE(must(FileLock::try_acquire(lock, FileLock::Mode::kExclusive)).has_value());
    EXPECT_EQ(code_of(FileLock::acquire(lock, FileLock::Mode::kExclusive, [] { return true; })),
              "cancelled");
  }
  EXPECT_TRUE(must(FileLock::try_acquire(lock, FileLock::Mode::kExclusive)).has_value());
}

TEST_F(FsTest, AcquireWaitsForTheHolder) {
  const std::string lock = path("lock");
  auto holder = must(FileLock::try_acquire(lock, FileLock::Mode::kExclusive));
  bool asked = false;
  const auto waited = FileLock::acquire(lock, FileLock::Mode::kExclusive, [&] {
    asked = true;
    holder.reset();
    return false;
  });
  EXPECT_EQ(code_of(waited), "ok");
  EXPECT_TRUE(asked);
}

}  // namespace
}  // namespace kiln
