#include "base/yaml.h"

#include <yaml.h>

#include <charconv>
#include <functional>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/strings.h"

namespace kiln {
namespace {

constexpr const char* kStringTag = "tag:yaml.org,2002:str";

std::string_view text_of(const yaml_char_t* text) {
  return text == nullptr ? std::string_view() : reinterpret_cast<const char*>(text);
}

std::optional<uint64_t> whole_number(std::string_view digits, int base) {
  uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, base);
  if (digits.empty() || error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<uint64_t> magnitude(std::string_view text) {
  if (text.starts_with("0x")) return whole_number(text.substr(2), 16);
  if (text.starts_with("0o")) return whole_number(text.substr(2), 8);
  if (text.size() > 1 && text.front() == '0') return whole_number(text.substr(1), 8);
  return whole_number(text, 10);
}

Json plain_scalar(std::string_view text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const bool is_negative = text.front() == '-';
  const bool is_signed = is_negative || text.front() == '+';
  const auto value = magnitude(is_signed ? text.substr(1) : text);
  constexpr auto kMost = static_cast<uint64_t>(INT64_MAX);
  if (!value || (is_negative && *value > kMost)) return text;
  if (*value > kMost) return *value;
  return is_negative ? -static_cast<int64_t>(*value) : static_cast<int64_t>(*value);
}

// Owns libyaml's parser.
class YamlParser {
 public:
  explicit YamlParser(std::string_view text) : ready_(yaml_parser_initialize(&parser_) == 1) {
    if (!ready_) return;
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~YamlParser() {
    if (ready_) yaml_parser_delete(&parser_);
  }
  YamlParser(const YamlParser&) = delete;
  YamlParser& operator=(const YamlParser&) = delete;

  Status next(yaml_event_t& event) {
    if (!ready_) return fail(Code::kResourceExhausted, "no memory for YAML");
    if (yaml_parser_parse(&parser_, &event) == 1) return {};
    return fail(Code::kInvalidArgument,
                "line " + std::to_string(parser_.problem_mark.line + 1) + ": " +
                    (parser_.problem == nullptr ? "not YAML" : parser_.problem));
  }

 private:
  yaml_parser_t parser_{};
  const bool ready_;
};

// Owns one event.
class YamlEvent {
 public:
  YamlEvent() = default;
  ~YamlEvent() { yaml_event_delete(&event_); }
  YamlEvent(const YamlEvent&) = delete;
  YamlEvent& operator=(const YamlEvent&) = delete;
  yaml_event_t& raw() { return event_; }

 private:
  yaml_event_t event_{};
};

// Puts events together: a stack of the collections that are open.
class YamlBuilder {
 public:
  explicit YamlBuilder(int max_depth) : max_depth_(max_depth) {}

  Status take(const yaml_event_t& event) {
    line_ = event.start_mark.line + 1;
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        return ++documents_ == 1 ? Status() : refuse("a second document");
      case YAML_ALIAS_EVENT:
        return refuse("an alias");
      case YAML_SCALAR_EVENT:
        return take_scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        KILN_TRY(check_marks(event.data.sequence_start.anchor, event.data.sequence_start.tag));
        return open(Json::array());
      case YAML_MAPPING_START_EVENT:
        KILN_TRY(check_marks(event.data.mapping_start.anchor, event.data.mapping_start.tag));
        return open(Json::object());
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        return close();
      default:
        return {};
    }
  }
  Json finish() && { return std::move(root_); }

 private:
  struct Open {
    Json value;
    std::optional<std::string> key;           // of a mapping: what the next node is the value of
    std::set<std::string, std::less<>> keys;  // all so far
  };

  Status refuse(const std::string& what) const {
    return fail(Code::kInvalidArgument,
                "line " + std::to_string(line_) + ": " + what + " is not supported");
  }

  Status check_marks(const yaml_char_t* anchor, const yaml_char_t* tag) const {
    if (anchor != nullptr) return refuse("an anchor");
    if (tag != nullptr) return refuse("the tag " + quote(text_of(tag)));
    return {};
  }

  Status take_scalar(const yaml_event_t& event) {
    const auto& scalar = event.data.scalar;
    const bool is_string = text_of(scalar.tag) == kStringTag;
    KILN_TRY(check_marks(scalar.anchor, is_string ? nullptr : scalar.tag));
    const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    if (wants_key()) return take_key(text);
    const bool is_plain = scalar.style == YAML_PLAIN_SCALAR_STYLE && !is_string;
    return put(is_plain ? plain_scalar(text) : Json(text));
  }

  bool wants_key() const {
    return !stack_.empty() && stack_.back().value.is_object() && !stack_.back().key;
  }

  Status take_key(std::string_view text) {
    Open& open = stack_.back();
    if (!open.keys.emplace(text).second)
      return fail(Code::kInvalidArgument,
                  "line " + std::to_string(line_) + ": the key " + quote(text) + " is there twice");
    open.key = std::string(text);
    return {};
  }

  Status open(Json empty) {
    if (wants_key()) return refuse("a key that is no scalar");
    if (stack_.size() >= static_cast<size_t>(max_depth_))
      return fail(Code::kResourceExhausted, "line " + std::to_string(line_) + ": deeper than " +
                                                std::to_string(max_depth_) + " levels");
    stack_.push_back({std::move(empty), std::nullopt, {}});
    return {};
  }

  Status close() {
    Json done = std::move(stack_.back().value);
    stack_.pop_back();
    return put(std::move(done));
  }

  Status put(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return {};
    }
    Open& open = stack_.back();
    if (open.value.is_array()) {
      open.value.push_back(std::move(value));
    } else {
      open.value.make_object().emplace_back(*std::move(open.key), std::move(value));
      open.key.reset();
    }
    return {};
  }

  const int max_depth_;
  size_t line_ = 0;
  int documents_ = 0;
  std::vector<Open> stack_;
  Json root_;
};

}  // namespace

Result<Json> parse_yaml(std::string_view text, Json::Limits limits) {
  if (text.size() > limits.max_bytes)
    return fail(Code::kResourceExhausted,
                "more than " + std::to_string(limits.max_bytes) + " bytes of YAML");
  YamlParser parser(text);
  YamlBuilder builder(limits.max_depth);
  for (;;) {
    YamlEvent event;
    KILN_TRY(parser.next(event.raw()));
    KILN_TRY(builder.take(event.raw()));
    if (event.raw().type == YAML_STREAM_END_EVENT) return std::move(builder).finish();
  }
}

}  // namespace kiln
