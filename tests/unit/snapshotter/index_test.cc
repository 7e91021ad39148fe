#include "snapshotter/index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/fs.h"
#include "tests/fakes/must.h"

namespace kiln::internal {
namespace {

using fake::must;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class IndexTest : public testing::Test {
 protected:
  TempDir temp_ = must(TempDir::create("/tmp", "index-"));
  std::unique_ptr<Database> database_ = must(Database::open(temp_.path() + "/kiln.db"));
  SnapshotIndex index_ = must(SnapshotIndex::open(*database_));

  int64_t add(int64_t parent, int64_t layer = 0, int64_t directory = 0) {
    SnapshotRow row;
    row.parent = parent;
    row.layer = layer;
    row.directory = directory;
    row.synced = directory == 0;
    return must(index_.insert(row));
  }
  void add_blob(int64_t layer, std::string_view content) {
    const Digest digest = Digest::of(content);
    must(index_.add_blob(layer, {{{"type", digest, 1, std::nullopt, {}}, digest}, 3}));
  }
  std::vector<int64_t> chain(int64_t id) {
    std::vector<int64_t> ids;
    for (const SnapshotRow& row : must(index_.chain(id))) ids.push_back(row.id);
    return ids;
  }
  std::vector<int64_t> ids() {
    std::vector<int64_t> found;
    for (const SnapshotRow& row : must(index_.all())) found.push_back(row.id);
    return found;
  }
  // As if the machine had stopped since.
  void power_cut() { must(database_->execute("UPDATE snapshots SET boot_id = 'other'")); }
};

TEST_F(IndexTest, IdsAreDecimalAndNothingElse) {
  EXPECT_EQ(row_id({"12"}), 12);
  for (const char* bad : {"", "0", "-1", "1x", " 1", "99999999999999999999", "../1"})
    EXPECT_FALSE(row_id({bad})) << bad;
}

TEST_F(IndexTest, ChainGoesFromTheRootToTheSnapshot) {
  const int64_t root = add(0);
  const int64_t middle = add(root);
  const int64_t top = add(middle);
  add(root);
  EXPECT_THAT(chain(top), ElementsAre(root, middle, top));
  EXPECT_THAT(chain(77), IsEmpty());
}

TEST_F(IndexTest, IdsAreNeverUsedAgain) {
  const int64_t first = add(0);
  must(index_.remove({first}));
  EXPECT_GT(add(0), first);
}

TEST_F(IndexTest, RemovalReportsDirectoriesThatNobodyElseShows) {
  const int64_t one = add(0, 0, 100);
  const int64_t shared = add(0, one, 100);
  const int64_t own = add(0, 0, 200);
  EXPECT_THAT(must(index_.remove({shared})), IsEmpty());
  EXPECT_THAT(must(index_.remove({one, own})), ElementsAre(100, 200));
}

TEST_F(IndexTest, DependentsAreChildrenAndRestackedLayersTransitively) {
  const int64_t root = add(0);
  const int64_t child = add(root);
  const int64_t other = add(0);
  const int64_t restacked = add(other, child);
  const int64_t above = add(restacked);
  EXPECT_THAT(must(index_.dependents(root)), UnorderedElementsAre(root, child, restacked, above));
}

TEST_F(IndexTest, BlobsGoWithTheirLayer) {
  const int64_t id = add(0);
  add_blob(id, "tar");
  EXPECT_EQ(must(index_.find_layer(0, Digest::of("tar"))), id);
  EXPECT_EQ(must(index_.blobs(id)).at(0).level, 3);
  must(index_.remove({id}));
  EXPECT_THAT(must(index_.blobs(id)), IsEmpty());
}

TEST_F(IndexTest, StampsNeverGoBack) {
  const int64_t id = add(0);
  must(index_.stamp(must(index_.chain(id)), 5));
  const auto stale = must(index_.all());
  must(index_.stamp(stale, 9));
  must(index_.stamp(stale, 7));
  EXPECT_EQ(must(index_.all()).at(0).used_seq, 9U);
}

TEST_F(IndexTest, NothingIsLostInTheSameBoot) {
  add(0, 0, 100);
  EXPECT_FALSE(must(index_.has_lost()));
  EXPECT_THAT(must(index_.drop_lost()), IsEmpty());
}

TEST_F(IndexTest, LostRowsGoWithAllThatStandsOnThem) {
  const int64_t synced = add(0, 0, 1);
  must(index_.mark_synced(must(index_.unsynced())));
  const int64_t lost = add(synced, 0, 2);
  add(lost);
  power_cut();
  EXPECT_TRUE(must(index_.has_lost()));
  EXPECT_THAT(must(index_.drop_lost()), ElementsAre(2));
  EXPECT_THAT(ids(), ElementsAre(synced));
}

TEST_F(IndexTest, LostRowsWithABlobBecomeLazy) {
  const int64_t packed = add(0, 0, 1);
  add_blob(packed, "tar");
  const int64_t shared = add(0, packed, 1);
  power_cut();
  EXPECT_THAT(must(index_.drop_lost()), ElementsAre(1));
  EXPECT_THAT(ids(), ElementsAre(packed, shared));
  EXPECT_EQ(must(index_.all()).at(1).directory, 0);
  EXPECT_FALSE(must(index_.has_lost()));
}

TEST_F(IndexTest, SyncDoesNotMarkADirectoryThatCameAfterIt) {
  const int64_t id = add(0, 0, 1);
  const auto before = must(index_.unsynced());
  must(database_->execute("UPDATE snapshots SET directory = 9"));
  must(index_.mark_synced(before));
  EXPECT_FALSE(must(index_.chain(id)).at(0).synced);
}

TEST_F(IndexTest, ANewerFormatIsRefused) {
  must(database_->execute("UPDATE schema_versions SET version = 99"));
  EXPECT_EQ(fake::code_of(SnapshotIndex::open(*database_)), "failed_precondition");
}

TEST_F(IndexTest, ARootOfVersionOneIsTakenOver) {
  const int64_t id = add(0, 0, 7);
  must(database_->execute("ALTER TABLE snapshots DROP COLUMN root_mtime"));
  must(database_->execute("UPDATE schema_versions SET version = 1"));
  auto reopened = must(Database::open(temp_.path() + "/kiln.db"));
  SnapshotIndex index = must(SnapshotIndex::open(*reopened));
  const auto chain = must(index.chain(id));
  ASSERT_EQ(chain.size(), 1U);
  EXPECT_EQ(chain.front().directory, 7);
  EXPECT_FALSE(chain.front().root_mtime);
}

TEST_F(IndexTest, TimesInSecondsOfARootOfVersionTwoAreForgotten) {
  const int64_t id = add(0, 0, 7);
  must(database_->execute("UPDATE snapshots SET root_mtime = 1500000000"));
  must(database_->execute("UPDATE schema_versions SET version = 2"));
  auto reopened = must(Database::open(temp_.path() + "/kiln.db"));
  SnapshotIndex index = must(SnapshotIndex::open(*reopened));
  const auto chain = must(index.chain(id));
  ASSERT_EQ(chain.size(), 1U);
  EXPECT_EQ(chain.front().directory, 7);
  EXPECT_FALSE(chain.front().root_mtime);
}

TEST_F(IndexTest, AChainThatLostItsRootIsNotThere) {
  const int64_t root = add(0);
  const int64_t top = add(root);
  must(database_->execute("DELETE FROM snapshots WHERE id = " + std::to_string(root)));
  EXPECT_THAT(chain(top), IsEmpty());
}

}  // namespace
}  // namespace kiln::internal
