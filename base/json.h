// A JSON value that keeps key order and 64-bit integers, so that unknown fields of an image config
// survive a round trip. Parsing is bounded in size and depth and refuses duplicate keys
// (SAFETY.md 4.3); the parser is nlohmann's, in json.cc.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace kiln {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;  // in document order

  Json() = default;                    // null
  Json(std::nullptr_t) {}              // NOLINT(google-explicit-constructor): literals read as JSON
  Json(bool value) : value_(value) {}  // NOLINT(google-explicit-constructor)
  Json(int value) : value_(int64_t{value}) {}              // NOLINT(google-explicit-constructor)
  Json(int64_t value) : value_(value) {}                   // NOLINT(google-explicit-constructor)
  Json(uint64_t value) : value_(value) {}                  // NOLINT(google-explicit-constructor)
  Json(double value) : value_(value) {}                    // NOLINT(google-explicit-constructor)
  Json(const char* value) : value_(std::string(value)) {}  // NOLINT(google-explicit-constructor)
  Json(std::string_view value)
      : value_(std::string(value)) {}                    // NOLINT(google-explicit-constructor)
  Json(std::string value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Json(Array value) : value_(std::move(value)) {}        // NOLINT(google-explicit-constructor)
  static Json object(Object members = {});
  static Json array(Array elements = {});
  static Json array_of(const std::vector<std::string>& strings);

  struct Limits {
    size_t max_bytes = 8U << 20U;
    int max_depth = 64;
  };
  /// kInvalidArgument with line and column; kResourceExhausted beyond the limits.
  static Result<Json> parse(std::string_view text, Limits limits);
  static Result<Json> parse(std::string_view text) { return parse(text, Limits{}); }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_number() const;
  /// How a number is held: the first of int64_t, uint64_t and double that can. kSigned if it is no
  /// number.
  enum class NumberKind : uint8_t { kSigned, kUnsigned, kDouble };
  NumberKind number_kind() const;
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<ObjectBox>(value_); }

  // Lenient readers: the default if the type differs.
  bool as_bool(bool otherwise = false) const;
  int64_t as_int(int64_t otherwise = 0) const;
  uint64_t as_uint(uint64_t otherwise = 0) const;
  double as_double(double otherwise = 0) const;
  const std::string& as_string() const;      // "" if not a string
  const Array& elements() const;             // empty if not an array
  const Object& members() const;             // empty if not an object
  std::vector<std::string> strings() const;  // the string elements of an array

  const Json* find(std::string_view key) const;        // nullptr: not an object, or absent
  const Json& operator[](std::string_view key) const;  // a null value if absent
  void set(std::string_view key, Json value);  // replaces in place or appends; makes null an
                                               // object; KILN_CHECKs that it is one otherwise
  void erase(std::string_view key);
  void push_back(Json value);  // makes null an array
  /// For changes in place, without copies of what stays. Null becomes one; KILN_CHECKs that it is
  /// one otherwise.
  Array& make_array();
  Object& make_object();
  Json& member(std::string_view key);  // of make_object(); appended as null if absent

  /// Compact, UTF-8 kept, keys in document order, "<", ">" and "&" not escaped. Invalid UTF-8
  /// becomes U+FFFD.
  std::string dump() const;
  std::string dump_pretty(int indent = 2) const;
  bool operator==(const Json& other) const;

 private:
  struct ObjectBox {
    Object members;
    bool operator==(const ObjectBox& other) const;
  };
  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, ObjectBox>
      value_;
};

}  // namespace kiln
