#include "frontend/words.h"

#include <algorithm>
#include <charconv>

#include "base/strings.h"

namespace kiln::dockerfile {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;

void append_utf8(std::string& out, uint32_t c) {
  const auto byte = [&out](uint32_t value) { out.push_back(static_cast<char>(value)); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xC0U | (c >> 6U));
    byte(0x80U | (c & 0x3FU));
  } else if (c < 0x10000) {
    byte(0xE0U | (c >> 12U));
    byte(0x80U | ((c >> 6U) & 0x3FU));
    byte(0x80U | (c & 0x3FU));
  } else {
    byte(0xF0U | (c >> 18U));
    byte(0x80U | ((c >> 12U) & 0x3FU));
    byte(0x80U | ((c >> 6U) & 0x3FU));
    byte(0x80U | (c & 0x3FU));
  }
}

bool is_high_surrogate(uint32_t c) {
  return c >= 0xD800 && c < 0xDC00;
}
bool is_low_surrogate(uint32_t c) {
  return c >= 0xDC00 && c < 0xE000;
}

// The four digits of "uXXXX" at `text`.
uint32_t hex_escape(std::string_view text) {
  uint32_t value = 0;
  std::from_chars(text.data() + 1, text.data() + 5, value, 16);
  return value;
}

// text[at] is the "u" of an escape. Appends its character and returns how many bytes were read.
size_t append_unicode(std::string& out, std::string_view text) {
  const uint32_t first = hex_escape(text);
  if (is_high_surrogate(first) && text.size() >= 11 && text[5] == '\\' && text[6] == 'u') {
    const uint32_t second = hex_escape(text.substr(6));
    if (is_low_surrogate(second)) {
      append_utf8(out, 0x10000 + ((first - 0xD800) << 10U) + (second - 0xDC00));
      return 11;
    }
  }
  const bool lone = is_high_surrogate(first) || is_low_surrogate(first);
  append_utf8(out, lone ? kReplacement : first);
  return 5;
}

}  // namespace

std::vector<std::string> split_blanks(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
    if (text.empty()) return words;
    const size_t end = std::min(text.find_first_of(kBlanks), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

Flag decode_flag(std::string_view word) {
  Flag flag;
  char quote_mark = '\0';
  for (size_t i = 0; i < word.size(); ++i) {
    const char c = word[i];
    if (c == '\\') {
      if (++i < word.size()) flag.raw.push_back(word[i]);
    } else if (c == quote_mark) {
      quote_mark = '\0';
    } else if (quote_mark == '\0' && (c == '"' || c == '\'')) {
      quote_mark = c;
    } else {
      flag.raw.push_back(c);
    }
  }
  const std::string_view body = std::string_view(flag.raw).substr(2);
  const size_t equals = body.find('=');
  flag.name = body.substr(0, equals);
  if (equals != std::string_view::npos) flag.value = body.substr(equals + 1);
  return flag;
}

Result<std::vector<std::string>> key_value_args(const std::vector<std::string>& words,
                                                std::string_view text, std::string_view command) {
  std::vector<std::string> args;
  if (words.empty()) return args;
  if (words.front().find('=') == std::string::npos) {
    const size_t key_end = text.find_first_of(kBlanks);
    if (key_end == std::string_view::npos) {
      return fail(Code::kInvalidArgument, std::string(command) + " must have two arguments");
    }
    const std::string_view value =
        text.substr(std::min(text.find_first_not_of(kBlanks, key_end), text.size()));
    args = {std::string(text.substr(0, key_end)), std::string(value), ""};
    return args;
  }
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return fail(Code::kInvalidArgument, "Syntax error - can't find = in " + quote(word) +
                                              ". Must be of the form: name=value");
    }
    args.push_back(word.substr(0, equals));
    args.push_back(word.substr(equals + 1));
    args.emplace_back("=");
  }
  return args;
}

std::string decode_json_string(std::string_view literal) {
  std::string out;
  for (size_t i = 1; i + 1 < literal.size(); ++i) {
    if (literal[i] != '\\') {
      out.push_back(literal[i]);
      continue;
    }
    const char c = literal[++i];
    if (c == 'u') {
      i += append_unicode(out, literal.substr(i, literal.size() - 1 - i)) - 1;
      continue;
    }
    constexpr std::string_view kNames = "bfnrt";
    constexpr std::string_view kValues = "\b\f\n\r\t";
    const size_t known = kNames.find(c);
    out.push_back(known == std::string_view::npos ? c : kValues[known]);
  }
  return out;
}

}  // namespace kiln::dockerfile
