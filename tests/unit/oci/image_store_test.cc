#include "oci/image_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "oci/image.h"
#include "store_fixture.h"

namespace kiln::oci {
namespace {

Reference name(std::string_view text) {
  return Reference::parse(text).value();
}

class ImageStoreTest : public testing::Test {
 protected:
  // An image that differs by `text`.
  Descriptor image(const std::string& text) {
    const Digest config = write_blob(*f_.content, *f_.lease, R"({"x":")" + text + "\"}").value();
    const Digest layer = write_blob(*f_.content, *f_.lease, "layer of " + text).value();
    Manifest manifest{std::string(media_type::kManifest),
                      {std::string(media_type::kConfig), config, 1, std::nullopt, {}},
                      {{std::string(media_type::kLayerTar), layer, 1, std::nullopt, {}}},
                      {}};
    const std::string json = to_json_text(manifest);
    const Digest digest = write_blob(*f_.content, *f_.lease, json).value();
    return {manifest.media_type, digest, json.size(), std::nullopt, {}};
  }
  std::string names() {
    std::string all;
    const auto images = store_->list().value();
    for (const StoredImage& stored : images) all += "[" + stored.name + "]";
    return all;
  }
  StoreFixture f_;
  std::unique_ptr<ImageStore> store_ = ImageStore::open(*f_.database).value();
};

TEST_F(ImageStoreTest, FindsByTagAndByDigest) {
  const Descriptor a = image("a");
  ASSERT_TRUE(store_->tag(name("app:1"), a));
  EXPECT_EQ(store_->find(name("app:1")).value()->descriptor, a);
  EXPECT_EQ(store_->find(name("app@" + a.digest.to_string())).value()->descriptor, a);
  EXPECT_FALSE(store_->find(name("app:2")).value());
}

TEST_F(ImageStoreTest, RetaggingLeavesTheOldImageDanglingUnlessItHasAnotherName) {
  const Descriptor a = image("a"), b = image("b");
  ASSERT_TRUE(store_->tag(name("app"), a));
  ASSERT_TRUE(store_->tag(name("other"), a));
  ASSERT_TRUE(store_->tag(name("app"), b));
  EXPECT_EQ(names(), "[docker.io/library/app:latest][docker.io/library/other:latest]");
  ASSERT_TRUE(store_->tag(name("other"), b));
  EXPECT_EQ(names(), "[][docker.io/library/app:latest][docker.io/library/other:latest]");
  ASSERT_TRUE(store_->tag(name("app"), a));
  EXPECT_EQ(names(), "[docker.io/library/app:latest][docker.io/library/other:latest]");
}

TEST_F(ImageStoreTest, ADanglingImageIsKeptOnce) {
  const Descriptor a = image("a");
  ASSERT_TRUE(store_->keep_dangling(a));
  ASSERT_TRUE(store_->keep_dangling(a));
  EXPECT_EQ(names(), "[]");
}

TEST_F(ImageStoreTest, UntaggingTellsWhetherThereWasOne) {
  ASSERT_TRUE(store_->tag(name("app"), image("a")));
  EXPECT_TRUE(store_->untag(name("app")).value());
  EXPECT_FALSE(store_->untag(name("app")).value());
}

TEST_F(ImageStoreTest, RemovingTakesAllNames) {
  const Descriptor a = image("a");
  ASSERT_TRUE(store_->tag(name("x"), a));
  ASSERT_TRUE(store_->tag(name("y"), a));
  ASSERT_TRUE(store_->remove(a.digest));
  EXPECT_EQ(names(), "");
}

TEST_F(ImageStoreTest, AnIdIsAManifestOrConfigDigestOrAUniquePrefix) {
  const Descriptor a = image("a");
  ASSERT_TRUE(store_->tag(name("a"), a));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(store_->keep_dangling(image(std::to_string(i))));
  const std::string config = Digest::of(R"({"x":"a"})").hex();
  for (const std::string& id : {a.digest.hex(), a.digest.to_string(), a.digest.hex().substr(0, 12),
                                config, config.substr(0, 12)}) {
    EXPECT_EQ(store_->find_by_id(*f_.content, id).value()->descriptor, a) << id;
  }
  EXPECT_FALSE(store_->find_by_id(*f_.content, a.digest.hex().substr(0, 3)).value());
  EXPECT_FALSE(store_->find_by_id(*f_.content, "not hex").value());
}

TEST_F(ImageStoreTest, ReachableBlobsAreAllThatAnImageNeeds) {
  const Descriptor a = image("a"),
                   absent{
                       std::string(media_type::kManifest), Digest::of("no"), 2, std::nullopt, {}};
  const Index index{std::string(media_type::kIndex), {a, absent}, {}};
  const std::string json = to_json_text(index);
  const Digest digest = write_blob(*f_.content, *f_.lease, json).value();
  const auto blobs =
      reachable_blobs(*f_.content, {index.media_type, digest, json.size(), std::nullopt, {}});
  EXPECT_THAT(blobs.value(),
              testing::UnorderedElementsAre(digest, a.digest, absent.digest,
                                            Digest::of(R"({"x":"a"})"), Digest::of("layer of a")));
}

}  // namespace
}  // namespace kiln::oci
