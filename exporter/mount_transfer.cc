#include "exporter/mount_transfer.h"

#include <algorithm>
#include <map>
#include <vector>

#include "base/parallel.h"
#include "cache/chunker.h"
#include "cache/entry.h"
#include "cache/mount_entry.h"
#include "oci/block_codec.h"
#include "oci/tar.h"
#include "snapshotter/layer_apply.h"
#include "snapshotter/layer_diff.h"

namespace kiln {
namespace {

using cache::MountChunk;
using cache::MountEntry;

constexpr size_t kAtOnce = 4;

Result<std::optional<MountEntry>> look_up(const MountTransfer& transfer, const std::string& id) {
  const std::vector<CacheKey> key{cache::mount_key(id)};
  auto entries = transfer.transport.lookup(key, transfer.stop);
  if (!entries && entries.error().code() == Code::kNotFound) return std::nullopt;
  if (!entries) return tl::unexpected(entries.error());
  if (entries->empty() || !entries->front()) return std::nullopt;
  const auto entry = cache::decode_mount(id, *entries->front());
  if (!entry) return std::nullopt;  // a newer kiln's, or garbage
  return *entry;
}

// ---- in

/// Bytes of the chunks, some of them fetched at once.
class ChunkSource : public Source {
 public:
  ChunkSource(const MountTransfer& transfer, std::vector<MountChunk> chunks)
      : transfer_(transfer), chunks_(std::move(chunks)) {}

  Result<size_t> read(std::span<std::byte> buffer) override {
    while (position_ == current_.size()) {
      if (next_ == group_.size()) {
        if (fetched_ == chunks_.size()) return size_t{0};
        KILN_TRY(fetch_group());
      }
      current_ = std::move(group_[next_++]);
      position_ = 0;
    }
    const size_t count = std::min(buffer.size(), current_.size() - position_);
    std::copy_n(as_bytes(current_).begin() + static_cast<ptrdiff_t>(position_), count,
                buffer.begin());
    position_ += count;
    return count;
  }

 private:
  Status fetch_group() {
    const size_t count = std::min(2 * kAtOnce, chunks_.size() - fetched_);
    group_.assign(count, {});
    next_ = 0;
    KILN_TRY(for_each_at_once(count, kAtOnce, [&](size_t i) -> Status {
      KILN_TRY_ASSIGN(group_[i], fetch(chunks_[fetched_ + i]));
      return {};
    }));
    fetched_ += count;
    return {};
  }

  Result<std::string> fetch(const MountChunk& chunk) const {
    StringSink blob;
    KILN_TRY(transfer_.transport.fetch(chunk.blob, blob, transfer_.stop));
    if (Digest::of(blob.data()) != chunk.blob.digest)
      return fail(Code::kDataLoss, "chunk " + chunk.blob.digest.to_string() + " has other bytes");
    KILN_TRY_ASSIGN(const auto raw, oci::decompress(std::make_unique<StringSource>(blob.take())));
    KILN_TRY_ASSIGN(std::string bytes, read_all(*raw, chunk.raw_bytes, "chunk"));
    if (Digest::of(bytes) != chunk.raw)
      return fail(Code::kDataLoss, "chunk " + chunk.blob.digest.to_string() + " is another one");
    return bytes;
  }

  const MountTransfer& transfer_;
  const std::vector<MountChunk> chunks_;
  size_t fetched_ = 0;
  std::vector<std::string> group_;
  size_t next_ = 0;  // of group_
  std::string current_;
  size_t position_ = 0;
};

// ---- out

Result<std::string> compress(oci::BlockCodec& codec, std::span<const std::byte> raw) {
  const oci::BlockShape shape = oci::block_shape(oci::Compression::kZstd);
  std::string out;
  std::string block(shape.output_bytes, '\0');
  while (!raw.empty()) {
    const auto some = raw.first(std::min(raw.size(), shape.input_bytes));
    KILN_TRY_ASSIGN(
        const oci::CompressedBlock done,
        codec.compress(some, std::as_writable_bytes(std::span(block.data(), block.size()))));
    out.append(block, 0, done.bytes);
    raw = raw.subspan(some.size());
  }
  return out;
}

class MountSender {
 public:
  MountSender(const MountTransfer& transfer, const std::string& id)
      : transfer_(transfer), entry_{id, {}} {}

