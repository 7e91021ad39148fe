#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/strings.h"

namespace kiln {
namespace {

// Objects up to this size are searched linearly for a duplicate key; beyond it a set keeps hostile
// input linear.
constexpr size_t kLinearKeys = 16;

const Json& null_json() {
  static const Json kNull;
  return kNull;
}

// Builds a Json from nlohmann's SAX events. Containers under construction are frames of a stack
// that own what they hold, and move into their parent when they end.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(std::string_view text, int max_depth) : text_(text), max_depth_(max_depth) {}

  bool null() override { return add(Json()); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(number_integer_t value) override { return add(Json(int64_t{value})); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return add(Json(static_cast<int64_t>(value)));
    return add(Json(uint64_t{value}));
  }
  bool number_float(number_float_t value, const string_t&) override { return add(Json(value)); }
  bool string(string_t& value) override { return add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }  // no JSON text has one
  bool start_object(std::size_t) override { return open(Frame::Kind::kObject); }
  bool start_array(std::size_t) override { return open(Frame::Kind::kArray); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override;
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& error) override;

  Json take() { return std::move(root_); }
  Error take_error() { return error_.value_or(Error(Code::kInvalidArgument, "invalid JSON")); }

 private:
  struct Frame {
    enum class Kind : uint8_t { kObject, kArray };
    Kind kind;
    Json::Object members;
    Json::Array elements;
    std::string pending_key;
    std::unordered_set<std::string> keys;  // in use above kLinearKeys members
  };

  bool add(Json value);
  bool open(Frame::Kind kind);
  bool close();
  static bool seen(Frame& frame, const std::string& name);
  bool refuse(Code code, std::string message) {
    error_ = Error(code, std::move(message));
    return false;
  }

  std::string_view text_;
  int max_depth_;
  std::vector<Frame> frames_;
  Json root_;
  std::optional<Error> error_;
};

bool Builder::add(Json value) {
  if (frames_.empty()) {
    root_ = std::move(value);
  } else if (Frame& top = frames_.back(); top.kind == Frame::Kind::kArray) {
    top.elements.push_back(std::move(value));
  } else {
    top.members.emplace_back(std::move(top.pending_key), std::move(value));
  }
  return true;
}

bool Builder::open(Frame::Kind kind) {
  if (frames_.size() >= static_cast<size_t>(max_depth_))
    return refuse(Code::kResourceExhausted,
                  "JSON is nested deeper than " + std::to_string(max_depth_) + " levels");
  frames_.push_back(Frame{kind, {}, {}, {}, {}});
  return true;
}

bool Builder::close() {
  Frame done = std::move(frames_.back());
  frames_.pop_back();
  return add(done.kind == Frame::Kind::kArray ? Json(std::move(done.elements))
                                              : Json::object(std::move(done.members)));
}

bool Builder::seen(Frame& frame, const std::string& name) {
  const Json::Object& members = frame.members;
  if (members.size() < kLinearKeys)
    return std::any_of(members.begin(), members.end(),
                       [&](const Json::Member& member) { return member.first == name; });
  if (frame.keys.empty())
    for (const Json::Member& member : members) frame.keys.insert(member.first);
  return !frame.keys.insert(name).second;
}

bool Builder::key(string_t& name) {
  Frame& top = frames_.back();
  if (seen(top, name))
    return refuse(Code::kInvalidArgument, "JSON has the key " + quote(name) + " twice");
  top.pending_key = std::move(name);
  return true;
}

bool Builder::parse_error(std::size_t position, const std::string&,
                          const nlohmann::json::exception& error) {
  // what() reads "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error
  // while ...".
  std::string_view why = error.what();
  for (const std::string_view intro : {"] ", "column "})
    if (const size_t at = why.find(intro); at != std::string_view::npos)
      why.remove_prefix(at + intro.size());
  if (const size_t colon = why.find(": "); colon != std::string_view::npos)
    why.remove_prefix(colon + 2);
  const std::string_view read = text_.substr(0, position == 0 ? 0 : position - 1);
  const auto line = 1 + std::count(read.begin(), read.end(), '\n');
  const size_t line_start = read.rfind('\n') + 1;  // npos + 1 == 0
  return refuse(Code::kInvalidArgument,
                "invalid JSON at line " + std::to_string(line) + ", column " +
                    std::to_string(read.size() - line_start + 1) + ": " + printable(why));
}

}  // namespace

Json Json::object(Object members) {
  Json json;
  json.value_ = ObjectBox{std::move(members)};
  return json;
}

Json Json::array(Array elements) {
  return Json(std::move(elements));
}

Json Json::array_of(const std::vector<std::string>& strings) {
  return Json(Array(strings.begin(), strings.end()));
}

Result<Json> Json::parse(std::string_view text, Limits limits) {
  if (text.size() > limits.max_bytes)
    return fail(Code::kResourceExhausted, "JSON is larger than " + human_bytes(limits.max_bytes));
  Builder builder(text, limits.max_depth);
  // sax_parse reports through the builder and throws nothing of its own.
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder))
    return tl::unexpected(builder.take_error());
  return builder.take();
}

