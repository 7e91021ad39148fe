#include "cache/mount_entry.h"

#include "cache/chunker.h"
#include "cache/claim.h"
#include "cache/entry.h"
#include "cache/fields.h"

namespace kiln::cache {
namespace {

constexpr std::string_view kMountMagic = "kiln.mount.v1";
constexpr std::string_view kMountKeyMagic = "kiln.mountkey.v1";

enum MountTag : uint8_t {
  kMountId = 1,
  kMountRaw = 2,
  kMountRawBytes = 3,
  kMountBlob = 4,
  kMountBlobBytes = 5
};

Result<MountChunk> decode_chunk(FieldReader& in) {
  KILN_TRY_ASSIGN(const Digest raw, in.digest(kMountRaw));
  KILN_TRY_ASSIGN(const uint64_t raw_bytes, in.number(kMountRawBytes));
  KILN_TRY_ASSIGN(const Digest blob, in.digest(kMountBlob));
  KILN_TRY_ASSIGN(const uint64_t blob_bytes, in.number(kMountBlobBytes));
  if (raw_bytes > kMaxChunk || blob_bytes > 2 * kMaxChunk)
    return fail(Code::kDataLoss, "the mount has a chunk that is too large");
  return MountChunk{raw, raw_bytes,
                    oci::Descriptor{std::string(kChunkMediaType), blob, blob_bytes, {}, {}}};
}

Result<MountEntry> decode(std::string_view bytes) {
  if (bytes.size() > kMaxEntryBytes) return fail(Code::kDataLoss, "the mount is too large");
  KILN_TRY_ASSIGN(const Claim claim, decode_claim(bytes));
  KILN_TRY_ASSIGN(FieldReader in, FieldReader::open(kMountMagic, claim.entry));
  MountEntry entry;
  KILN_TRY_ASSIGN(entry.id, in.text(kMountId));
  while (!in.at_end()) {
    KILN_TRY_ASSIGN(MountChunk chunk, decode_chunk(in));
    entry.chunks.push_back(std::move(chunk));
  }
  return entry;
}

}  // namespace

CacheKey mount_key(const std::string& id) {
  FieldWriter out(kMountKeyMagic);
  out.text(kMountId, id);
  return CacheKey{Digest::of(out.bytes())};
}

std::string encode_mount(const MountEntry& entry) {
  FieldWriter out(kMountMagic);
  out.text(kMountId, entry.id);
  for (const MountChunk& chunk : entry.chunks) {
    out.digest(kMountRaw, chunk.raw);
    out.number(kMountRawBytes, chunk.raw_bytes);
    out.digest(kMountBlob, chunk.blob.digest);
    out.number(kMountBlobBytes, chunk.blob.size);
  }
  return std::move(out).sealed();
}

Result<MountEntry> decode_mount(const std::string& id, std::string_view bytes) {
  KILN_TRY_ASSIGN(MountEntry entry, decode(bytes));
  if (entry.id != id) return fail(Code::kDataLoss, "the entry belongs to another mount");
  return entry;
}

std::optional<MountEntry> as_mount(std::string_view bytes) {
  Result<MountEntry> entry = decode(bytes);
  return entry ? std::optional(*std::move(entry)) : std::nullopt;
}

}  // namespace kiln::cache
