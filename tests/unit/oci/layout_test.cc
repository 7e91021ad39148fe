#include "oci/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "oci/compression.h"
#include "oci/image_store.h"
#include "oci/tar.h"
#include "raw_tar.h"
#include "store_fixture.h"

namespace kiln::oci {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LayoutTest : public testing::Test {
 protected:
  // A real one: layer, config with its diff ID, manifest.
  NamedImage image(StoreFixture& f, const std::string& text, const std::vector<std::string>& names,
                   CompressionOptions options = {}) {
    auto writer = LayerWriter::create(*f.content, *f.lease, options, {}).value();
    EXPECT_TRUE(writer->write(as_bytes(raw_entry(text, text) + kTarEnd)));
    const LayerBlob layer = writer->finish().value();
    const std::string config = R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers",)"
                               R"("diff_ids":[")" +
                               layer.diff_id.to_string() + R"("]}})";
    const Digest config_digest = write_blob(*f.content, *f.lease, config).value();
    Manifest manifest{
        std::string(media_type::kManifest),
        {std::string(media_type::kConfig), config_digest, config.size(), std::nullopt, {}},
        {layer.descriptor},
        {}};
    const std::string json = to_json_text(manifest);
    const Digest digest = write_blob(*f.content, *f.lease, json).value();
    return {names, {manifest.media_type, digest, json.size(), std::nullopt, {}}};
  }
  static std::string oci_tar(StoreFixture& f, const std::vector<NamedImage>& images) {
    StringSink sink;
    EXPECT_TRUE(write_oci_tar(*f.content, images, sink, {}));
    return sink.take();
  }
  static std::string docker_tar(StoreFixture& f, const std::vector<NamedImage>& images) {
    StringSink sink;
    EXPECT_TRUE(write_docker_tar(*f.content, images, sink, {}));
    return sink.take();
  }
  static Result<std::vector<NamedImage>> read(StoreFixture& f, const std::string& tar) {
    return read_archive(*f.content, *f.lease, std::make_unique<StringSource>(tar), {});
  }
  static bool complete(StoreFixture& f, const NamedImage& image) {
    const auto blobs = reachable_blobs(*f.content, image.descriptor).value();
    return blobs.size() > 2 && std::ranges::all_of(blobs, [&](const Digest& blob) {
             return read_blob(*f.content, blob, 1 << 20).has_value();
           });
  }
  static std::vector<std::string> entry_names(const std::string& tar) {
    auto reader = TarReader::open(std::make_unique<StringSource>(tar)).value();
    std::vector<std::string> names;
    while (auto entry = reader->next().value()) names.push_back(entry->path.str());
    return names;
  }

  StoreFixture from_, to_;
};

const std::string kApp = "docker.io/library/app:1";

TEST_F(LayoutTest, AnOciTarReadsBackWithNamesAndBlobs) {
  const NamedImage a = image(from_, "a", {kApp, "reg.example/x:y"});
  const NamedImage b = image(from_, "b", {});
  const auto read_back = read(to_, oci_tar(from_, {a, b})).value();
  ASSERT_EQ(read_back.size(), 2U);
  EXPECT_THAT(read_back[0].names, ElementsAre(kApp, "reg.example/x:y"));
  EXPECT_EQ(read_back[0].descriptor, a.descriptor);
  EXPECT_THAT(read_back[1].names, ElementsAre());
  EXPECT_TRUE(complete(to_, read_back[0]));
  EXPECT_TRUE(complete(to_, read_back[1]));
}

TEST_F(LayoutTest, AnOciTarIsDeterministicAndSorted) {
  const NamedImage a = image(from_, "a", {kApp});
  const std::string tar = oci_tar(from_, {a});
  EXPECT_EQ(tar, oci_tar(from_, {a}));
  const auto names = entry_names(tar);
  EXPECT_TRUE(std::ranges::is_sorted(names));
  EXPECT_EQ(names.front(), "blobs");
  EXPECT_EQ(names.back(), "oci-layout");
}

TEST_F(LayoutTest, DamageIsMetWhereItWouldBeExportedAllOfItAtOnce) {
  const NamedImage a = image(from_, "a", {kApp});
  const auto blobs = reachable_blobs(*from_.content, a.descriptor).value();
  for (const Digest& blob : blobs) {
    if (blob == a.descriptor.digest) continue;  // read anyway, to find the others
    const uint64_t size = from_.content->size(blob).value().value();
    ASSERT_TRUE(write_file(from_.blob_path(blob), std::string(size, 'x')));
  }
  from_.content =
      LocalContentStore::open(*from_.database, *from_.leases, from_.root.path() + "/content")
          .value();
  StringSink sink;
  const Status written = write_oci_tar(*from_.content, {&a, 1}, sink, {});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code(), Code::kDataLoss);
  for (const Digest& blob : blobs)
    EXPECT_EQ(from_.content->size(blob).value().has_value(), blob == a.descriptor.digest);
  const Status placed =
      write_oci_directory(*from_.content, {&a, 1}, to_.root.path() + "/layout", {});
  EXPECT_FALSE(placed);
}

