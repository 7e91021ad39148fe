// The byte format that keys and records share (cache/FORMAT.md): fields of a tag, a length and the
// bytes, so that no two lists of fields give the same text. Stored blobs end in a checksum.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/result.h"

namespace kiln::cache {

class FieldWriter {
 public:
  /// `magic` names format and version and is written first.
  explicit FieldWriter(std::string_view magic) : bytes_(magic) {}
  void text(uint8_t tag, std::string_view value);
  void number(uint8_t tag, uint64_t value);  // 8 bytes, little endian
  void digest(uint8_t tag, const Digest& value);
  const std::string& bytes() const { return bytes_; }
  /// The bytes followed by their XXH3-64.
  std::string sealed() &&;

 private:
  std::string bytes_;
};

/// Reads what FieldWriter sealed, in the same order. After the first error every read fails.
class FieldReader {
 public:
  /// kDataLoss: another magic, or the checksum does not match.
  static Result<FieldReader> open(std::string_view magic, std::string_view sealed);
  bool at_end() const { return rest_.empty(); }
  bool next_is(uint8_t tag) const;
  // kDataLoss: another tag, a length that does not fit.
  Result<std::string> text(uint8_t tag);
  Result<uint64_t> number(uint8_t tag);
  Result<Digest> digest(uint8_t tag);

 private:
  explicit FieldReader(std::string_view rest) : rest_(rest) {}
  Result<std::string_view> take(uint8_t tag);
  std::string_view rest_;
};

}  // namespace kiln::cache