  Result<MountSent> run(const Root& from) {
    KILN_TRY_ASSIGN(const auto before, look_up(transfer_, entry_.id));
    if (before)
      for (const MountChunk& chunk : before->chunks) known_.emplace(chunk.raw, chunk);
    cache::Chunker chunker([this](std::span<const std::byte> chunk) { return add(chunk); });
    KILN_TRY(write_tree_diff(nullptr, from, chunker, transfer_.stop));
    KILN_TRY(chunker.finish());
    KILN_TRY(upload());
    if (!before || entry_ != *before) KILN_TRY(publish());
    return sent_;
  }

 private:
  Status add(std::span<const std::byte> raw) {
    const Digest digest = Digest::of(as_text(raw));
    auto known = known_.find(digest);
    if (known == known_.end()) {
      KILN_TRY_ASSIGN(std::string blob, compress(*codec_, raw));
      const oci::Descriptor descriptor{
          std::string(cache::kChunkMediaType), Digest::of(blob), blob.size(), {}, {}};
      known = known_.emplace(digest, MountChunk{digest, raw.size(), descriptor}).first;
      waiting_.emplace_back(descriptor, std::make_shared<std::string>(std::move(blob)));
    }
    entry_.chunks.push_back(known->second);
    return waiting_.size() < 2 * kAtOnce ? Status{} : upload();
  }

  Status upload() {
    const auto waiting = std::exchange(waiting_, {});
    KILN_TRY(for_each_at_once(waiting.size(), kAtOnce, [&](size_t i) {
      const auto& [blob, bytes] = waiting[i];
      const auto open = [bytes = bytes](uint64_t from) -> Result<std::unique_ptr<Source>> {
        return std::make_unique<StringSource>(bytes->substr(from));
      };
      return transfer_.transport.upload({blob, open}, transfer_.stop);
    }));
    for (const auto& [blob, bytes] : waiting) sent_.bytes += blob.size;
    sent_.chunks += waiting.size();
    return {};
  }

  Status publish() {
    cache::Publication publication{
        cache::mount_key(entry_.id), cache::encode_mount(entry_), {}, true};
    if (publication.entry.size() > cache::kMaxEntryBytes)
      return fail(Code::kInvalidArgument, "it is too large to be shared");
    for (const MountChunk& chunk : entry_.chunks) publication.blobs.push_back(chunk.blob);
    return transfer_.transport.publish(std::span(&publication, 1), transfer_.stop);
  }

  const MountTransfer& transfer_;
  const std::unique_ptr<oci::BlockCodec> codec_ =
      oci::BlockCodec::create({oci::Compression::kZstd, -1});
  MountEntry entry_;
  std::map<Digest, MountChunk> known_;  // by raw digest: there, or on the way
  std::vector<std::pair<oci::Descriptor, std::shared_ptr<std::string>>> waiting_;
  MountSent sent_;
};

}  // namespace

Result<MountFetched> fetch_mount(const MountTransfer& transfer, const std::string& id,
                                 const Root& to) {
  KILN_TRY_ASSIGN(auto entry, look_up(transfer, id));
  if (!entry) return MountFetched::kNo;
  KILN_TRY_ASSIGN(const auto tar, oci::TarReader::open(std::make_unique<ChunkSource>(
                                      transfer, std::move(entry->chunks))));
  ApplyOptions options;
  options.mode = ApplyMode::kArchive;
  KILN_TRY(apply_layer(*tar, to, options, transfer.stop));
  return MountFetched::kYes;
}

Result<MountSent> send_mount(const MountTransfer& transfer, const std::string& id,
                             const Root& from) {
  return MountSender(transfer, id).run(from);
}

}  // namespace kiln
