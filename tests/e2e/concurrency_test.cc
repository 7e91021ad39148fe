// Several kiln processes on one root: builds of the same steps, and pruning that takes whatever it
// may while they run.
#include <gmock/gmock.h>

#include "tests/e2e/fault_fixture.h"

namespace kiln::e2e {
namespace {

class ConcurrencyTest : public FaultTest {
 protected:
  // Steps with and without a layer of their own, shared and parallel ones.
  std::string context_of_round(int round) {
    return context("round", {{"Dockerfile",
                              "FROM base AS one\nCOPY data /data\nRUN cat /data > /one\n"
                              "FROM base AS two\nCOPY data /data\nRUN wc -c < /data > /two\n"
                              "FROM base\nCOPY --from=one /one /one\nCOPY --link --from=two /two "
                              "/two\nRUN cat /one /two > /three\n"},
                             {"data", std::string(200'000, static_cast<char>('a' + round))}});
  }
  std::optional<RunningProcess> start(const std::vector<std::string>& more) {
    std::vector<std::string> argv = {KILN_BINARY, "--root", root(), "build", "--progress=plain"};
    argv.insert(argv.end(), more.begin(), more.end());
    return RunningProcess::start(argv, environment_);
  }
  // Every blob of the archive has the bytes that its name promises.
  void expect_whole(const std::string& archive) {
    const std::string check =
        "set -e; d=$(mktemp -d " + path("") + "unpacked.XXXXXX); tar -C $d -xf " + archive +
        "; cd $d/blobs/sha256; for f in *; do echo \"$f  $f\"; done | sha256sum --check --quiet";
    const Output checked = command({"/bin/sh", "-c", check});
    EXPECT_EQ(checked.exit_code, 0) << archive << "\n" << checked.out << checked.err;
  }
  void expect_loads(const std::string& archive, const std::string& name) {
    const std::string other = fresh_root("other");
    const Output loaded = kiln_at(other, {"load", "-i", archive});
    EXPECT_EQ(loaded.exit_code, 0) << loaded.err;
    const std::string c = context("user", {{"Dockerfile", "FROM " + name + "\nRUN cat /three\n"}});
    const Output used = kiln_at(other, {"build", "--progress=plain", "-o", "type=cacheonly", c});
    EXPECT_EQ(used.exit_code, 0) << used.err;
  }
};

TEST_F(ConcurrencyTest, TwoBuildsAndPruningAtOnceLoseNothing) {
  for (int round = 0; round < 3; ++round) {
    const std::string c = context_of_round(round);
    auto one =
        start({"-t", "app:one", "-o", "type=image", "-o", "type=oci,dest=" + path("one.tar"), c});
    auto two = start({"-t", "app:two", "-o", "type=image,compression=zstd", "-o",
                      "type=docker,dest=" + path("two.tar"), c});
    ASSERT_TRUE(one && two);
    do {
      const Output pruned = kiln({"prune", "--all"});
      EXPECT_EQ(pruned.exit_code, 0) << pruned.err;
    } while (one->is_running() || two->is_running());
    for (RunningProcess* build : {&*one, &*two}) {
      const Output output = build->wait();
      EXPECT_EQ(output.exit_code, 0) << output.err;
    }
    // What is named stays whole through one more prune.
    EXPECT_EQ(kiln({"prune", "--all"}).exit_code, 0);
    for (const char* name : {"app:one", "app:two"}) {
      const Output saved = kiln({"save", "--format", "oci", "-o", path("saved.tar"), name});
      EXPECT_EQ(saved.exit_code, 0) << saved.err;
      expect_whole(path("saved.tar"));
    }
    expect_whole(path("one.tar"));
    expect_whole(path("two.tar"));
    expect_loads(path("one.tar"), "app:one");
    expect_loads(path("two.tar"), "app:two");
  }
  EXPECT_EQ(descendants_.left(), std::vector<std::string>());
}

TEST_F(ConcurrencyTest, RemovingTheImageWhileItIsBuiltOnHarmsNobody) {
  const std::string c = context_of_round(0);
  ASSERT_EQ(kiln({"build", "-q", "-t", "parent", c}).exit_code, 0);
  const std::string child =
      context("child", {{"Dockerfile", "FROM parent\nRUN echo under way; cat /three > /four\n"}});
  auto build = start({"-o", path("out"), child});
  ASSERT_TRUE(build && build->saw("FROM "));
  EXPECT_EQ(kiln({"rmi", "parent"}).exit_code, 0);
  EXPECT_EQ(kiln({"prune", "--all"}).exit_code, 0);
  const Output output = build->wait();
  EXPECT_EQ(output.exit_code, 0) << output.err;
  EXPECT_TRUE(exists(path("out/four")).value_or(false));
}

TEST_F(ConcurrencyTest, ManyBuildsOfAFreshRootMakeItOnce) {
  // The root is not there yet: every process finds files half made by the others.
  const std::string base = path("base.archive");
  ASSERT_EQ(kiln({"save", "-o", base, "base"}).exit_code, 0);
  std::vector<RunningProcess> loads;
  for (int i = 0; i < 6; ++i) {
    auto load = RunningProcess::start({KILN_BINARY, "--root", path("new-root"), "load", "-i", base},
                                      environment_);
    ASSERT_TRUE(load);
    loads.push_back(*std::move(load));
  }
  for (RunningProcess& load : loads) {
    const Output output = load.wait();
    EXPECT_EQ(output.exit_code, 0) << output.err;
  }
  expect_right_image(path("new-root"), "six processes that made the root");
}

}  // namespace
}  // namespace kiln::e2e
