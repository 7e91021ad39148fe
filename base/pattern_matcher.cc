#include "base/pattern_matcher.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/glob.h"
#include "base/path.h"
#include "base/strings.h"
#include "base/utf8.h"

namespace kiln {
namespace {

constexpr std::string_view kWild = "*?[\\";

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}
bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

// The end of the class that opens at `at`; the pattern is known to be valid.
size_t class_end(std::string_view pattern, size_t at) {
  size_t end = at + 1;
  if (end < pattern.size() && pattern[end] == '^') ++end;
  while (end < pattern.size() && pattern[end] != ']') end += pattern[end] == '\\' ? 2 : 1;
  return std::min(end + 1, pattern.size());
}

// A set of token positions that is cleared and filled for every character of a path. Patterns are
// short: 64 positions live on the stack, longer ones in a vector.
class StateSet {
 public:
  explicit StateSet(size_t size) : long_(size > 64 ? (size + 63) / 64 : 0) {}
  void add(size_t i) {
    any_ = true;
    if (long_.empty()) {
      short_ |= uint64_t{1} << i;
    } else {
      long_[i / 64] |= uint64_t{1} << (i % 64);
    }
  }
  bool has(size_t i) const {
    const uint64_t word = long_.empty() ? short_ : long_[i / 64];
    return ((word >> (i % 64)) & 1U) != 0;
  }
  bool any() const { return any_; }
  void clear() {
    any_ = false;
    short_ = 0;
    std::fill(long_.begin(), long_.end(), 0);
  }
  void swap(StateSet& other) {
    std::swap(any_, other.any_);
    std::swap(short_, other.short_);
    long_.swap(other.long_);
  }

 private:
  bool any_ = false;
  uint64_t short_ = 0;
  std::vector<uint64_t> long_;
};

}  // namespace

Result<PatternMatcher> PatternMatcher::compile(const std::vector<std::string>& patterns) {
  PatternMatcher matcher;
  for (const std::string& raw : patterns) {
    std::string_view trimmed = trim(raw);
    if (trimmed.empty()) continue;
    std::string text = clean_path(trimmed);
    const bool exception = text.front() == '!';
    if (exception) {
      if (text.size() == 1) return fail(Code::kInvalidArgument, "illegal exclusion pattern: \"!\"");
      text = clean_path(std::string_view(text).substr(1));
    }
    if (const Status valid = check_glob(text); !valid) {
      return tl::unexpected(valid.error().wrap("pattern " + quote(text)));
    }
    Pattern pattern = compile_one(text);
    pattern.exception = exception;
    matcher.has_exceptions_ = matcher.has_exceptions_ || exception;
    matcher.patterns_.push_back(std::move(pattern));
    matcher.texts_.push_back(exception ? "!" + text : text);
  }
  return matcher;
}

PatternMatcher::Pattern PatternMatcher::compile_one(std::string_view text) {
  Pattern pattern;
  const size_t wild = text.find_first_of(kWild);
  if (wild == std::string_view::npos) {
    pattern.literal = text;
    return pattern;
  }
  // "dir/**": everything below. "**/rest" without further wildcards: a suffix, as upstream has it,
  // so "**x" ends in x.
  if (wild + 2 == text.size() && ends_with(text, "**") && wild > 0) {
    pattern.kind = Pattern::Kind::kPrefix;
    pattern.literal = text.substr(0, wild);
    return pattern;
  }
  if (starts_with(text, "**") && text.find_first_of(kWild, 2) == std::string_view::npos) {
    pattern.kind = Pattern::Kind::kSuffix;
    pattern.literal = text.substr(2);
    return pattern;
  }
  pattern.kind = Pattern::Kind::kGeneral;
  pattern.tokens = tokenize(text);
  const auto literal = [](const Token& token) { return token.kind == Token::Kind::kLiteral; };
  for (auto it = pattern.tokens.begin(); it != pattern.tokens.end() && literal(*it); ++it) {
    pattern.head.append(it->text);
  }
  for (auto it = pattern.tokens.rbegin(); it != pattern.tokens.rend() && literal(*it); ++it) {
    pattern.tail.insert(0, it->text);
  }
  std::string run;
  for (const Token& token : pattern.tokens) {
    if (literal(token))
      run.append(token.text);
    else
      run.clear();
    if (run.size() > pattern.needle.size()) pattern.needle = run;
  }
  return pattern;
}

std::vector<PatternMatcher::Token> PatternMatcher::tokenize(std::string_view text) {
  using Kind = Token::Kind;
  std::vector<Token> tokens;
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    if (starts_with(rest, "**")) {
      at += starts_with(rest, "**/") ? 3 : 2;
      if (at == text.size()) {
        tokens.push_back({Kind::kEverything});
      } else {
        tokens.push_back({Kind::kDeep});
        tokens.push_back({Kind::kDeepInside});
      }
    } else if (rest[0] == '*' || rest[0] == '?') {
      tokens.push_back({rest[0] == '*' ? Kind::kStar : Kind::kAny});
      ++at;
    } else if (rest[0] == '[') {
      const size_t end = class_end(text, at);
      tokens.push_back({Kind::kClass, std::string(text.substr(at, end - at))});
      at = end;
    } else {
      if (rest[0] == '\\') ++at;
      const size_t bytes = std::max<size_t>(1, decode_utf8(text.substr(at)).bytes);
      tokens.push_back({Kind::kLiteral, std::string(text.substr(at, bytes))});
      at += bytes;
    }
  }
  return tokens;
}

