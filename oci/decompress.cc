#include <bzlib.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "oci/compression.h"

namespace kiln::oci {
namespace {

constexpr size_t kInputBytes = 256U << 10U;
constexpr int kZstdWindowLog = 27;  // 128 MiB; SAFETY.md 1.2
constexpr uint64_t kXzMemoryBytes = 192ULL
                                    << 20;  // the same window and what liblzma keeps beside it

using Input = std::span<const std::byte>;
using Output = std::span<std::byte>;

// One format. decode() takes from `in`, gives to `out`, both of which it shortens; true: a member,
// stream or frame ended.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual Status start() = 0;  // before each member
  virtual Result<bool> decode(Input& in, Output& out) = 0;
};

tl::unexpected<Error> damaged(std::string_view format) {
  return fail(Code::kDataLoss, std::string(format) + ": the data is damaged");
}

class GzipDecoder : public Decoder {
 public:
  GzipDecoder() : state_(std::make_unique<inflate_state>()) {}
  Status start() override {
    isal_inflate_init(state_.get());
    state_->crc_flag = ISAL_GZIP;
    return {};
  }
  Result<bool> decode(Input& in, Output& out) override {
    state_->next_in = const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(in.data()));
    state_->avail_in = static_cast<uint32_t>(in.size());
    state_->next_out = reinterpret_cast<uint8_t*>(out.data());
    state_->avail_out = static_cast<uint32_t>(out.size());
    if (isal_inflate(state_.get()) != ISAL_DECOMP_OK) return damaged("gzip");
    in = in.last(state_->avail_in);
    out = out.last(state_->avail_out);
    return state_->block_state == ISAL_BLOCK_FINISH;
  }

 private:
  std::unique_ptr<inflate_state> state_;
};

class ZstdDecoder : public Decoder {
 public:
  ZstdDecoder() : stream_(ZSTD_createDStream()) { KILN_CHECK(stream_ != nullptr); }
  Status start() override {
    ZSTD_initDStream(stream_.get());
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kZstdWindowLog);
    return {};
  }
  Result<bool> decode(Input& in, Output& out) override {
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const size_t left = ZSTD_decompressStream(stream_.get(), &to, &from);
    if (ZSTD_isError(left) != 0) {
      return fail(Code::kDataLoss, std::string("zstd: ") + ZSTD_getErrorName(left));
    }
    in = in.subspan(from.pos);
    out = out.subspan(to.pos);
    return left == 0;
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };
  std::unique_ptr<ZSTD_DStream, Free> stream_;
};

class Bzip2Decoder : public Decoder {
 public:
  ~Bzip2Decoder() override { end(); }
  Status start() override {
    end();
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) {
      return fail(Code::kResourceExhausted, "bzip2: out of memory");
    }
    started_ = true;
    return {};
  }
  Result<bool> decode(Input& in, Output& out) override {
    stream_.next_in = const_cast<char*>(reinterpret_cast<const char*>(in.data()));
    stream_.avail_in = static_cast<unsigned>(in.size());
    stream_.next_out = reinterpret_cast<char*>(out.data());
    stream_.avail_out = static_cast<unsigned>(out.size());
    const int rc = BZ2_bzDecompress(&stream_);
    if (rc != BZ_OK && rc != BZ_STREAM_END) return damaged("bzip2");
    in = in.last(stream_.avail_in);
    out = out.last(stream_.avail_out);
    return rc == BZ_STREAM_END;
  }

 private:
  void end() {
    if (started_) BZ2_bzDecompressEnd(&stream_);
    stream_ = {};
    started_ = false;
  }
  bz_stream stream_{};
  bool started_ = false;
};

