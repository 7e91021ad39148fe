// What lies in a root is damaged behind kiln's back. A described error or a rebuilt step: never a
// wrong image.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "base/database.h"
#include "tests/e2e/fault_fixture.h"

namespace kiln::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DamageTest : public FaultTest {
 protected:
  // Names in a directory of the root, sorted.
  static std::vector<std::string> names(const std::string& directory) {
    std::vector<std::string> found;
    const auto root = Root::open(directory);
    EXPECT_TRUE(root);
    const auto entries = list_dir(root->fd());
    EXPECT_TRUE(entries);
    for (const DirEntry& entry : *entries) found.push_back(entry.name);
    return found;
  }
  static std::vector<std::string> snapshots(const std::string& root) {
    std::vector<std::string> found;
    for (const std::string& name : names(root + "/snapshots"))
      if (std::isdigit(static_cast<unsigned char>(name[0])) != 0) found.push_back(name);
    return found;
  }
  static void sql(const std::string& root, const std::string& statement) {
    auto database = Database::open(root + "/kiln.db");
    ASSERT_TRUE(database) << database.error().to_string();
    const Status done = (*database)->execute(statement);
    ASSERT_TRUE(done) << done.error().to_string();
  }
  static void overwrite(const std::string& file, off_t at, const std::string& bytes) {
    const Fd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    ASSERT_TRUE(fd.valid()) << file;
    ASSERT_EQ(::pwrite(fd.get(), bytes.data(), bytes.size(), at),
              static_cast<ssize_t>(bytes.size()));
  }
  // The log's pages go to the database, so that damage to that is met.
  static void fold_log(const std::string& root) { sql(root, "PRAGMA wal_checkpoint(TRUNCATE)"); }
  static off_t size_of(const std::string& file) {
    struct stat st {};
    EXPECT_EQ(::stat(file.c_str(), &st), 0) << file;
    return st.st_size;
  }
  // Builds until it works: damage may cost one failing build that says so, never two.
  void expect_healed(const std::string& root, const std::string& after) {
    const Output first = build_archive(root, path("first.tar"));
    if (first.exit_code != 0) {
      EXPECT_EQ(first.exit_code, 3) << after << "\n" << first.err;
      EXPECT_THAT(first.err, HasSubstr("hint: ")) << after;
    }
    expect_nothing_left(path("first.tar"), after);
    expect_right_image(root, after);
  }
};

TEST_F(DamageTest, ATornCacheRecordIsAMiss) {
  const std::string root = built_root("torn");
  sql(root, "UPDATE cache_records SET result = substr(result, 1, length(result) / 2)");
  const Output built = build_archive(root, path("built.tar"));
  EXPECT_EQ(built.exit_code, 0) << built.err;
  EXPECT_THAT(built.err, Not(HasSubstr("CACHED [4/5] RUN")));
  expect_no_harm(root, path("built.tar"), "torn records");
}

TEST_F(DamageTest, FlippedBitsInCacheRecordsAreMisses) {
  for (const char* column :
       {"cache_records SET record", "cache_records SET result", "cache_aliases SET alias"}) {
    const std::string root = built_root("flipped");
    const std::string name = std::string(column).substr(std::string(column).rfind(' ') + 1);
    // The last byte but eight: of the content, before the checksum.
    sql(root, "UPDATE " + std::string(column) + " = CAST(substr(" + name + ", 1, length(" + name +
                  ") - 9) || x'00' || substr(" + name + ", -8) AS BLOB)");
    expect_healed(root, column);
  }
}

// Records of one step under the key of another are as wrong as damaged ones.
TEST_F(DamageTest, SwappedResultsAreMisses) {
  const std::string root = built_root("swapped");
  sql(root,
      "UPDATE cache_records SET result = (SELECT other.result FROM cache_records other"
      " WHERE other.key <> cache_records.key ORDER BY other.key LIMIT 1)");
  expect_healed(root, "swapped results");
}

TEST_F(DamageTest, AMissingSnapshotIsMadeAnew) {
  for (const std::string& snapshot : snapshots(built_root("counted"))) {
    const std::string root = built_root("missing");
    ASSERT_TRUE(remove_tree(root + "/snapshots/" + snapshot));
    expect_right_image(root, "without snapshot " + snapshot);
  }
}

TEST_F(DamageTest, AnEmptiedSnapshotIsMadeAnew) {
  for (const std::string& snapshot : snapshots(built_root("counted"))) {
    const std::string root = built_root("emptied");
    const std::string tree = root + "/snapshots/" + snapshot + "/fs";
    for (const std::string& name : names(tree)) ASSERT_TRUE(remove_tree(tree + "/" + name));
    expect_right_image(root, "with snapshot " + snapshot + " emptied");
  }
}

TEST_F(DamageTest, FsckTellsWhatIsDamagedAndForgetsIt) {
  const std::string root = built_root("checked");
  const Output whole = kiln_at(root, {"fsck"});
  EXPECT_EQ(whole.exit_code, 0) << whole.out;
  EXPECT_THAT(whole.out, HasSubstr("0 problems"));
  // The last one is a step's, which no blob can give back.
  ASSERT_TRUE(remove_tree(root + "/snapshots/" + snapshots(root).back()));
  const Output lost = kiln_at(root, {"fsck"});
  EXPECT_EQ(lost.exit_code, 1);
  EXPECT_THAT(lost.out, HasSubstr("is lost"));
  (void)kiln_at(root, {"fsck", "--repair"});
  EXPECT_THAT(kiln_at(root, {"fsck"}).out, Not(HasSubstr("the result of step")));
  expect_healed(root, "after fsck");

  const std::string blobs = root + "/content/blobs/sha256/", blob = names(blobs).front();
  overwrite(blobs + blob, 0, "damage");
  EXPECT_THAT(kiln_at(root, {"fsck"}).out, HasSubstr("blob sha256:" + blob + " is damaged"));
  EXPECT_THAT(kiln_at(root, {"fsck"}).out, Not(HasSubstr("is damaged")));
}

