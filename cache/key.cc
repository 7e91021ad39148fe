#include "cache/key.h"

#include "cache/fields.h"

namespace kiln {
namespace {

using cache::FieldReader;
using cache::FieldWriter;

// Changing anything of what key() hashes means a new version here: every stored key changes.
constexpr std::string_view kKeyMagic = "kiln.cache.v1";
constexpr std::string_view kOpMagic = "kiln.cache.op.v1";
constexpr std::string_view kRecordMagic = "kiln.record.v1";

// Tags are never reused for another meaning.
enum Tag : uint8_t {
  kFieldName = 1,
  kFieldValue = 2,
  kOutput = 3,
  kInputKind = 4,
  kInputDigest = 5,
  kInputSelector = 6,
  kStepName = 7,
};

void write_op(FieldWriter& out, const KeyFields& op) {
  for (const auto& [name, value] : op.fields) {
    out.text(kFieldName, name);
    out.text(kFieldValue, value);
  }
}

// By content the selector is in the digest already; it is kept for people alone.
enum class Selectors : uint8_t { kThatMatter, kAll };

void write_record(FieldWriter& out, const KeyRecord& record, Selectors selectors) {
  write_op(out, record.op);
  out.number(kOutput, record.output);
  for (const InputKey& input : record.inputs) {
    out.number(kInputKind, static_cast<uint64_t>(input.kind));
    out.digest(kInputDigest, input.digest);
    if (selectors == Selectors::kAll || input.kind == InputKey::Kind::kDefinition)
      out.text(kInputSelector, input.selector);
  }
}

Result<InputKey> read_input(FieldReader& in) {
  KILN_TRY_ASSIGN(const uint64_t kind, in.number(kInputKind));
  if (kind != 1 && kind != 2) return fail(Code::kDataLoss, "a key record's input is of no kind");
  KILN_TRY_ASSIGN(const Digest digest, in.digest(kInputDigest));
  KILN_TRY_ASSIGN(std::string selector, in.text(kInputSelector));
  return InputKey{static_cast<InputKey::Kind>(kind), digest, std::move(selector)};
}

}  // namespace

Digest KeyFields::digest() const {
  FieldWriter out(kOpMagic);
  write_op(out, *this);
  return Digest::of(out.bytes());
}

CacheKey KeyRecord::key() const {
  FieldWriter out(kKeyMagic);
  write_record(out, *this, Selectors::kThatMatter);
  return CacheKey{Digest::of(out.bytes())};
}

std::string KeyRecord::encode() const {
  FieldWriter out(kRecordMagic);
  write_record(out, *this, Selectors::kAll);
  out.text(kStepName, name);
  return std::move(out).sealed();
}

Result<KeyRecord> KeyRecord::decode(std::string_view bytes) {
  KILN_TRY_ASSIGN(FieldReader in, FieldReader::open(kRecordMagic, bytes));
  KeyRecord record;
  while (in.next_is(kFieldName)) {
    KILN_TRY_ASSIGN(std::string name, in.text(kFieldName));
    KILN_TRY_ASSIGN(std::string value, in.text(kFieldValue));
    record.op.fields.emplace_back(std::move(name), std::move(value));
  }
  KILN_TRY_ASSIGN(const uint64_t output, in.number(kOutput));
  record.output = static_cast<uint32_t>(output);
  while (in.next_is(kInputKind)) {
    KILN_TRY_ASSIGN(InputKey input, read_input(in));
    record.inputs.push_back(std::move(input));
  }
  KILN_TRY_ASSIGN(record.name, in.text(kStepName));
  if (!in.at_end()) return fail(Code::kDataLoss, "a key record has more than it should");
  return record;
}

}  // namespace kiln
