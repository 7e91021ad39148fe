// The storages that the contract suite of BlobStorage is run over.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fs.h"
#include "cache/server/directory_storage.h"
#include "cache/server/s3_storage.h"
#include "tests/fakes/fake_s3.h"
#include "tests/fakes/given_bucket.h"
#include "tests/fakes/must.h"

namespace kiln::server {

/// A storage that can be closed and opened again, as a restart does.
class StorageUnderTest {
 public:
  virtual ~StorageUnderTest() = default;
  virtual BlobStorage& open() = 0;
  virtual void close() = 0;
  /// Puts other bytes in place of a blob's, behind the storage's back.
  virtual void damage(const BlobDigest& digest, const std::string& bytes) = 0;
};

class DirectoryUnderTest : public StorageUnderTest {
 public:
  BlobStorage& open() override {
    if (!storage_) storage_ = fake::must(DirectoryStorage::open(dir_.path() + "/store"));
    return *storage_;
  }
  void close() override { storage_.reset(); }
  void damage(const BlobDigest& digest, const std::string& bytes) override {
    const std::string folder = dir_.path() + "/store/blobs/sha256/" + digest.hex().substr(0, 2);
    fake::must(write_file(folder + "/" + digest.hex(), bytes));
  }

 private:
  TempDir dir_ = fake::must(TempDir::create("/tmp", "kiln-storage-"));
  std::unique_ptr<DirectoryStorage> storage_;
};

/// A bucket in which uploads have small pieces; each server that opens it knows nothing of the one
/// before.
inline S3StorageOptions options_under_test() {
  S3StorageOptions options;
  options.sweeps = {std::chrono::milliseconds(0), std::chrono::milliseconds(0),
                    std::chrono::milliseconds(1), std::chrono::seconds(60)};
  options.chunk_bytes = 4;
  return options;
}

/// A fake one, with small pages and parts.
class BucketUnderTest : public StorageUnderTest {
 public:
  BlobStorage& open() override {
    S3StorageOptions options = options_under_test();
    options.client.bucket = fake::FakeS3::kBucket;
    options.client.endpoint = s3_.endpoint();
    options.client.credentials = {fake::FakeS3::kAccessKey, fake::FakeS3::kSecretKey, ""};
    options.prefix = "some/prefix";
    options.part_bytes = fake::FakeS3::kLeastPartBytes;
    if (!storage_) storage_ = fake::must(S3Storage::open(std::move(options)));
    return *storage_;
  }
  void close() override { storage_.reset(); }
  void damage(const BlobDigest& digest, const std::string& bytes) override {
    s3_.put("some/prefix/blobs/sha256/" + digest.hex(), bytes);
  }

 private:
  fake::FakeS3 s3_;
  std::unique_ptr<S3Storage> storage_;
};

/// fake::given_bucket(), if there is one. What is put there stays.
class GivenBucketUnderTest : public StorageUnderTest {
 public:
  BlobStorage& open() override {
    S3StorageOptions options = options_under_test();
    options.client = client();
    options.prefix = prefix_;
    options.most_copied_bytes = 0;  // copies are made of parts, as of what is huge
    if (!storage_) storage_ = fake::must(S3Storage::open(std::move(options)));
    return *storage_;
  }
  void close() override { storage_.reset(); }
  void damage(const BlobDigest& digest, const std::string& bytes) override {
    const auto client = fake::must(S3Client::create(this->client()));
    fake::must(client->put(prefix_ + "/blobs/sha256/" + digest.hex(), bytes));
  }

 private:
  static S3Options client() {
    const fake::BucketAccess access = fake::given_bucket().value();
    S3Options options;
    options.bucket = access.name;
    options.endpoint = access.endpoint;
    options.credentials = {access.key, access.secret, ""};
    return options;
  }

  // Nobody else's: TempDir gives each name once.
  const TempDir name_ = fake::must(TempDir::create("/tmp", "kiln-storage-"));
  const std::string prefix_ =
      "contract/" + BlobDigest::of(HashAlgorithm::kSha256, name_.path()).hex();
  std::unique_ptr<S3Storage> storage_;
};

}  // namespace kiln::server
