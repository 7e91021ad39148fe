// What every ContentStore promises (oci/content_store.h).
#include "oci/content_store.h"

#include "base/fs.h"
#include "oci/local_content_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

namespace kiln::oci {
namespace {

// One implementation under test, with the leases it works with.
struct ContentStoreUnderTest {
  virtual ~ContentStoreUnderTest() = default;
  virtual ContentStore& store() = 0;
  virtual std::unique_ptr<Lease> lease() = 0;
};

struct LocalUnderTest : ContentStoreUnderTest {
  TempDir root = TempDir::create("/tmp", "content").value();
  std::unique_ptr<Database> database = Database::open(root.path() + "/kiln.db").value();
  std::unique_ptr<Leases> leases = Leases::open(*database, root.path() + "/leases").value();
  std::unique_ptr<LocalContentStore> content =
      LocalContentStore::open(*database, *leases, root.path() + "/content").value();
  ContentStore& store() override { return *content; }
  std::unique_ptr<Lease> lease() override { return leases->acquire().value(); }
};

using MakeStore = std::function<std::unique_ptr<ContentStoreUnderTest>()>;
struct Implementation {
  const char* name;
  MakeStore make;
};

class ContentStoreContract : public testing::TestWithParam<Implementation> {
 protected:
  std::unique_ptr<ContentStoreUnderTest> under_test_ = GetParam().make();
  ContentStore& store_ = under_test_->store();
  std::unique_ptr<Lease> lease_ = under_test_->lease();
};

TEST_P(ContentStoreContract, ReadsBackWhatWasCommitted) {
  auto writer = store_.writer(*lease_).value();
  ASSERT_TRUE(writer->write(as_bytes("hello ")));
  ASSERT_TRUE(writer->write(as_bytes("world")));
  const auto committed = writer->commit(std::nullopt).value();
  EXPECT_EQ(committed.digest, Digest::of("hello world"));
  EXPECT_EQ(committed.size, 11U);
  EXPECT_EQ(store_.size(committed.digest).value(), 11U);
  EXPECT_EQ(read_blob(store_, committed.digest, 100).value(), "hello world");
}

TEST_P(ContentStoreContract, AnUncommittedWriterLeavesNothing) {
  {
    auto writer = store_.writer(*lease_).value();
    ASSERT_TRUE(writer->write(as_bytes("x")));
  }
  EXPECT_EQ(store_.size(Digest::of("x")).value(), std::nullopt);
}

TEST_P(ContentStoreContract, AWrongExpectedDigestIsDataLossAndPublishesNothing) {
  auto writer = store_.writer(*lease_).value();
  ASSERT_TRUE(writer->write(as_bytes("x")));
  const auto committed = writer->commit(Digest::of("y"));
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().code(), Code::kDataLoss);
  EXPECT_EQ(store_.size(Digest::of("x")).value(), std::nullopt);
  EXPECT_EQ(store_.size(Digest::of("y")).value(), std::nullopt);
}

TEST_P(ContentStoreContract, CommittingWhatIsThereSucceeds) {
  const Digest first = write_blob(store_, *lease_, "x").value();
  auto writer = store_.writer(*lease_).value();
  ASSERT_TRUE(writer->write(as_bytes("x")));
  EXPECT_EQ(writer->commit(first).value().digest, first);
}

TEST_P(ContentStoreContract, WhatThisProcessWroteOrReadToItsEndIsKnown) {
  const Digest blob = write_blob(store_, *lease_, "x").value();
  EXPECT_TRUE(store_.is_known(blob));
  EXPECT_FALSE(store_.is_known(Digest::of("absent")));
}

TEST_P(ContentStoreContract, TheEmptyBlobIsABlob) {
  const Digest empty = write_blob(store_, *lease_, "").value();
  EXPECT_EQ(store_.size(empty).value(), 0U);
  EXPECT_EQ(read_blob(store_, empty, 0).value(), "");
}

TEST_P(ContentStoreContract, AnAbsentBlobIsNotFound) {
  const Digest absent = Digest::of("absent");
  EXPECT_EQ(store_.open(absent).error().code(), Code::kNotFound);
  EXPECT_EQ(store_.open_fd(absent).error().code(), Code::kNotFound);
  EXPECT_FALSE(store_.touch(absent, *lease_).value());
}

TEST_P(ContentStoreContract, ABlobAboveTheLimitIsNotReadWhole) {
  const Digest blob = write_blob(store_, *lease_, "12345").value();
  EXPECT_EQ(read_blob(store_, blob, 4).error().code(), Code::kResourceExhausted);
}

TEST_P(ContentStoreContract, RemovingKeepsWhatIsListed) {
  const Digest kept = write_blob(store_, *lease_, "kept").value();
  const Digest gone = write_blob(store_, *lease_, "gone").value();
  lease_.reset();
  EXPECT_EQ(store_.remove_unreferenced({kept}).value(), 4U);
  EXPECT_TRUE(store_.size(kept).value());
  EXPECT_FALSE(store_.size(gone).value());
}

TEST_P(ContentStoreContract, RemovingKeepsWhatALiveLeaseMade) {
  const Digest blob = write_blob(store_, *lease_, "made").value();
  EXPECT_EQ(store_.remove_unreferenced({}).value(), 0U);
  EXPECT_TRUE(store_.size(blob).value());
}

TEST_P(ContentStoreContract, RemovingKeepsWhatALiveLeaseTouched) {
  const Digest touched = write_blob(store_, *lease_, "touched").value();
  const Digest other = write_blob(store_, *lease_, "other").value();
  lease_.reset();
  const auto later = under_test_->lease();
  ASSERT_TRUE(store_.touch(touched, *later).value());
  EXPECT_EQ(store_.remove_unreferenced({}).value(), 5U);
  EXPECT_TRUE(store_.size(touched).value());
  EXPECT_FALSE(store_.size(other).value());
}

TEST_P(ContentStoreContract, AnOpenedBlobOutlivesItsRemoval) {
  const Digest blob = write_blob(store_, *lease_, "open").value();
  auto source = store_.open(blob).value();
  lease_.reset();
  ASSERT_EQ(store_.remove_unreferenced({}).value(), 4U);
  EXPECT_EQ(read_all(*source, 10, "blob").value(), "open");
}

TEST_P(ContentStoreContract, ManyWritersOfOneBlobAllSucceed) {
  const std::string bytes(100'000, 'x');
  std::atomic<int> committed = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      auto writer = store_.writer(*lease_).value();
      if (writer->write(as_bytes(bytes)) && writer->commit(Digest::of(bytes))) ++committed;
    });
  }
  threads.clear();
  EXPECT_EQ(committed, 4);
  EXPECT_EQ(read_blob(store_, Digest::of(bytes), bytes.size()).value(), bytes);
}

INSTANTIATE_TEST_SUITE_P(Stores, ContentStoreContract,
                         testing::Values(Implementation{
                             "Local", [] { return std::make_unique<LocalUnderTest>(); }}),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace kiln::oci
