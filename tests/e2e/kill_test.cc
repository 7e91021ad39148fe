// SIGKILL and failing system calls at real moments of a real build, injected with strace. Children
// are let go when they execute another program, so it is kiln that is hit, or what it has just
// forked. strace counts the calls of each thread for itself: a number is the first thread to get so
// far, wherever that is.
#include "tests/e2e/fault_fixture.h"

namespace kiln::e2e {
namespace {

struct Injection {
  const char* name;
  const char* calls;
  std::vector<int> numbers;  // of the call; at the first of them kiln is there for sure
};
void PrintTo(const Injection& injection, std::ostream* out) {
  *out << injection.calls;
}

class InjectionTest : public FaultTest, public ::testing::WithParamInterface<Injection> {
 protected:
  void SetUp() override {
    FaultTest::SetUp();
    if (IsSkipped()) return;
    const Output tried = command({"strace", "-o", "/dev/null", "true"});
    if (tried.exit_code != 0) GTEST_SKIP() << "strace cannot trace here: " << tried.err;
  }
  static std::vector<std::string> strace(const std::string& what, int number) {
    const std::string calls = GetParam().calls;
    return {"strace",    "-o",
            "/dev/null", "-f",
            "-b",        "execve",
            "-e",        "trace=" + calls,
            "-e",        "inject=" + calls + ":" + what + ":when=" + std::to_string(number)};
  }
  static std::string label(int number) {
    return std::string(GetParam().calls) + " number " + std::to_string(number);
  }
};

std::string name_of(const ::testing::TestParamInfo<Injection>& info) {
  return info.param.name;
}

using KillTest = InjectionTest;

TEST_P(KillTest, LeavesNothingRunningOrMountedAndHarmsNoImage) {
  for (const int number : GetParam().numbers) {
    const std::string root = fresh_root("killed");
    const std::string archive = path("killed.tar");
    const Output killed = build_archive(root, archive, strace("signal=KILL", number));
    if (number == GetParam().numbers.front()) {
      EXPECT_EQ(killed.exit_code, 128 + 9) << label(number) << "\n" << killed.err;
    }
    expect_no_harm(root, archive, label(number));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Calls, KillTest,
    ::testing::Values(
        Injection{"Rename", "rename,renameat,renameat2", {1, 2, 3, 5}},
        Injection{"Sync", "fsync,fdatasync", {1, 3, 5, 8}}, Injection{"SyncFs", "syncfs", {1}},
        Injection{"Mount", "mount", {1, 2, 4}}, Injection{"Unmount", "umount2", {1, 3, 5}},
        Injection{"Unlink", "unlink,unlinkat", {1, 4, 16}},
        Injection{"DatabaseWrite", "pwrite64", {1, 10, 40}}, Injection{"Write", "write", {1, 3, 8}},
        Injection{"Clone", "clone,clone3", {1, 2, 4}}, Injection{"Open", "openat2", {1, 10, 50}},
        Injection{"MakeDirectory", "mkdir,mkdirat", {1, 7, 20}},
        Injection{"Copy", "copy_file_range", {1, 2}}, Injection{"Lock", "flock", {1, 4, 8}}),
    name_of);

using FullDiskTest = InjectionTest;

// Every call that can meet a full disk. Whether kiln can go on is its own affair; what it says and
// leaves is not.
TEST_P(FullDiskTest, FailsWithStatusThreeOrSucceedsAndHarmsNoImage) {
  for (const int number : GetParam().numbers) {
    const std::string root = fresh_root("full");
    const std::string archive = path("full.tar");
    const Output full = build_archive(root, archive, strace("error=ENOSPC", number));
    if (full.exit_code != 0) {
      EXPECT_EQ(full.exit_code, 3) << label(number) << "\n" << full.err;
      EXPECT_TRUE(full.err.find("o space left on device") != std::string::npos ||
                  full.err.find("disk is full") != std::string::npos)
          << label(number) << "\n"
          << full.err;
    }
    expect_no_harm(root, archive, label(number));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Calls, FullDiskTest,
    ::testing::Values(Injection{"Rename", "rename,renameat,renameat2", {1, 2, 4}},
                      Injection{"Sync", "fsync,fdatasync", {1, 4, 8}},
                      Injection{"SyncFs", "syncfs", {1}},
                      Injection{"DatabaseWrite", "pwrite64", {1, 10, 40}},
                      Injection{"Truncate", "ftruncate", {1, 2}},
                      Injection{"Write", "write", {1, 3, 6}},
                      Injection{"MakeDirectory", "mkdir,mkdirat", {1, 7, 20}},
                      Injection{"Copy", "copy_file_range", {1, 2}}),
    name_of);

}  // namespace
}  // namespace kiln::e2e
