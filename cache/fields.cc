#include "cache/fields.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/fingerprint.h"

namespace kiln::cache {
namespace {

constexpr size_t kNumberBytes = 8;

void append_number(std::string& out, uint64_t value) {
  for (size_t i = 0; i < kNumberBytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t number_at(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < kNumberBytes; ++i)
    value |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return value;
}

}  // namespace

void FieldWriter::text(uint8_t tag, std::string_view value) {
  bytes_.push_back(static_cast<char>(tag));
  append_number(bytes_, value.size());
  bytes_.append(value);
}

void FieldWriter::number(uint8_t tag, uint64_t value) {
  bytes_.push_back(static_cast<char>(tag));
  append_number(bytes_, kNumberBytes);
  append_number(bytes_, value);
}

void FieldWriter::digest(uint8_t tag, const Digest& value) {
  const auto raw = value.bytes();
  text(tag, {reinterpret_cast<const char*>(raw.data()), raw.size()});
}

std::string FieldWriter::sealed() && {
  append_number(bytes_, fingerprint(bytes_));
  return std::move(bytes_);
}

Result<FieldReader> FieldReader::open(std::string_view magic, std::string_view sealed) {
  if (sealed.size() < magic.size() + kNumberBytes || !sealed.starts_with(magic))
    return fail(Code::kDataLoss, "not a record of format \"" + std::string(magic) + "\"");
  const std::string_view body = sealed.substr(0, sealed.size() - kNumberBytes);
  if (fingerprint(body) != number_at(sealed.substr(body.size())))
    return fail(Code::kDataLoss, "a record's checksum does not match");
  return FieldReader(body.substr(magic.size()));
}

bool FieldReader::next_is(uint8_t tag) const {
  return !rest_.empty() && static_cast<uint8_t>(rest_.front()) == tag;
}

Result<std::string_view> FieldReader::take(uint8_t tag) {
  const bool fits = next_is(tag) && rest_.size() > kNumberBytes &&
                    number_at(rest_.substr(1)) <= rest_.size() - 1 - kNumberBytes;
  if (!fits) {
    rest_ = "?";  // no tag: nothing can be read from here on, and it is not the end
    return fail(Code::kDataLoss, "a record does not have the expected field");
  }
  const uint64_t length = number_at(rest_.substr(1));
  const std::string_view value = rest_.substr(1 + kNumberBytes, length);
  rest_.remove_prefix(1 + kNumberBytes + length);
  return value;
}

Result<std::string> FieldReader::text(uint8_t tag) {
  KILN_TRY_ASSIGN(const std::string_view value, take(tag));
  return std::string(value);
}

Result<uint64_t> FieldReader::number(uint8_t tag) {
  KILN_TRY_ASSIGN(const std::string_view value, take(tag));
  if (value.size() != kNumberBytes) return fail(Code::kDataLoss, "a record's number is malformed");
  return number_at(value);
}

Result<Digest> FieldReader::digest(uint8_t tag) {
  KILN_TRY_ASSIGN(const std::string_view value, take(tag));
  if (value.size() != Digest::kBytes)
    return fail(Code::kDataLoss, "a record's digest is malformed");
  std::array<std::byte, Digest::kBytes> raw{};
  std::transform(value.begin(), value.end(), raw.begin(),
                 [](char c) { return static_cast<std::byte>(c); });
  return Digest::from_bytes(raw);
}

}  // namespace kiln::cache