TEST_F(LayoutTest, ADockerTarReadsBackAsItselfAndAsDocker) {
  const NamedImage a = image(from_, "a", {kApp});
  const std::string tar = docker_tar(from_, {a});
  EXPECT_THAT(entry_names(tar), testing::Contains("manifest.json"));
  EXPECT_THAT(tar, HasSubstr(R"("RepoTags":["app:1"])"));
  const auto read_back = read(to_, tar).value();
  ASSERT_EQ(read_back.size(), 1U);
  EXPECT_EQ(read_back[0].descriptor, a.descriptor);
  EXPECT_THAT(read_back[0].names, ElementsAre(kApp));
}

// As docker before 25 saved: no index.json, layers as <id>/layer.tar, a shared one as a symlink.
TEST_F(LayoutTest, AnOldDockerArchiveGetsAManifest) {
  const std::string layer = raw_entry("file", "data") + kTarEnd;
  const std::string diff_id = Digest::of(layer).to_string();
  const std::string config = R"({"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[")" +
                             diff_id + R"(",")" + diff_id + R"("]}})";
  const std::string manifest =
      R"([{"Config":"c.json","RepoTags":["app:1"],"Layers":["one/layer.tar","two/layer.tar"]}])";
  const std::string tar =
      raw_entry("one/", "", '5') + raw_entry("one/VERSION", "1.0") +
      raw_entry("one/layer.tar", layer) + raw_entry("two/layer.tar", "", '2', "../one/layer.tar") +
      raw_entry("c.json", config) + raw_entry("manifest.json", manifest) + kTarEnd;
  const auto images = read(to_, tar);
  ASSERT_TRUE(images) << images.error().to_string();
  ASSERT_EQ(images->size(), 1U);
  EXPECT_THAT((*images)[0].names, ElementsAre(kApp));
  const std::string text = read_blob(*to_.content, (*images)[0].descriptor.digest, 9999).value();
  const Manifest made = parse_manifest(text).value();
  ASSERT_EQ(made.layers.size(), 2U);
  EXPECT_EQ(made.layers[0].digest, Digest::of(layer));
  EXPECT_EQ(made.layers[1], made.layers[0]);
  EXPECT_EQ(made.config.digest, Digest::of(config));
}

TEST_F(LayoutTest, ACompressedArchiveIsReadToo) {
  const NamedImage a = image(from_, "a", {kApp});
  auto writer = LayerWriter::create(*from_.content, *from_.lease, {Compression::kZstd, -1}, {});
  ASSERT_TRUE((*writer)->write(as_bytes(oci_tar(from_, {a}))));
  const LayerBlob packed = (*writer)->finish().value();
  const std::string tar = read_blob(*from_.content, packed.descriptor.digest, 1 << 20).value();
  EXPECT_EQ(read(to_, tar).value()[0].descriptor, a.descriptor);
}

TEST_F(LayoutTest, DamagedArchivesAreRefused) {
  const NamedImage a = image(from_, "a", {kApp});
  const std::string tar = oci_tar(from_, {a});
  std::string flipped = tar;
  flipped[3 * 512 + 4] ^= 1;  // in the first blob
  const std::string old = R"([{"Config":"c.json","Layers":["l.tar"]}])";
  const std::string digest = Digest::of("x").to_string();
  const std::string config = R"({"rootfs":{"diff_ids":[")" + digest + R"("]}})";
  const std::string cases[] = {
      "",
      kTarEnd,
      tar.substr(0, tar.size() / 2),
      flipped,
      raw_entry("manifest.json", "nonsense") + kTarEnd,
      raw_entry("manifest.json", old) + kTarEnd,
      raw_entry("c.json", config) + raw_entry("l.tar", "other") + raw_entry("manifest.json", old) +
          kTarEnd,
      raw_entry("../evil", "x") + tar,
      raw_entry("index.json", R"({"manifests":[{"mediaType":")" +
                                  std::string(media_type::kManifest) + R"(","digest":")" + digest +
                                  R"(","size":1}]})") +
          kTarEnd,
  };
  for (size_t i = 0; i < std::size(cases); ++i) {
    StoreFixture fresh;
    EXPECT_FALSE(read(fresh, cases[i])) << i;
  }
}

