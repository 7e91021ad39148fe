// Real file systems that are full: the root's, and the one that the result goes to.
#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "tests/e2e/fault_fixture.h"

namespace kiln::e2e {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kMiB = 1U << 20U;

// What no compression makes smaller.
std::string noise(uint64_t bytes) {
  std::mt19937_64 random(1);
  std::string text(bytes, '\0');
  std::generate(text.begin(), text.end(), [&] { return static_cast<char>(random()); });
  return text;
}

class DiskFullTest : public FaultTest, public ::testing::WithParamInterface<SmallDisk::Kind> {
 protected:
  // A small disk with a fresh root on it; skips if that cannot be mounted.
  void SetUp() override {
    FaultTest::SetUp();
    if (IsSkipped()) return;
    std::string why;
    disk_ = SmallDisk::mount(GetParam(), path("disk"), 48 * kMiB, why);
    if (!disk_) GTEST_SKIP() << why;
    small_root_ = fresh_root("disk/root");
  }
  void TearDown() override {
    expect_nothing_left_running();
    disk_.reset();
  }
  void expect_nothing_left_running() { EXPECT_EQ(descendants_.left(), std::vector<std::string>()); }
  Output build_small(const std::string& context, std::vector<std::string> more) {
    more.insert(more.begin(), {"build", "--progress=plain"});
    more.push_back(context);
    return kiln_at(small_root_, more);
  }
  void free_space() { ASSERT_TRUE(remove_tree(path("disk/filler"))); }

