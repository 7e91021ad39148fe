#include "frontend/directives.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"

namespace kiln::dockerfile {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_letter_or_digit(char c) {
  return is_letter(c) || (c >= '0' && c <= '9');
}

std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

std::optional<Directive> find(std::string_view key, std::string_view comment, std::string_view text,
                              int line) {
  DirectiveReader reader(comment);
  while (!text.empty() && !reader.done()) {
    ++line;
    const auto found = reader.read(take_line(text));
    if (!found) return std::nullopt;  // a repeated directive: reported where the file is parsed
    if (*found && (*found)->key == key) return Directive{(*found)->value, line};
  }
  return std::nullopt;
}

// Drops what may precede the directives; returns how many lines that were.
int skip_prologue(std::string_view& text) {
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark)
    text.remove_prefix(kByteOrderMark.size());
  if (text.substr(0, 2) != "#!") return 0;
  take_line(text);
  return 1;
}

}  // namespace

std::optional<DirectiveReader::Found> split_directive(std::string_view text) {
  text = trim(text);
  if (text.empty() || !is_letter(text.front())) return std::nullopt;
  const auto key_end = std::find_if_not(text.begin(), text.end(), is_letter_or_digit);
  const std::string_view key = text.substr(0, static_cast<size_t>(key_end - text.begin()));
  std::string_view rest = trim(text.substr(key.size()));
  if (rest.empty() || rest.front() != '=') return std::nullopt;
  rest = trim(rest.substr(1));
  if (rest.empty()) return std::nullopt;
  return DirectiveReader::Found{to_lower(key), std::string(rest)};
}

Result<std::optional<DirectiveReader::Found>> DirectiveReader::read(std::string_view line) {
  if (done_) return std::nullopt;
  std::optional<Found> found;
  if (line.substr(0, comment_.size()) == comment_) {
    found = split_directive(line.substr(comment_.size()));
  }
  if (!found || (found->key != "syntax" && found->key != "escape" && found->key != "check")) {
    done_ = true;
    return std::nullopt;
  }
  if (!seen_.insert(found->key).second) {
    return fail(Code::kInvalidArgument, "only one " + found->key + " parser directive can be used");
  }
  return found;
}

std::optional<Directive> detect_syntax(std::string_view text) {
  const int line = skip_prologue(text);
  if (auto found = find("syntax", "#", text, line)) return found;
  if (auto found = find("syntax", "//", text, line)) return found;
  if (trim(text).substr(0, 1) != "{") return std::nullopt;
  const Result<Json> json = Json::parse(text);
  if (!json || !(*json)["syntax"].is_string()) return std::nullopt;
  return Directive{(*json)["syntax"].as_string(), line + 1};
}

std::optional<Directive> detect_check(std::string_view text) {
  const int line = skip_prologue(text);
  return find("check", "#", text, line);
}

}  // namespace kiln::dockerfile