bool PatternMatcher::pattern_matches(const Pattern& pattern, std::string_view path) {
  switch (pattern.kind) {
    case Pattern::Kind::kExact:
      return path == pattern.literal;
    case Pattern::Kind::kPrefix:
      return starts_with(path, pattern.literal);
    case Pattern::Kind::kSuffix:
      return ends_with(path, pattern.literal) ||
             (!pattern.literal.empty() && pattern.literal.front() == '/' &&
              path == std::string_view(pattern.literal).substr(1));
    case Pattern::Kind::kGeneral:
      return starts_with(path, pattern.head) && ends_with(path, pattern.tail) &&
             path.find(pattern.needle) != std::string_view::npos &&
             tokens_match(pattern.tokens, path);
  }
  return false;
}

// All ways through the pattern are followed at once: linear in path × tokens, whatever the stars
// do.
bool PatternMatcher::tokens_match(const std::vector<Token>& tokens, std::string_view path) {
  using Kind = Token::Kind;
  // Adds a position and those behind it that are reached without a character.
  const auto reach = [&tokens](StateSet& set, size_t i) {
    while (true) {
      set.add(i);
      if (i == tokens.size()) return;
      const Kind kind = tokens[i].kind;
      if (kind == Kind::kDeep) {
        i += 2;
      } else if (kind == Kind::kStar || kind == Kind::kEverything) {
        ++i;
      } else {
        return;
      }
    }
  };
  const auto step = [&](size_t i, std::string_view c, StateSet& next) {
    const bool slash = c[0] == '/';
    switch (tokens[i].kind) {
      case Kind::kLiteral:
        if (c == tokens[i].text) reach(next, i + 1);
        return;
      case Kind::kAny:
        if (!slash) reach(next, i + 1);
        return;
      case Kind::kStar:
        if (!slash) reach(next, i);
        return;
      case Kind::kClass:
        if (glob_match(tokens[i].text, c).value_or(false)) reach(next, i + 1);
        return;
      case Kind::kEverything:
        reach(next, i);
        return;
      case Kind::kDeep:
        next.add(i + 1);
        if (slash) reach(next, i + 2);
        return;
      case Kind::kDeepInside:
        next.add(i);
        if (slash) reach(next, i + 1);
        return;
    }
  };
  StateSet now(tokens.size() + 1);
  StateSet next(tokens.size() + 1);
  reach(now, 0);
  for (size_t at = 0; at < path.size() && now.any();) {
    const size_t bytes = std::max<size_t>(1, decode_utf8(path.substr(at)).bytes);
    next.clear();
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (now.has(i)) step(i, path.substr(at, bytes), next);
    }
    now.swap(next);
    at += bytes;
  }
  return now.has(tokens.size());
}

// The order of evaluation is upstream's walk, to the letter: a pattern that could not change the
// verdict is not looked at and does not count as matched for what is below.
bool PatternMatcher::decide(std::string_view path, const Parents& parents,
                            std::vector<uint8_t>* matched) const {
  bool excluded = false;
  for (size_t i = 0; i < patterns_.size(); ++i) {
    bool match = !parents.matched_.empty() && parents.matched_[i] != 0;
    if (!match && patterns_[i].exception == excluded) match = pattern_matches(patterns_[i], path);
    if (!match) continue;
    if (matched != nullptr) (*matched)[i] = 1;
    excluded = !patterns_[i].exception;
  }
  return excluded;
}

PatternMatcher::Match PatternMatcher::match(std::string_view path, const Parents& parents) const {
  Match result;
  result.self.matched_.resize(patterns_.size());
  result.excluded = decide(path, parents, &result.self.matched_);
  return result;
}

bool PatternMatcher::match_file(std::string_view path, const Parents& parents) const {
  return decide(path, parents, nullptr);
}

bool PatternMatcher::matches(std::string_view path) const {
  Parents parents;
  for (size_t slash = path.find('/'); slash != std::string_view::npos;
       slash = path.find('/', slash + 1)) {
    parents = match(path.substr(0, slash), parents).self;
  }
  return match_file(path, parents);
}

bool PatternMatcher::can_skip_directory(std::string_view dir) const {
  if (!has_exceptions_) return true;
  const std::string below = std::string(dir) + "/";
  return std::none_of(patterns_.begin(), patterns_.end(), [&below](const Pattern& pattern) {
    if (!pattern.exception) return false;
    if (pattern.kind == Pattern::Kind::kSuffix) return true;
    if (pattern.kind == Pattern::Kind::kExact) return starts_with(pattern.literal, below);
    const std::string& head =
        pattern.kind == Pattern::Kind::kPrefix ? pattern.literal : pattern.head;
    return starts_with(head, below) || starts_with(below, head);
  });
}

}  // namespace kiln
