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
  const Download download_{"\"e\"", "Sun, 06 Nov 1994 08:49:37 GMT", Digest::of("x"), 784111777};
};

TEST_F(DownloadsTest, WhatWasSavedIsFoundByItsUrl) {
  ASSERT_TRUE(downloads_->save("https://h/a", download_));
  EXPECT_EQ(downloads_->find("https://h/a").value(), download_);
  EXPECT_EQ(downloads_->find("https://h/b").value(), std::nullopt);
}

TEST_F(DownloadsTest, TheLastOneSavedHolds) {
  ASSERT_TRUE(downloads_->save("https://h/a", download_));
  Download other = download_;
  other.digest = Digest::of("y");
  ASSERT_TRUE(downloads_->save("https://h/a", other));
  EXPECT_EQ(downloads_->find("https://h/a").value(), other);
}

TEST_F(DownloadsTest, NeitherUrlNorCredentialsAreKept) {
  ASSERT_TRUE(downloads_->save("https://u:s3cr3t@host.example/a?token=t0k3n", download_));
  EXPECT_EQ(downloads_->find("https://host.example/a?token=t0k3n").value(), download_);
  auto query = database_->prepare("SELECT url FROM downloads").value();
  ASSERT_TRUE(query.step().value());
  EXPECT_EQ(query.text(0), Digest::of("https://host.example/a?token=t0k3n").hex());
}

TEST_F(DownloadsTest, ARecordThatWasChangedIsNone) {
  ASSERT_TRUE(downloads_->save("https://h/a", download_));
  ASSERT_TRUE(database_->execute("UPDATE downloads SET digest = '" +
                                 Digest::of("forged").to_string() + "'"));
  EXPECT_EQ(downloads_->find("https://h/a").value(), std::nullopt);
}

}  // namespace
}  // namespace kiln
