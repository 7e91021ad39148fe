#include "frontend/shell_pattern.h"

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "base/utf8.h"

namespace kiln::dockerfile {
namespace {

// Characters as views, so that a "character" may also be one invalid byte.
using Chars = std::vector<std::string_view>;

Chars split_chars(std::string_view text) {
  Chars chars;
  chars.reserve(text.size());
  while (!text.empty()) {
    const size_t bytes = std::max<size_t>(1, decode_utf8(text).bytes);
    chars.push_back(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return chars;
}

struct Token {
  enum class Kind : uint8_t { kLiteral, kAny, kStar } kind = Kind::kLiteral;
  std::string_view literal;
};

Error bad_pattern(std::string_view pattern, std::string_view what) {
  return Error(Code::kInvalidArgument, "invalid pattern (" + std::string(pattern) +
                                           ") in substitution: invalid escape '\\" +
                                           std::string(what) + "'");
}

Result<std::vector<Token>> compile(std::string_view pattern) {
  const Chars chars = split_chars(pattern);
  std::vector<Token> tokens;
  for (size_t i = 0; i < chars.size(); ++i) {
    if (chars[i] == "*") {
      tokens.push_back({Token::Kind::kStar, {}});
    } else if (chars[i] == "?") {
      tokens.push_back({Token::Kind::kAny, {}});
    } else if (chars[i] == "\\") {
      const std::string_view next = i + 1 < chars.size() ? chars[i + 1] : std::string_view();
      if (next == "}" || next == "/") continue;
      if (next != "*" && next != "?" && next != "\\") {
        return tl::unexpected(bad_pattern(pattern, next));
      }
      tokens.push_back({Token::Kind::kLiteral, next});
      ++i;
    } else {
      tokens.push_back({Token::Kind::kLiteral, chars[i]});
    }
  }
  return tokens;
}

// The states reached without reading: a star may match nothing.
void close_over_stars(std::span<const Token> tokens, std::vector<uint8_t>& active) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (active[i] != 0 && tokens[i].kind == Token::Kind::kStar) active[i + 1] = 1;
  }
}

// How many characters from the start the tokens can match; nullopt: none. Simulates all ways at
// once, so the cost is tokens × characters whatever the stars do.
std::optional<size_t> match_length(std::span<const Token> tokens,
                                   std::span<const std::string_view> chars, Greed greed) {
  std::vector<uint8_t> active(tokens.size() + 1, 0);
  std::vector<uint8_t> next(tokens.size() + 1, 0);
  active[0] = 1;
  close_over_stars(tokens, active);
  std::optional<size_t> best;
  for (size_t at = 0;; ++at) {
    if (active.back() != 0) {
      best = at;
      if (greed == Greed::kShortest) return best;
    }
    if (at == chars.size()) return best;
    std::fill(next.begin(), next.end(), 0);
    bool alive = false;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (active[i] == 0) continue;
      const bool star = tokens[i].kind == Token::Kind::kStar;
      const bool passes =
          star || tokens[i].kind == Token::Kind::kAny || tokens[i].literal == chars[at];
      if (passes) next[star ? i : i + 1] = 1;
      alive = alive || passes;
    }
    if (!alive) return best;
    close_over_stars(tokens, next);
    active.swap(next);
  }
}

}  // namespace

Result<std::string> strip_affix(std::string_view value, std::string_view pattern, Affix affix,
                                Greed greed) {
  KILN_TRY_ASSIGN(std::vector<Token> tokens, compile(pattern));
  Chars chars = split_chars(value);
  if (affix == Affix::kSuffix) {
    std::reverse(tokens.begin(), tokens.end());
    std::reverse(chars.begin(), chars.end());
  }
  const size_t matched = match_length(tokens, chars, greed).value_or(0);
  size_t bytes = 0;
  for (size_t i = 0; i < matched; ++i) bytes += chars[i].size();
  if (affix == Affix::kSuffix) return std::string(value.substr(0, value.size() - bytes));
  return std::string(value.substr(bytes));
}

Result<std::string> replace_matches(std::string_view value, std::string_view pattern,
                                    std::string_view with, Replace which) {
  KILN_TRY_ASSIGN(const std::vector<Token> tokens, compile(pattern));
  const Chars chars = split_chars(value);
  std::string out;
  bool done = false;
  size_t last_end = std::string_view::npos;
  for (size_t at = 0; at <= chars.size();) {
    const std::optional<size_t> length =
        done ? std::nullopt : match_length(tokens, std::span(chars).subspan(at), Greed::kLongest);
    if (length && (*length > 0 || at != last_end)) {
      out.append(with);
      done = which == Replace::kFirst;
      last_end = at + *length;
    }
    if (length && *length > 0) {
      at += *length;
      continue;
    }
    if (at < chars.size()) out.append(chars[at]);
    ++at;
  }
  return out;
}

}  // namespace kiln::dockerfile
