#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <random>

#include "base/process.h"
#include "oci/compression.h"
#include "store_fixture.h"

namespace kiln::oci {
namespace {

// Half of it compresses, so that every form of block occurs.
std::string sample(size_t bytes) {
  std::mt19937_64 random(bytes);
  std::string text;
  text.reserve(bytes + 64);
  while (text.size() < bytes) {
    const uint64_t value = random();
    text.append(reinterpret_cast<const char*>(&value), sizeof value).append("the same again ");
    if (text.size() % 3'000'000 < 100'000) text.append(50'000, static_cast<char>(value));
  }
  text.resize(bytes);
  return text;
}

struct Written {
  LayerBlob layer;
  std::string blob;
};

class LayerWriterTest : public testing::Test {
 protected:
  Written write(std::string_view tar, CompressionOptions options, size_t piece = 100'000) {
    auto writer = LayerWriter::create(*f_.content, *f_.lease, options, {}).value();
    for (size_t at = 0; at < tar.size(); at += piece) {
      EXPECT_TRUE(writer->write(as_bytes(tar.substr(at, piece))));
    }
    LayerBlob layer = writer->finish().value();
    std::string blob = read_blob(*f_.content, layer.descriptor.digest, 1U << 30U).value();
    return {std::move(layer), std::move(blob)};
  }
  std::string expand(const std::string& blob) {
    auto source = decompress(std::make_unique<StringSource>(blob)).value();
    return read_all(*source, 1U << 30U, "layer").value();
  }
  StoreFixture f_;
};

const CompressionOptions kEveryOption[] = {
    {Compression::kUncompressed, -1}, {Compression::kGzip, -1}, {Compression::kGzip, 0},
    {Compression::kGzip, 1},          {Compression::kGzip, 2},  {Compression::kGzip, 3},
    {Compression::kGzip, 4},          {Compression::kGzip, 9},  {Compression::kZstd, -1},
    {Compression::kZstd, 1},          {Compression::kZstd, 9},
};

TEST_F(LayerWriterTest, EverySizeAndLevelReadsBackWithItsDigests) {
  for (const size_t bytes : {0U, 1U, 1024U, 512U << 10U, (512U << 10U) + 1, 2U << 20U}) {
    const std::string tar = sample(bytes);
    for (const CompressionOptions& options : kEveryOption) {
      SCOPED_TRACE(std::to_string(bytes) + " " + std::string(layer_media_type(options.type)) + " " +
                   std::to_string(options.level));
      const Written w = write(tar, options);
      EXPECT_EQ(w.layer.diff_id, Digest::of(tar));
      EXPECT_EQ(w.layer.descriptor.digest, Digest::of(w.blob));
      EXPECT_EQ(w.layer.descriptor.size, w.blob.size());
      EXPECT_EQ(w.layer.descriptor.media_type, layer_media_type(options.type));
      EXPECT_EQ(expand(w.blob), tar);
    }
  }
}

TEST_F(LayerWriterTest, TheBytesDoNotDependOnThreadsOrOnHowTheyAreWritten) {
  const std::string tar = sample(6U << 20U);
  for (const CompressionOptions& options : kEveryOption) {
    if (options.level > 3) continue;  // slow, and the same code
    std::vector<Digest> digests;
    for (const size_t threads : {1U, 2U, 8U}) {
      const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
      digests.push_back(write(tar, options, 7777 * threads).layer.descriptor.digest);
    }
    EXPECT_THAT(digests, testing::Each(digests[0]));
  }
}

// What other tools make of it: `gzip -t` wants one member with the right CRC and size.
TEST_F(LayerWriterTest, GzipAndZstdTakeTheBlobs) {
  const std::string tar = sample(5U << 20U);
  const std::pair<CompressionOptions, const char*> cases[] = {{{Compression::kGzip, -1}, "gzip"},
                                                              {{Compression::kGzip, 0}, "gzip"},
                                                              {{Compression::kGzip, 6}, "gzip"},
                                                              {{Compression::kZstd, -1}, "zstd"}};
  for (const auto& [options, tool] : cases) {
    const Written w = write(tar, options);
    ProcessSpec spec;
    spec.argv = {tool, "-dc"};
    spec.env = {"PATH=/usr/bin:/bin"};
    auto run = run_captured(spec, w.blob, 64U << 20U, {});
    if (!run) GTEST_SKIP() << run.error().to_string();
    EXPECT_TRUE(run->exit.ok()) << run->err;
    EXPECT_EQ(run->err, "");
    EXPECT_EQ(Digest::of(run->out), Digest::of(tar));
  }
}

TEST_F(LayerWriterTest, GzipBlobsSayNothingAboutTimeOrSystem) {
  const Written w = write("x", {});
  EXPECT_EQ(w.blob.substr(0, 10), std::string("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10));
}

TEST_F(LayerWriterTest, AStopEndsWritingAndLeavesNothing) {
  std::stop_source stop;
  const std::string tar = sample(4U << 20U);
  {
    auto writer = LayerWriter::create(*f_.content, *f_.lease, {}, stop.get_token()).value();
    ASSERT_TRUE(writer->write(as_bytes(tar)));
    stop.request_stop();
    EXPECT_EQ(writer->write(as_bytes(tar)).error().code(), Code::kCancelled);
    EXPECT_EQ(writer->finish().error().code(), Code::kCancelled);
  }
  const Root ingest = Root::open(f_.content->directory() + "/ingest").value();
  EXPECT_TRUE(list_dir(ingest.fd()).value().empty());
}

TEST_F(LayerWriterTest, AnUnfinishedWriterLeavesNothing) {
  {
    auto writer = LayerWriter::create(*f_.content, *f_.lease, {}, {}).value();
    ASSERT_TRUE(writer->write(as_bytes(sample(10U << 20U))));
  }
  const Root ingest = Root::open(f_.content->directory() + "/ingest").value();
  EXPECT_TRUE(list_dir(ingest.fd()).value().empty());
}

TEST_F(LayerWriterTest, LevelsOutOfRangeAreRefused) {
  const CompressionOptions wrong[] = {{Compression::kGzip, 10},
                                      {Compression::kGzip, -2},
                                      {Compression::kZstd, 23},
                                      {Compression::kUncompressed, 1}};
  for (const CompressionOptions& options : wrong) {
    const auto writer = LayerWriter::create(*f_.content, *f_.lease, options, {});
    ASSERT_FALSE(writer);
    EXPECT_EQ(writer.error().code(), Code::kInvalidArgument);
  }
}

// A store whose disk fills up.
class FullStore : public ContentStore {
 public:
  struct Writer : BlobWriter {
    uint64_t left = 1U << 20U;
    Status write(std::span<const std::byte> data) override {
      if (data.size() > left) return fail(Code::kResourceExhausted, "disk full");
      left -= data.size();
      return {};
    }
    Result<Committed> commit(const std::optional<Digest>& /*expected*/) override {
      ADD_FAILURE() << "committed although a write failed";
      return fail(Code::kInternal, "committed");
    }
  };
  Result<std::optional<uint64_t>> size(const Digest& /*blob*/) override { return std::nullopt; }
  Result<std::unique_ptr<Source>> open(const Digest& /*blob*/) override {
    return fail(Code::kNotFound, "");
  }
  Result<Fd> open_fd(const Digest& /*blob*/) override { return fail(Code::kNotFound, ""); }
  Result<std::unique_ptr<BlobWriter>> writer(const Lease& /*lease*/) override {
    return std::make_unique<Writer>();
  }
  Result<bool> touch(const Digest& /*blob*/, const Lease& /*lease*/) override { return false; }
  Result<uint64_t> remove_unreferenced(const std::vector<Digest>& /*keep*/,
                                       uint64_t /*before*/) override {
    return 0;
  }
};

TEST_F(LayerWriterTest, AFullDiskEndsTheWriterWhateverStageMeetsIt) {
  FullStore store;
  for (const CompressionOptions& options : kEveryOption) {
    auto writer = LayerWriter::create(store, *f_.lease, options, {}).value();
    const std::string tar = sample(4U << 20U);
    const Status written = writer->write(as_bytes(tar));
    const auto finished = writer->finish();
    ASSERT_FALSE(finished);
    EXPECT_EQ(finished.error().code(), Code::kResourceExhausted);
    if (!written) {
      EXPECT_EQ(written.error().code(), Code::kResourceExhausted);
    }
  }
}

TEST_F(LayerWriterTest, RecompressingKeepsTheDiffId) {
  const std::string tar = sample(3U << 20U);
  const Written gzip = write(tar, {});
  const LayerBlob zstd =
      recompress(*f_.content, *f_.lease, gzip.layer, {Compression::kZstd, -1}, {}).value();
  EXPECT_EQ(zstd.diff_id, gzip.layer.diff_id);
  EXPECT_EQ(zstd.descriptor.media_type, media_type::kLayerZstd);
  EXPECT_EQ(expand(read_blob(*f_.content, zstd.descriptor.digest, 1U << 30U).value()), tar);
}

TEST_F(LayerWriterTest, RecompressingALayerThatHoldsSomethingElseIsDataLoss) {
  LayerBlob layer = write("tar", {}).layer;
  layer.diff_id = Digest::of("another tar");
  const auto result = recompress(*f_.content, *f_.lease, layer, {Compression::kZstd, -1}, {});
  EXPECT_EQ(result.error().code(), Code::kDataLoss);
}

TEST(CompressionTest, NamesAreThoseOfTheCommandLine) {
  EXPECT_EQ(parse_compression("gzip").value(), Compression::kGzip);
  EXPECT_EQ(parse_compression("zstd").value(), Compression::kZstd);
  EXPECT_EQ(parse_compression("uncompressed").value(), Compression::kUncompressed);
  EXPECT_THAT(parse_compression("gzp").error().message(), testing::HasSubstr("did you mean gzip"));
  EXPECT_EQ(parse_compression("estargz").error().code(), Code::kUnimplemented);
}

}  // namespace
}  // namespace kiln::oci