bool Json::is_number() const {
  return std::holds_alternative<int64_t>(value_) || std::holds_alternative<uint64_t>(value_) ||
         std::holds_alternative<double>(value_);
}

Json::NumberKind Json::number_kind() const {
  if (std::holds_alternative<uint64_t>(value_)) return NumberKind::kUnsigned;
  return std::holds_alternative<double>(value_) ? NumberKind::kDouble : NumberKind::kSigned;
}

bool Json::as_bool(bool otherwise) const {
  const bool* value = std::get_if<bool>(&value_);
  return value != nullptr ? *value : otherwise;
}

int64_t Json::as_int(int64_t otherwise) const {
  if (const auto* value = std::get_if<int64_t>(&value_)) return *value;
  if (const auto* value = std::get_if<uint64_t>(&value_))
    return *value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())
               ? static_cast<int64_t>(*value)
               : otherwise;
  if (const auto* value = std::get_if<double>(&value_))
    return std::trunc(*value) == *value && std::fabs(*value) < 0x1p63 ? static_cast<int64_t>(*value)
                                                                      : otherwise;
  return otherwise;
}

uint64_t Json::as_uint(uint64_t otherwise) const {
  if (const auto* value = std::get_if<uint64_t>(&value_)) return *value;
  const int64_t value = as_int(-1);
  return value >= 0 ? static_cast<uint64_t>(value) : otherwise;
}

double Json::as_double(double otherwise) const {
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  if (const auto* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<uint64_t>(&value_)) return static_cast<double>(*value);
  return otherwise;
}

const std::string& Json::as_string() const {
  static const std::string kEmpty;
  const auto* value = std::get_if<std::string>(&value_);
  return value != nullptr ? *value : kEmpty;
}

const Json::Array& Json::elements() const {
  static const Array kEmpty;
  const auto* value = std::get_if<Array>(&value_);
  return value != nullptr ? *value : kEmpty;
}

const Json::Object& Json::members() const {
  static const Object kEmpty;
  const auto* value = std::get_if<ObjectBox>(&value_);
  return value != nullptr ? value->members : kEmpty;
}

std::vector<std::string> Json::strings() const {
  std::vector<std::string> out;
  for (const Json& element : elements())
    if (element.is_string()) out.push_back(element.as_string());
  return out;
}

const Json* Json::find(std::string_view key) const {
  for (const Member& member : members())
    if (member.first == key) return &member.second;
  return nullptr;
}

bool Json::ObjectBox::operator==(const ObjectBox& other) const {
  return members == other.members;
}

bool Json::operator==(const Json& other) const {
  return value_ == other.value_;
}

const Json& Json::operator[](std::string_view key) const {
  const Json* value = find(key);
  return value != nullptr ? *value : null_json();
}

Json::Array& Json::make_array() {
  if (is_null()) value_ = Array{};
  auto* elements = std::get_if<Array>(&value_);
  KILN_CHECK(elements != nullptr);
  return *elements;
}

Json::Object& Json::make_object() {
  if (is_null()) value_ = ObjectBox{};
  auto* box = std::get_if<ObjectBox>(&value_);
  KILN_CHECK(box != nullptr);
  return box->members;
}

Json& Json::member(std::string_view key) {
  Object& members = make_object();
  for (Member& member : members)
    if (member.first == key) return member.second;
  return members.emplace_back(key, Json()).second;
}

void Json::set(std::string_view key, Json value) {
  member(key) = std::move(value);
}

void Json::erase(std::string_view key) {
  if (auto* box = std::get_if<ObjectBox>(&value_))
    std::erase_if(box->members, [key](const Member& member) { return member.first == key; });
}

void Json::push_back(Json value) {
  make_array().push_back(std::move(value));
}

}  // namespace kiln
