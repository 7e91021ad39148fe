#include "cache/downloads.h"

#include <gtest/gtest.h>

#include "base/fs.h"

namespace kiln {
namespace {

class DownloadsTest : public ::testing::Test {
 protected:
  const TempDir directory_ = TempDir::create("/tmp", "kiln-downloads-").value();
  const std::unique_ptr<Database> database_ =
      Database::open(directory_.path() + "/kiln.db").value();
  const std::unique_ptr<Downloads> downloads_ = Downloads::open(*database_).value();
  const DownloadTime now_{std::chrono::seconds(1000)};
  const Download download_{"\"e\"", "Sun, 06 Nov 1994 08:49:37 GMT", Digest::of("x"), 784111777};
};

TEST_F(DownloadsTest, WhatWasSavedIsFoundByItsUrl) {
  ASSERT_TRUE(downloads_->save("https://h/a", download_, now_));
  EXPECT_EQ(downloads_->find("https://h/a").value(), download_);
  EXPECT_EQ(downloads_->find("https://h/b").value(), std::nullopt);
}

TEST_F(DownloadsTest, TheLastOneSavedHolds) {
  ASSERT_TRUE(downloads_->save("https://h/a", download_, now_));
  Download other = download_;
  other.digest = Digest::of("y");
  ASSERT_TRUE(downloads_->save("https://h/a", other, now_));
  EXPECT_EQ(downloads_->find("https://h/a").value(), other);
}

TEST_F(DownloadsTest, NeitherUrlNorCredentialsAreKept) {
  ASSERT_TRUE(downloads_->save("https://u:s3cr3t@host.example/a?token=t0k3n", download_, now_));
  EXPECT_EQ(downloads_->find("https://host.example/a?token=t0k3n").value(), download_);
  auto query = database_->prepare("SELECT url FROM downloads").value();
  ASSERT_TRUE(query.step().value());
  EXPECT_EQ(query.text(0), Digest::of("https://host.example/a?token=t0k3n").hex());
}

TEST_F(DownloadsTest, ARecordThatWasChangedIsNone) {
  ASSERT_TRUE(downloads_->save("https://h/a", download_, now_));
  ASSERT_TRUE(database_->execute("UPDATE downloads SET digest = '" +
                                 Digest::of("forged").to_string() + "'"));
  EXPECT_EQ(downloads_->find("https://h/a").value(), std::nullopt);
}

TEST_F(DownloadsTest, AreListedFromTheLeastRecentlyUsedOn) {
  ASSERT_TRUE(downloads_->save("https://h/a", download_, now_));
  ASSERT_TRUE(downloads_->save("https://h/b", download_, now_));
  ASSERT_TRUE(downloads_->save("https://h/a", download_, now_ + std::chrono::seconds(1)));
  const auto all = downloads_->list().value();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].key, Digest::of("https://h/b").hex());
  EXPECT_EQ(all[0].digest, download_.digest);
  EXPECT_EQ(all[1].last_used, now_ + std::chrono::seconds(1));
  ASSERT_TRUE(downloads_->remove(std::vector<std::string>{all[0].key, "absent"}));
  EXPECT_EQ(downloads_->find("https://h/b").value(), std::nullopt);
  EXPECT_EQ(downloads_->find("https://h/a").value(), download_);
}

TEST_F(DownloadsTest, WhatTheFirstVersionKeptIsStillFound) {
  const std::unique_ptr<Database> old = Database::open(directory_.path() + "/old.db").value();
  ASSERT_TRUE(old->ensure_schema(
      "downloads", 1,
      "CREATE TABLE downloads(url TEXT PRIMARY KEY, etag TEXT NOT NULL, last_modified TEXT NOT "
      "NULL, digest TEXT NOT NULL, mtime INTEGER NOT NULL, checksum TEXT NOT NULL)"));
  ASSERT_TRUE(downloads_->save("https://h/a", download_, now_));
  auto row = database_
                 ->prepare(
                     "SELECT url, etag, last_modified, digest, mtime, checksum FROM "
                     "downloads")
                 .value();
  ASSERT_TRUE(row.step().value());
  auto insert = old->prepare("INSERT INTO downloads VALUES(?1, ?2, ?3, ?4, ?5, ?6)").value();
  for (int i = 0; i < 4; ++i) insert.bind(i + 1, row.text(i));
  ASSERT_TRUE(insert.bind(5, row.integer(4)).bind(6, row.text(5)).run());
  const auto opened = Downloads::open(*old).value();
  EXPECT_EQ(opened->find("https://h/a").value(), download_);
  EXPECT_EQ(opened->list().value().front().last_used, DownloadTime());
}

}  // namespace
}  // namespace kiln