TEST_F(LayoutTest, ADirectoryReadsBackAndGrows) {
  const NamedImage a = image(from_, "a", {kApp}), b = image(from_, "b", {"docker.io/library/b:2"});
  const std::string directory = from_.root.path() + "/layout";
  ASSERT_TRUE(write_oci_directory(*from_.content, std::array{a}, directory, {}));
  ASSERT_TRUE(write_oci_directory(*from_.content, std::array{b}, directory, {}));
  const auto images = read_layout_directory(*to_.content, *to_.lease, directory, {}).value();
  ASSERT_EQ(images.size(), 2U);
  EXPECT_TRUE(complete(to_, images[0]));
  EXPECT_TRUE(complete(to_, images[1]));

  StoreFixture one;
  const auto chosen = import_from_layout(*one.content, *one.lease, directory, "2", {}).value();
  EXPECT_EQ(chosen.descriptor, b.descriptor);
  EXPECT_FALSE(one.content->size(a.descriptor.digest).value());
  const std::string digest = a.descriptor.digest.to_string();
  EXPECT_TRUE(import_from_layout(*one.content, *one.lease, directory, digest, {}));
  EXPECT_FALSE(import_from_layout(*one.content, *one.lease, directory, "", {}));
  EXPECT_EQ(import_from_layout(*one.content, *one.lease, directory, "nope", {}).error().code(),
            Code::kNotFound);
}

TEST_F(LayoutTest, RewritingANameReplacesIt) {
  const std::string directory = from_.root.path() + "/layout";
  ASSERT_TRUE(
      write_oci_directory(*from_.content, std::array{image(from_, "a", {kApp})}, directory, {}));
  const NamedImage b = image(from_, "b", {kApp});
  ASSERT_TRUE(write_oci_directory(*from_.content, std::array{b}, directory, {}));
  const auto images = read_layout_directory(*to_.content, *to_.lease, directory, {}).value();
  ASSERT_EQ(images.size(), 1U);
  EXPECT_EQ(images[0].descriptor, b.descriptor);
}

TEST_F(LayoutTest, ASymlinkInALayoutDoesNotLeaveIt) {
  const std::string directory = from_.root.path() + "/layout";
  const NamedImage a = image(from_, "a", {kApp});
  ASSERT_TRUE(write_oci_directory(*from_.content, std::array{a}, directory, {}));
  const std::string blob = directory + "/blobs/sha256/" + a.descriptor.digest.hex();
  const std::string outside = from_.root.path() + "/outside";
  ASSERT_EQ(::rename(blob.c_str(), outside.c_str()), 0);
  ASSERT_EQ(::symlink(outside.c_str(), blob.c_str()), 0);
  EXPECT_FALSE(read_layout_directory(*to_.content, *to_.lease, directory, {}));
}

TEST_F(LayoutTest, ABlobThatWasChangedInTheLayoutIsDataLoss) {
  const std::string directory = from_.root.path() + "/layout";
  const NamedImage a = image(from_, "a", {kApp});
  ASSERT_TRUE(write_oci_directory(*from_.content, std::array{a}, directory, {}));
  ASSERT_TRUE(write_file(directory + "/blobs/sha256/" + a.descriptor.digest.hex(), "{}"));
  const auto images = read_layout_directory(*to_.content, *to_.lease, directory, {});
  EXPECT_EQ(images.error().code(), Code::kDataLoss);
}

TEST_F(LayoutTest, AnIndexOfTwoPlatformsIsNoDockerArchive) {
  const NamedImage a = image(from_, "a", {}), b = image(from_, "b", {});
  Index index{std::string(media_type::kIndex), {a.descriptor, b.descriptor}, {}};
  index.manifests[0].platform = Platform{"linux", "amd64", ""};
  index.manifests[1].platform = Platform{"linux", "arm64", ""};
  const std::string json = to_json_text(index);
  const Digest digest = write_blob(*from_.content, *from_.lease, json).value();
  const NamedImage both{{kApp}, {index.media_type, digest, json.size(), std::nullopt, {}}};
  StringSink sink;
  EXPECT_EQ(write_docker_tar(*from_.content, std::array{both}, sink, {}).error().code(),
            Code::kInvalidArgument);
  EXPECT_TRUE(complete(to_, read(to_, oci_tar(from_, {both})).value()[0]));
}

}  // namespace
}  // namespace kiln::oci