class XzDecoder : public Decoder {
 public:
  ~XzDecoder() override { lzma_end(&stream_); }
  Status start() override {
    if (lzma_stream_decoder(&stream_, kXzMemoryBytes, 0) == LZMA_OK) return {};
    return fail(Code::kResourceExhausted, "xz: out of memory");
  }
  Result<bool> decode(Input& in, Output& out) override {
    stream_.next_in = reinterpret_cast<const uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<uint8_t*>(out.data());
    stream_.avail_out = out.size();
    const lzma_ret rc = lzma_code(&stream_, LZMA_RUN);
    in = in.last(stream_.avail_in);
    out = out.last(stream_.avail_out);
    if (rc == LZMA_MEMLIMIT_ERROR) {
      return fail(Code::kResourceExhausted, "xz: its dictionary is larger than 128 MiB");
    }
    // BUF_ERROR: no progress was possible, which the caller finds out by itself.
    if (rc != LZMA_OK && rc != LZMA_STREAM_END && rc != LZMA_BUF_ERROR) return damaged("xz");
    return rc == LZMA_STREAM_END;
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
};

// Members of one format, one after the other: gzip, bzip2 and xz files may be concatenated, zstd
// files are rows of frames. Zero bytes between and behind them are padding, as gzip(1) and xz(1)
// have it.
class DecompressingSource : public Source {
 public:
  DecompressingSource(std::unique_ptr<Source> from, std::unique_ptr<Decoder> decoder,
                      std::span<const std::byte> head)
      : from_(std::move(from)), decoder_(std::move(decoder)), buffer_(kInputBytes) {
    std::ranges::copy(head, buffer_.begin());
    in_ = Input(buffer_).first(head.size());
  }

  Result<size_t> read(std::span<std::byte> buffer) override {
    if (buffer.empty()) return size_t{0};
    while (true) {
      if (between_) {
        KILN_TRY_ASSIGN(const bool more, next_member());
        if (!more) return size_t{0};
      }
      const size_t before = in_.size();
      Output out = buffer;
      KILN_TRY_ASSIGN(between_, decoder_->decode(in_, out));
      const size_t produced = buffer.size() - out.size();
      if (produced > 0) return produced;
      if (between_ || in_.size() < before) continue;
      KILN_TRY_ASSIGN(const bool more, refill());
      if (!more) return fail(Code::kDataLoss, "compressed data ends too early");
    }
  }

 private:
  // Keeps what a decoder left over. False: end of the source.
  Result<bool> refill() {
    if (in_.size() == buffer_.size()) return damaged("compressed data");
    std::memmove(buffer_.data(), in_.data(), in_.size());
    const size_t kept = in_.size();
    KILN_TRY_ASSIGN(const size_t count, from_->read(std::span(buffer_).subspan(kept)));
    in_ = Input(buffer_).first(kept + count);
    return count > 0;
  }

  Result<bool> next_member() {
    while (true) {
      const auto data = std::ranges::find_if(in_, [](std::byte b) { return b != std::byte{0}; });
      in_ = in_.subspan(static_cast<size_t>(data - in_.begin()));
      if (!in_.empty()) break;
      KILN_TRY_ASSIGN(const bool more, refill());
      if (!more) return false;
    }
    KILN_TRY(decoder_->start());
    between_ = false;
    return true;
  }

  std::unique_ptr<Source> from_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<std::byte> buffer_;
  Input in_;  // of buffer_: not decoded yet
  bool between_ = true;
};

std::unique_ptr<Decoder> decoder_for(Detected format) {
  switch (format) {
    case Detected::kGzip:
      return std::make_unique<GzipDecoder>();
    case Detected::kBzip2:
      return std::make_unique<Bzip2Decoder>();
    case Detected::kXz:
      return std::make_unique<XzDecoder>();
    case Detected::kZstd:
      return std::make_unique<ZstdDecoder>();
    case Detected::kNone:
      break;
  }
  return nullptr;
}

}  // namespace

Result<std::unique_ptr<Source>> decompress(std::unique_ptr<Source> from) {
  std::array<std::byte, 6> bytes{};
  size_t size = 0;
  while (size < bytes.size()) {
    KILN_TRY_ASSIGN(const size_t count, from->read(std::span(bytes).subspan(size)));
    if (count == 0) break;
    size += count;
  }
  const auto head = std::span<const std::byte>(bytes).first(size);
  auto decoder = decoder_for(detect_compression(head));
  if (!decoder) return std::make_unique<PrefixedSource>(head, std::move(from));
  return std::make_unique<DecompressingSource>(std::move(from), std::move(decoder), head);
}

}  // namespace kiln::oci
