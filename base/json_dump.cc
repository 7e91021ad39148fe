// Json::dump of json.h. Needs no parser, hence apart from json.cc and its heavy header.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/json.h"
#include "base/utf8.h"

namespace kiln {
namespace {

void append_string(std::string& out, std::string_view text) {
  out.push_back('"');
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    const size_t bytes = std::max<size_t>(c.bytes, 1);
    static constexpr std::string_view kShort =
        "\"\"\\\\\bb\ff\nn\rr\tt";  // pairs: character, its escape
    size_t at = 0;
    while (at < kShort.size() && kShort[at] != text[0]) at += 2;
    if (c.bytes == 0) {
      out.append("\xEF\xBF\xBD");  // U+FFFD
    } else if (at < kShort.size()) {
      out.push_back('\\');
      out.push_back(kShort[at + 1]);
    } else if (c.code_point < 0x20) {
      static constexpr std::string_view kDigits = "0123456789abcdef";
      out.append("\\u00");
      out.push_back(kDigits[c.code_point >> 4U]);
      out.push_back(kDigits[c.code_point & 15U]);
    } else {
      out.append(text.substr(0, bytes));
    }
    text.remove_prefix(bytes);
  }
  out.push_back('"');
}

// The shortest text that reads back as the same double, and as a double: "1.0", not "1". JSON has
// no NaN: null.
void append_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out.append("null");
    return;
  }
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  const std::string_view text(buffer.data(), static_cast<size_t>(end - buffer.data()));
  out.append(text);
  if (text.find_first_of(".e") == std::string_view::npos) out.append(".0");
}

class Writer {
 public:
  explicit Writer(std::optional<int> indent) : indent_(indent) {}
  void write(const Json& json);
  std::string take() { return std::move(out_); }

 private:
  void write_number(const Json& json);
  void write_array(const Json::Array& elements);
  void write_object(const Json::Object& members);
  void begin_item(size_t index);
  void end_items(char bracket);

  std::optional<int> indent_;  // nullopt: all on one line
  int depth_ = 0;
  std::string out_;
};

void Writer::write(const Json& json) {
  if (json.is_null()) {
    out_.append("null");
  } else if (json.is_bool()) {
    out_.append(json.as_bool() ? "true" : "false");
  } else if (json.is_string()) {
    append_string(out_, json.as_string());
  } else if (json.is_array()) {
    write_array(json.elements());
  } else if (json.is_object()) {
    write_object(json.members());
  } else {
    write_number(json);
  }
}

void Writer::write_number(const Json& json) {
  switch (json.number_kind()) {
    case Json::NumberKind::kSigned:
      out_.append(std::to_string(json.as_int()));
      break;
    case Json::NumberKind::kUnsigned:
      out_.append(std::to_string(json.as_uint()));
      break;
    case Json::NumberKind::kDouble:
      append_double(out_, json.as_double());
      break;
  }
}

void Writer::begin_item(size_t index) {
  if (index > 0) out_.push_back(',');
  if (indent_)
    out_.append("\n").append(static_cast<size_t>(*indent_) * static_cast<size_t>(depth_), ' ');
}

void Writer::end_items(char bracket) {
  --depth_;
  begin_item(0);
  out_.push_back(bracket);
}

void Writer::write_array(const Json::Array& elements) {
  if (elements.empty()) {
    out_.append("[]");
    return;
  }
  out_.push_back('[');
  ++depth_;
  for (size_t i = 0; i < elements.size(); ++i) {
    begin_item(i);
    write(elements[i]);
  }
  end_items(']');
}

void Writer::write_object(const Json::Object& members) {
  if (members.empty()) {
    out_.append("{}");
    return;
  }
  out_.push_back('{');
  ++depth_;
  for (size_t i = 0; i < members.size(); ++i) {
    begin_item(i);
    append_string(out_, members[i].first);
    out_.append(indent_ ? ": " : ":");
    write(members[i].second);
  }
  end_items('}');
}

}  // namespace

std::string Json::dump() const {
  Writer writer(std::nullopt);
  writer.write(*this);
  return writer.take();
}

std::string Json::dump_pretty(int indent) const {
  Writer writer(indent);
  writer.write(*this);
  return writer.take();
}

}  // namespace kiln
