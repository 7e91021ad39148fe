#include "cache/entry.h"

#include "cache/claim.h"
#include "cache/fields.h"
#include "cache/result_codec.h"

namespace kiln::cache {
namespace {

constexpr std::string_view kEntryMagic = "kiln.entry.v1";

enum EntryTag : uint8_t { kRecord = 1, kResult = 2, kTarget = 3 };

Result<Entry> decode_parts(const CacheKey& key, FieldReader& in) {
  KILN_TRY_ASSIGN(const std::string record_bytes, in.text(kRecord));
  KILN_TRY_ASSIGN(KeyRecord record, KeyRecord::decode(record_bytes));
  if (record.key() != key) return fail(Code::kDataLoss, "the entry belongs to another key");
  if (in.next_is(kTarget)) {
    KILN_TRY_ASSIGN(const Digest target, in.digest(kTarget));
    return AliasEntry{std::move(record), CacheKey{target}};
  }
  KILN_TRY_ASSIGN(const std::string result_bytes, in.text(kResult));
  KILN_TRY_ASSIGN(CacheResult result, decode_result(key, result_bytes));
  if (!result.local_ref.empty() || result.empty_tree != result.layers.empty())
    return fail(Code::kDataLoss, "the entry's result is not one that can travel");
  return ResultEntry{std::move(record), std::move(result)};
}

}  // namespace

std::string encode_entry(const ResultEntry& entry) {
  CacheResult result = entry.result;
  result.local_ref.clear();
  FieldWriter out(kEntryMagic);
  out.text(kRecord, entry.record.encode());
  out.text(kResult, encode_result(entry.record.key(), result));
  return std::move(out).sealed();
}

std::string encode_entry(const AliasEntry& entry) {
  FieldWriter out(kEntryMagic);
  out.text(kRecord, entry.fast.encode());
  out.digest(kTarget, entry.target.digest);
  return std::move(out).sealed();
}

Result<Entry> decode_entry(const CacheKey& key, std::string_view bytes) {
  if (bytes.size() > kMaxEntryBytes) return fail(Code::kDataLoss, "the entry is too large");
  KILN_TRY_ASSIGN(const Claim claim, decode_claim(bytes));
  KILN_TRY_ASSIGN(FieldReader in, FieldReader::open(kEntryMagic, claim.entry));
  KILN_TRY_ASSIGN(Entry entry, decode_parts(key, in));
  if (!in.at_end()) return fail(Code::kDataLoss, "the entry has more than it should");
  return entry;
}

}  // namespace kiln::cache