TEST_F(DamageTest, WithoutAnySnapshotTheBaseIsUnpackedAgain) {
  const std::string root = built_root("none");
  ASSERT_TRUE(remove_tree(root + "/snapshots"));
  expect_right_image(root, "without snapshots");
}

TEST_F(DamageTest, ADamagedPackedLayerIsMadeAnew) {
  const std::string root = fresh_root("packed");
  ASSERT_EQ(build_archive(root, path("first.tar")).exit_code, 0);
  const std::vector<std::string> before = names(this->root() + "/content/blobs/sha256");
  for (const std::string& blob : names(root + "/content/blobs/sha256"))
    if (std::find(before.begin(), before.end(), blob) == before.end())
      overwrite(root + "/content/blobs/sha256/" + blob,
                size_of(root + "/content/blobs/sha256/" + blob) / 2, "damage");
  expect_healed(root, "damaged layers");
}

// The base is somebody else's tar, which its files do not give again.
TEST_F(DamageTest, ABaseWhoseBlobIsGoneIsNeverPackedAsAnotherLayer) {
  const std::string root = built_root("baseless");
  const std::string blobs = root + "/content/blobs/sha256/";
  for (const std::string& blob : names(blobs)) {
    if (size_of(blobs + blob) <= 100'000) continue;
    EXPECT_TRUE(remove_tree(blobs + blob));
  }
  const Output built = build_archive(root, path("built.tar"));
  EXPECT_EQ(built.exit_code, 3) << built.err;
  EXPECT_THAT(built.err, HasSubstr("packing its files gives another layer"));
  expect_nothing_left(path("built.tar"), "without the base's layer");
  ASSERT_EQ(kiln_at(root, {"import", base_tar(), "base"}).exit_code, 0);
  EXPECT_EQ(build_archive(root, path("built.tar")).exit_code, 0);
  EXPECT_THAT(look_into(path("built.tar")), HasSubstr("./etc/passwd"));
}

TEST_F(DamageTest, GarbageInTheDatabaseIsAnErrorOrHarmless) {
  const std::string original = built_root("original");
  fold_log(original);
  const off_t size = size_of(original + "/kiln.db");
  for (off_t at = 0; at < size; at += size / 8) {
    const std::string root = path("garbage");
    ASSERT_TRUE(remove_tree(root));
    ASSERT_EQ(command({"cp", "-a", original, root}).exit_code, 0);
    overwrite(root + "/kiln.db", at, std::string(4096, '\x5a'));
    const std::string after = "garbage at " + std::to_string(at);
    const Output built = build_archive(root, path("built.tar"));
    if (built.exit_code != 0) {
      EXPECT_EQ(built.exit_code, 3) << after << "\n" << built.err;
      EXPECT_THAT(built.err, HasSubstr("kiln.db")) << after;
      EXPECT_THAT(built.err, HasSubstr("hint: ")) << after;
    }
    expect_nothing_left(path("built.tar"), after);
  }
}

TEST_F(DamageTest, ATruncatedDatabaseIsAnError) {
  const std::string root = built_root("truncated");
  fold_log(root);
  ASSERT_EQ(::truncate((root + "/kiln.db").c_str(), size_of(root + "/kiln.db") / 2), 0);
  const Output built = build_archive(root, path("built.tar"));
  EXPECT_EQ(built.exit_code, 3) << built.err;
  EXPECT_THAT(built.err, HasSubstr("kiln.db"));
  EXPECT_THAT(built.err, HasSubstr("hint: "));
  expect_nothing_left(path("built.tar"), "a truncated database");
}

TEST_F(DamageTest, GarbageInTheLogLosesTransactionsAtMost) {
  const std::string root = built_root("log");
  const std::string log = root + "/kiln.db-wal";
  for (const off_t part : {3, 2}) overwrite(log, size_of(log) / part, std::string(500, 'x'));
  expect_healed(root, "garbage in the log");
}

// The advice of the errors above, followed: what is left of the root serves again.
TEST_F(DamageTest, WithoutADatabaseTheRestServesOnceTheBaseIsLoaded) {
  const std::string base = path("base.archive");
  ASSERT_EQ(kiln({"save", "--format", "oci", "-o", base, "base"}).exit_code, 0);
  const std::string root = built_root("lost");
  for (const char* suffix : {"", "-wal", "-shm"})
    ASSERT_TRUE(remove_tree(root + "/kiln.db" + suffix));
  ASSERT_EQ(kiln_at(root, {"load", "-i", base}).exit_code, 0);
  expect_right_image(root, "without a database");
}

TEST_F(DamageTest, ARootOfANewerKilnIsRefused) {
  const std::string root = fresh_root("newer");
  ASSERT_TRUE(write_file(root + "/version", "99\n"));
  const Output built = build_archive(root, path("built.tar"));
  EXPECT_EQ(built.exit_code, 3) << built.err;
  EXPECT_THAT(built.err, HasSubstr("has format 99"));
}

}  // namespace
}  // namespace kiln::e2e
