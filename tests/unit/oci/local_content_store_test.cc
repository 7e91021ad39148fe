#include "oci/local_content_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_fixture.h"

namespace kiln::oci {
namespace {

std::vector<std::string> names_in(const std::string& directory) {
  const Root root = Root::open(directory).value();
  std::vector<std::string> names;
  const auto entries = list_dir(root.fd()).value();
  for (const DirEntry& entry : entries) names.push_back(entry.name);
  return names;
}

class LocalContentStoreTest : public testing::Test {
 protected:
  void reopen() {
    f_.content.reset();
    f_.content =
        LocalContentStore::open(*f_.database, *f_.leases, f_.root.path() + "/content").value();
  }
  int64_t rows() {
    auto query = f_.database->prepare("SELECT count(*) FROM blobs").value();
    return query.step().value() ? query.integer(0) : -1;
  }
  StoreFixture f_;
};

TEST_F(LocalContentStoreTest, IsAnOciLayoutOnDisk) {
  const Digest blob = write_blob(*f_.content, *f_.lease, "x").value();
  EXPECT_EQ(read_file(f_.blob_path(blob), 10).value(), "x");
  EXPECT_EQ(read_file(f_.content->directory() + "/oci-layout", 100).value(),
            R"({"imageLayoutVersion":"1.0.0"})");
}

TEST_F(LocalContentStoreTest, ACorruptBlobIsFoundAtTheEndOfReadingAndMovedAside) {
  const Digest blob = write_blob(*f_.content, *f_.lease, "good").value();
  ASSERT_TRUE(write_file(f_.blob_path(blob), "evil"));
  EXPECT_EQ(read_blob(*f_.content, blob, 10).error().code(), Code::kDataLoss);
  EXPECT_FALSE(f_.content->size(blob).value());
  EXPECT_THAT(names_in(f_.content->directory() + "/quarantine"), testing::ElementsAre(blob.hex()));
  EXPECT_EQ(rows(), 0);
  EXPECT_TRUE(write_blob(*f_.content, *f_.lease, "good"));
  EXPECT_EQ(read_blob(*f_.content, blob, 10).value(), "good");
}

TEST_F(LocalContentStoreTest, ATruncatedBlobIsReplacedWhenItIsCommittedAgain) {
  const Digest blob = write_blob(*f_.content, *f_.lease, "good").value();
  ASSERT_TRUE(write_file(f_.blob_path(blob), "go"));
  EXPECT_TRUE(write_blob(*f_.content, *f_.lease, "good"));
  EXPECT_EQ(read_blob(*f_.content, blob, 10).value(), "good");
}

TEST_F(LocalContentStoreTest, ABlobWithOtherBytesIsReplacedWhenItIsCommittedAgain) {
  for (const size_t size : {size_t{100}, size_t{2} << 20U}) {
    const std::string good(size, 'g');
    const Digest blob = write_blob(*f_.content, *f_.lease, good).value();
    ASSERT_TRUE(write_file(f_.blob_path(blob), std::string(size, 'e')));
    reopen();
    const auto writer = f_.content->writer(*f_.lease).value();
    ASSERT_TRUE(writer->write(as_bytes(good)));
    ASSERT_TRUE(writer->commit(blob));
    EXPECT_EQ(read_blob(*f_.content, blob, size).value(), good);
  }
}

TEST_F(LocalContentStoreTest, AnotherProcessesBlobIsKnownOnceItWasReadToItsEnd) {
  const Digest blob = write_blob(*f_.content, *f_.lease, "x").value();
  reopen();
  EXPECT_FALSE(f_.content->is_known(blob));
  EXPECT_EQ(read_blob(*f_.content, blob, 10).value(), "x");
  EXPECT_TRUE(f_.content->is_known(blob));
}

TEST_F(LocalContentStoreTest, AFileWithoutARowIsAdoptedWhenItIsAskedFor) {
  const Digest blob = Digest::of("orphan");
  ASSERT_TRUE(write_file(f_.blob_path(blob), "orphan"));
  EXPECT_TRUE(f_.content->touch(blob, *f_.lease).value());
  EXPECT_EQ(f_.content->remove_unreferenced({}).value(), 0U);
}

TEST_F(LocalContentStoreTest, AFileWithoutARowIsRemovedWithTheUnreferenced) {
  const Digest blob = Digest::of("orphan");
  ASSERT_TRUE(write_file(f_.blob_path(blob), "orphan"));
  EXPECT_EQ(f_.content->remove_unreferenced({}).value(), 6U);
  EXPECT_THAT(names_in(f_.content->directory() + "/trash"), testing::IsEmpty());
}

TEST_F(LocalContentStoreTest, ARowWithoutAFileIsAbsent) {
  const Digest blob = write_blob(*f_.content, *f_.lease, "lost").value();
  ASSERT_EQ(::unlink(f_.blob_path(blob).c_str()), 0);
  EXPECT_FALSE(f_.content->touch(blob, *f_.lease).value());
}

TEST_F(LocalContentStoreTest, OpeningSweepsWhatADeadWriterLeftAndNoLiveOnes) {
  auto live = f_.content->writer(*f_.lease).value();
  ASSERT_TRUE(live->write(as_bytes("live")));
  ASSERT_TRUE(write_file(f_.content->directory() + "/ingest/dead", "dead"));
  ASSERT_TRUE(write_file(f_.content->directory() + "/trash/dead", "dead"));
  auto second = LocalContentStore::open(*f_.database, *f_.leases, f_.content->directory()).value();
  EXPECT_EQ(names_in(f_.content->directory() + "/ingest").size(), 1U);
  EXPECT_THAT(names_in(f_.content->directory() + "/trash"), testing::IsEmpty());
  EXPECT_TRUE(live->commit(Digest::of("live")));
}

TEST_F(LocalContentStoreTest, AKilledProcessesLeaseAndIngestFileEndWithIt) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto database = Database::open(f_.root.path() + "/kiln.db").value();
    auto leases = Leases::open(*database, f_.root.path() + "/run/leases").value();
    auto store = LocalContentStore::open(*database, *leases, f_.content->directory()).value();
    auto lease = leases->acquire().value();
    if (!write_blob(*store, *lease, "finished")) ::_exit(1);
    auto half = store->writer(*lease).value();
    if (!half->write(as_bytes("half"))) ::_exit(1);
    ::_exit(0);  // no destructor runs, as after SIGKILL
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  reopen();
  EXPECT_THAT(names_in(f_.content->directory() + "/ingest"), testing::IsEmpty());
  EXPECT_TRUE(f_.content->size(Digest::of("finished")).value());
  f_.lease.reset();
  EXPECT_EQ(f_.content->remove_unreferenced({}).value(), 8U);
}

TEST_F(LocalContentStoreTest, AFullDiskIsResourceExhaustedAndLeavesNothing) {
  const std::string mount = f_.root.path() + "/small";
  ASSERT_TRUE(make_dirs(mount));
  if (::mount("none", mount.c_str(), "tmpfs", 0, "size=256k") != 0) {
    GTEST_SKIP() << "cannot mount a tmpfs here";
  }
  {
    auto store = LocalContentStore::open(*f_.database, *f_.leases, mount + "/content").value();
    {
      auto writer = store->writer(*f_.lease).value();
      const Status full = writer->write(as_bytes(std::string(1 << 20, 'x')));
      ASSERT_FALSE(full);
      EXPECT_EQ(full.error().code(), Code::kResourceExhausted);
      EXPECT_THAT(full.error().advice(), testing::HasSubstr("prune"));
    }
    EXPECT_THAT(names_in(mount + "/content/ingest"), testing::IsEmpty());
    EXPECT_TRUE(write_blob(*store, *f_.lease, "small"));
  }
  EXPECT_EQ(::umount(mount.c_str()), 0);
}

TEST(LeaseTest, NumbersGrowAndTheOldestLiveOneIsTheFence) {
  StoreFixture f;
  auto second = f.leases->acquire().value();
  auto third = f.leases->acquire().value();
  EXPECT_LT(f.lease->sequence(), second->sequence());
  EXPECT_EQ(f.leases->oldest_live().value(), f.lease->sequence());
  f.lease.reset();
  EXPECT_EQ(f.leases->oldest_live().value(), second->sequence());
  second.reset();
  const uint64_t last = third->sequence();
  third.reset();
  EXPECT_EQ(f.leases->oldest_live().value(), last + 1);
}

}  // namespace
}  // namespace kiln::oci