  std::optional<SmallDisk> disk_;
  std::string small_root_;
};

TEST_P(DiskFullTest, ACopyThatDoesNotFitFailsAndSucceedsOnceThereIsSpace) {
  const std::string c = context(
      "big",
      {{"Dockerfile", "FROM base\nCOPY big /big\nRUN test -s /big\n"}, {"big", noise(12 * kMiB)}});
  disk_->fill("filler", 8 * kMiB);
  const Output full = build_small(c, {"-t", "app"});
  EXPECT_EQ(full.exit_code, 3) << full.err;
  EXPECT_THAT(full.err, HasSubstr("No space left on device"));
  EXPECT_THAT(full.err, HasSubstr("hint: "));
  EXPECT_EQ(kiln_at(small_root_, {"images", "-q", "app"}).out, "");
  free_space();
  const Output built = build_small(c, {"-t", "app", "-o", "type=oci,dest=" + path("app.tar")});
  EXPECT_EQ(built.exit_code, 0) << built.err;
  EXPECT_EQ(kiln({"load", "-i", path("app.tar")}).exit_code, 0);
}

TEST_P(DiskFullTest, ALayerThatDoesNotFitLeavesNoImage) {
  const std::string c = context(
      "big",
      {{"Dockerfile", "FROM base\nCOPY big /big\nRUN cp /big /b2\n"}, {"big", noise(6 * kMiB)}});
  disk_->fill("filler", 22 * kMiB);  // both files, but not their layers
  const Output full = build_small(c, {"-t", "app"});
  EXPECT_EQ(full.exit_code, 3) << full.err;
  EXPECT_THAT(full.err, HasSubstr("No space left on device"));
  EXPECT_EQ(kiln_at(small_root_, {"images", "-q", "app"}).out, "");
  free_space();
  const Output built = build_small(c, {"-t", "app", "-o", "type=oci,dest=" + path("app.tar")});
  EXPECT_EQ(built.exit_code, 0) << built.err;
  EXPECT_EQ(kiln({"load", "-i", path("app.tar")}).exit_code, 0);
}

TEST_P(DiskFullTest, AStepThatFillsTheDiskFailsWithItsOwnWords) {
  const std::string c =
      context("big", {{"Dockerfile", "FROM base\nRUN dd if=/dev/zero of=/big bs=1M count=64\n"}});
  const Output full = build_small(c, {"-t", "app"});
  EXPECT_EQ(full.exit_code, 1) << full.err;
  EXPECT_THAT(full.err, HasSubstr("No space left on device"));
  expect_right_image(small_root_, "a step that filled the disk");
}

TEST_P(DiskFullTest, PruningMakesRoomOnAFullDisk) {
  const std::string c =
      context("big", {{"Dockerfile", "FROM base\nCOPY big /big\nRUN cat /big > /copy\n"},
                      {"big", noise(8 * kMiB)}});
  const Output built = build_small(c, {"-o", "type=cacheonly"});
  ASSERT_EQ(built.exit_code, 0) << built.err;
  disk_->fill("filler", 0);
  const Output pruned = kiln_at(small_root_, {"prune", "--all"});
  EXPECT_EQ(pruned.exit_code, 0) << pruned.err;
  expect_right_image(small_root_, "a prune on a full disk");
}

INSTANTIATE_TEST_SUITE_P(Disks, DiskFullTest,
                         ::testing::Values(SmallDisk::Kind::kExt4, SmallDisk::Kind::kTmpfs),
                         [](const auto& kind) {
                           return kind.param == SmallDisk::Kind::kExt4 ? "Ext4" : "Tmpfs";
                         });

class FullDestinationTest : public FaultTest {
 protected:
  void SetUp() override {
    FaultTest::SetUp();
    if (IsSkipped()) return;
    std::string why;
    disk_ = SmallDisk::mount(SmallDisk::Kind::kTmpfs, path("disk"), kMiB / 2, why);
    if (!disk_) GTEST_SKIP() << why;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    const auto entries = list_dir(Root::open(disk_->path())->fd());
    EXPECT_TRUE(entries);
    for (const DirEntry& entry : *entries) found.push_back(entry.name);
    return found;
  }
  std::optional<SmallDisk> disk_;
};

TEST_F(FullDestinationTest, AnArchiveThatDoesNotFitLeavesTheOldOne) {
  for (const char* type : {"oci", "docker", "tar"}) {
    ASSERT_TRUE(write_file(path("disk/app.tar"), "old"));
    const Output full =
        kiln({"build", "--progress=plain", "-o",
              std::string("type=") + type + ",dest=" + path("disk/app.tar"), context_});
    EXPECT_EQ(full.exit_code, 3) << type << "\n" << full.err;
    EXPECT_THAT(full.err, HasSubstr("\"" + path("disk/app.tar") + "\": No space left on device"));
    EXPECT_EQ(names(), std::vector<std::string>{"app.tar"}) << type;
    EXPECT_EQ(read_file(path("disk/app.tar"), 100).value(), "old") << type;
  }
}

TEST_F(FullDestinationTest, DirectoriesThatDoNotFitFail) {
  for (const std::string output : {"type=local,dest=", "type=oci,tar=false,dest="}) {
    const Output full =
        kiln({"build", "--progress=plain", "-o", output + path("disk/out"), context_});
    EXPECT_EQ(full.exit_code, 3) << output << "\n" << full.err;
    EXPECT_THAT(full.err, HasSubstr("No space left on device")) << output;
    ASSERT_TRUE(remove_tree(path("disk/out")));
  }
}

TEST_F(FullDestinationTest, SavingFailsAsBuildingDoes) {
  const Output full = kiln({"save", "-o", path("disk/base.tar"), "base"});
  EXPECT_EQ(full.exit_code, 3) << full.err;
  EXPECT_THAT(full.err, HasSubstr("No space left on device"));
  EXPECT_EQ(names(), std::vector<std::string>());
}

TEST_F(FullDestinationTest, AFullStandardOutputIsAnError) {
  const std::string kiln = std::string(KILN_BINARY) + " --root " + root();
  for (const std::string& command_line :
       {kiln + " build -q -o - " + context_ + " > /dev/full", kiln + " save base > /dev/full",
        kiln + " build -q " + context_ + " > /dev/full"}) {
    const Output full = command({"/bin/sh", "-c", command_line});
    EXPECT_EQ(full.exit_code, 3) << command_line << "\n" << full.err;
    EXPECT_THAT(full.err, HasSubstr("No space left on device")) << command_line;
  }
}

}  // namespace
}  // namespace kiln::e2e
