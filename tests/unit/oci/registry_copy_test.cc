#include "oci/registry_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "registry_fixture.h"

namespace kiln::oci {
namespace {

using testing::HasSubstr;

class RegistryCopyTest : public testing::Test {
 protected:
  RegistryAccess access() {
    return {http_.get(), &credentials_, nullptr, std::chrono::milliseconds(1)};
  }
  Status copy(const Digest& digest, const std::string& to_host, const std::string& to_path) {
    const Reference from = Reference::parse(from_.host() + "/app").value();
    const Reference to = Reference::parse(to_host + "/" + to_path).value();
    KILN_TRY_ASSIGN(const auto source, Repository::open(access(), from, {}));
    KILN_TRY_ASSIGN(const auto target, Repository::open(access(), to, {}, RegistryRights::kPush));
    return copy_manifest({*source, from, *target, to}, digest, {}, {});
  }
  void expect_copied(fake::FakeRegistry& to, const Descriptor& image, const std::string& path) {
    const std::string text = from_.manifest("app", image.digest.to_string()).value();
    EXPECT_EQ(to.manifest(path, image.digest.to_string()), text);
    const Manifest manifest = parse_manifest(text).value();
    for (const Descriptor& layer : manifest.layers)
      EXPECT_EQ(to.blob(path, layer.digest.to_string()),
                from_.blob("app", layer.digest.to_string()));
  }
  ImageRegistry from_;
  fake::FakeRegistry to_;
  std::unique_ptr<HttpClient> http_ = HttpClient::create("kiln-test");
  CredentialStore credentials_;
};

TEST_F(RegistryCopyTest, AnIndexIsCopiedWithAllItNamesAndOnlyOnce) {
  Index index;
  index.manifests = {from_.add_image("one"), from_.add_image("two")};
  const Descriptor image = from_.add_document(index.media_type, to_json_text(index));
  ASSERT_TRUE(copy(image.digest, to_.host(), "copy"));
  EXPECT_TRUE(to_.manifest("copy", image.digest.to_string()));
  for (const Descriptor& entry : index.manifests) expect_copied(to_, entry, "copy");
  const size_t fetched = from_.asked("/blobs/", "GET");
  EXPECT_EQ(fetched, 6U);
  ASSERT_TRUE(copy(image.digest, to_.host(), "copy"));
  EXPECT_EQ(from_.asked("/blobs/", "GET"), fetched);
}

TEST_F(RegistryCopyTest, OnOneRegistryBlobsAreMounted) {
  const Descriptor image = from_.add_image("one");
  ASSERT_TRUE(copy(image.digest, from_.host(), "other"));
  expect_copied(from_, image, "other");
  EXPECT_EQ(from_.asked("/blobs/", "GET"), 0U);
}

TEST_F(RegistryCopyTest, WhatBreaksOffOnEitherSideGoesOn) {
  const Descriptor big = from_.add(media_type::kLayerTar, std::string(5U << 20U, 'x'));
  Manifest manifest{
      std::string(media_type::kManifest), from_.add(media_type::kConfig, "{}"), {}, {}};
  manifest.layers = {big};
  const Descriptor image = from_.add_document(manifest.media_type, to_json_text(manifest));
  from_.script("GET", big.digest.to_string(), fake::FakeRegistry::cut_after(100'000));
  to_.script("PATCH", "/uploads/", to_.break_after(1'000'000));
  ASSERT_TRUE(copy(image.digest, to_.host(), "copy"));
  expect_copied(to_, image, "copy");
}

TEST_F(RegistryCopyTest, WhatIsNotWhatItsDigestSaysDoesNotArrive) {
  const Descriptor image = from_.add_image("one");
  const Manifest manifest =
      parse_manifest(from_.manifest("app", image.digest.to_string()).value()).value();
  const Descriptor& layer = manifest.layers[1];
  from_.script("GET", layer.digest.to_string(),
               [&](const fake::Request&, const std::function<fake::Response()>& normal) {
                 fake::Response wrong = normal();
                 wrong.body[1000] ^= 1;
                 return wrong;
               });
  const Status copied = copy(image.digest, to_.host(), "copy");
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code(), Code::kDataLoss);
  EXPECT_THAT(copied.error().to_string(), HasSubstr("came with digest sha256:"));
  EXPECT_FALSE(to_.blob("copy", layer.digest.to_string()));
  EXPECT_FALSE(to_.manifest("copy", image.digest.to_string()));
}

}  // namespace
}  // namespace kiln::oci
