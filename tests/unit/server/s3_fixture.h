// Two servers' storages in one bucket.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "base/io.h"
#include "cache/server/s3_storage.h"
#include "tests/fakes/fake_s3.h"
#include "tests/fakes/must.h"

namespace kiln::server {

class S3StorageTest : public ::testing::Test {
 protected:
  S3StorageOptions options() const {
    S3StorageOptions options;
    options.client.bucket = fake::FakeS3::kBucket;
    options.client.endpoint = s3_.endpoint();
    options.client.credentials = {fake::FakeS3::kAccessKey, fake::FakeS3::kSecretKey, ""};
    options.client.attempts = 2;
    options.client.first_delay = std::chrono::milliseconds(1);
    options.sweeps = {std::chrono::milliseconds(0), std::chrono::milliseconds(0),
                      std::chrono::milliseconds(1), std::chrono::seconds(60)};
    options.chunk_bytes = 20;
    options.part_bytes = fake::FakeS3::kLeastPartBytes;
    return options;
  }
  std::unique_ptr<S3Storage> open() const { return fake::must(S3Storage::open(options())); }
  static void append(BlobStorage& storage, const std::string& id, const std::string& bytes) {
    const auto writer = fake::must(storage.append(id, HashAlgorithm::kSha256));
    fake::must(writer->write(as_bytes(bytes)));
    fake::must(writer->finish());
  }
  static BlobDigest digest(const std::string& bytes) {
    return BlobDigest::of(HashAlgorithm::kSha256, bytes);
  }
  std::string blob(const std::string& bytes) const {
    return s3_.get("blobs/sha256/" + digest(bytes).hex());
  }

  fake::FakeS3 s3_;
  std::unique_ptr<S3Storage> one_ = open(), two_ = open();
};

}  // namespace kiln::server
