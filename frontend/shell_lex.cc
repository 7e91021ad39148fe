#include "frontend/shell_lex.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/strings.h"
#include "base/utf8.h"
#include "frontend/shell_pattern.h"

namespace kiln::dockerfile {
namespace {

constexpr int kMaxNesting = 100;
constexpr int kEnd = -1;

bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Characters beyond ASCII that may stand in a name. Letters are told from punctuation, symbols and
// emoji by block, which is as far as names in Dockerfiles need it.
bool is_wide_letter(char32_t c) {
  struct Range {
    char32_t first, last;
  };
  static constexpr std::array kNotLetters = {
      Range{0x80, 0xA9},       Range{0xAB, 0xB4},       Range{0xB6, 0xB9},
      Range{0xBB, 0xBF},       Range{0xD7, 0xD7},       Range{0xF7, 0xF7},
      Range{0x2000, 0x206F},   Range{0x20A0, 0x20CF},   Range{0x2190, 0x2BFF},
      Range{0x2E00, 0x2E7F},   Range{0x3000, 0x3004},   Range{0x3008, 0x3020},
      Range{0xE000, 0xF8FF},   Range{0xFE00, 0xFE6F},   Range{0xFF00, 0xFF20},
      Range{0xFF3B, 0xFF40},   Range{0xFF5B, 0xFF65},   Range{0xFFE0, 0xFFFF},
      Range{0x1F000, 0x1FAFF}, Range{0xE0000, 0x10FFFF}};
  return c >= 0x80 && std::none_of(kNotLetters.begin(), kNotLetters.end(),
                                   [c](const Range& r) { return c >= r.first && c <= r.last; });
}

// Collects the words of a text whose blanks separate unless they were quoted or escaped.
class Words {
 public:
  void add(char c) {
    if (!is_blank(c)) {
      word_.push_back(c);
    } else if (!word_.empty()) {
      words_.push_back(std::move(word_));
      word_.clear();
    }
  }
  void add_raw(std::string_view text) { word_.append(text); }
  std::vector<std::string> take() {
    if (!word_.empty()) words_.push_back(std::move(word_));
    return std::move(words_);
  }

 private:
  std::string word_;
  std::vector<std::string> words_;
};

class Lexer {
 public:
  Lexer(std::string_view text, const EnvLookup& env, const ExpandOptions& options)
      : text_(text), env_(env), options_(options) {}

  Result<Expansion> run() {
    Words words;
    KILN_TRY_ASSIGN(std::string result, until(kEnd, options_.escapes, &words));
    Expansion expansion;
    expansion.text = std::move(result);
    if (options_.split == Split::kYes) expansion.words = words.take();
    expansion.used.assign(used_.begin(), used_.end());
    expansion.undefined.assign(undefined_.begin(), undefined_.end());
    return expansion;
  }

 private:
  // What an absent variable is to its reader: the operators that ask for it (-, +, ?) do not count
  // it as undefined.
  enum class Absence : uint8_t { kReported, kHandled };

  bool at_end() const { return at_ >= text_.size(); }
  int peek() const { return at_end() ? kEnd : static_cast<unsigned char>(text_[at_]); }
  char next() { return text_[at_++]; }

  static tl::unexpected<Error> error(std::string message) {
    return fail(Code::kInvalidArgument, std::move(message));
  }

  // Expands up to `stop`, which is consumed, or to the end.
  Result<std::string> until(int stop, Escapes escapes, Words* words) {
    if (++depth_ > kMaxNesting) return error("syntax error: too many nested substitutions");
    std::string result;
    while (!at_end()) {
      if (peek() == stop) {
        ++at_;
        --depth_;
        return result;
      }
      KILN_TRY(piece(escapes, words, result));
    }
    if (stop != kEnd) {
      return error(std::string("unexpected end of statement while looking for matching ") +
                   static_cast<char>(stop));
    }
    --depth_;
    return result;
  }

  Status piece(Escapes escapes, Words* words, std::string& result) {
    const char c = text_[at_];
    const bool quoting = options_.quotes != Quotes::kLiteral;
    if (c == '$') {
      KILN_TRY_ASSIGN(const std::string value, dollar());
      result.append(value);
      if (words != nullptr)
        std::for_each(value.begin(), value.end(), [&](char v) { words->add(v); });
    } else if (quoting && (c == '\'' || c == '"')) {
      KILN_TRY_ASSIGN(const std::string quoted,
                      c == '"' ? double_quoted(escapes) : single_quoted());
      result.append(quoted);
      if (words != nullptr) words->add_raw(quoted);
    } else if (c == options_.escape) {
      const std::string taken = escaped(escapes);
      result.append(taken);
      if (words != nullptr) words->add_raw(taken);
    } else {
      result.push_back(next());
      if (words != nullptr) words->add(c);
    }
    return {};
  }

  // The escape character and what follows it; at the end it vanishes.
  std::string escaped(Escapes escapes) {
    std::string taken;
    const char escape = next();
    if (escapes == Escapes::kKeep) taken.push_back(escape);
    if (!at_end()) taken.push_back(next());
    return taken;
  }

  Result<std::string> single_quoted() {
    const size_t open = at_++;
    const size_t close = text_.find('\'', at_);
    if (close == std::string_view::npos) {
      at_ = text_.size();
      return error("unexpected end of statement while looking for matching single-quote");
    }
    at_ = close + 1;
    if (options_.quotes == Quotes::kKeep) return std::string(text_.substr(open, at_ - open));
    return std::string(text_.substr(open + 1, close - open - 1));
  }

  Result<std::string> double_quoted(Escapes escapes) {
    std::string result;
    const auto quote_mark = [&] {
      ++at_;
      if (options_.quotes == Quotes::kKeep) result.push_back('"');
    };
    quote_mark();
    while (!at_end()) {
      const char c = text_[at_];
      if (c == '"') {
        quote_mark();
        return result;
      }
      if (c == '$') {
        KILN_TRY_ASSIGN(const std::string value, dollar());
        result.append(value);
      } else if (c == options_.escape) {
        result.append(escaped_in_quotes(escapes));
      } else {
        result.push_back(next());
      }
    }
    return error("unexpected end of statement while looking for matching double-quote");
  }

  // Only `"`, `$` and the escape character itself can be escaped here; before others it stays.
  std::string escaped_in_quotes(Escapes escapes) {
    const char escape = next();
    if (at_end()) return {};
    const char c = text_[at_];
    if (c != '"' && c != '$' && c != escape) return {escape};
    ++at_;
    return escapes == Escapes::kKeep ? std::string{escape, c} : std::string{c};
  }

  Result<std::string> dollar() {
    ++at_;
    if (peek() != '{') {
      const std::string name = variable_name();
      if (name.empty()) return std::string("$");
      const auto value = lookup(name, Absence::kReported);
      if (!value && options_.unset == Unset::kKeep) return "$" + name;
      return std::string(value.value_or(""));
    }
    ++at_;
    if (at_end()) return error("syntax error: missing '}'");
    if (peek() == '{' || peek() == '}' || peek() == ':')
      return error("syntax error: bad substitution");
    const std::string name = variable_name();
    if (at_end()) return error("syntax error: missing '}'");
    const char op = next();
    switch (op) {
      case '}':
        return plain(name);
      case ':':
        return conditional(name, at_end() ? '\0' : next(), /*colon=*/":");
      case '+':
      case '-':
      case '?':
        return conditional(name, op, /*colon=*/"");
      case '#':
      case '%':
        return affix(name, op);
      case '/':
        return replacement(name);
      default:
        return unsupported(op, "");
    }
  }

  Result<std::string> plain(const std::string& name) {
    const auto value = lookup(name, Absence::kReported);
    if (!value && options_.unset == Unset::kKeep) return "${" + name + "}";
    return std::string(value.value_or(""));
  }

  // A whole character, so that the message stays valid text.
  tl::unexpected<Error> unsupported(char op, std::string_view before) {
    std::string text(before);
    text.push_back(op);
    while (!at_end() && (static_cast<unsigned char>(text_[at_]) & 0xC0U) == 0x80U) {
      text.push_back(next());
    }
    return error("unsupported modifier (" + text + ") in substitution");
  }

  // The word of an operator. If the text ends inside it, the brace is what is missing.
  Result<std::string> word_until(char stop, Escapes escapes, std::string_view missing) {
    auto word = until(stop, escapes, nullptr);
    if (!word && at_end()) return error("syntax error: missing " + std::string(missing));
    return word;
  }

  // ${v-w} ${v:-w} ${v+w} ${v:+w} ${v?w} ${v:?w}
  Result<std::string> conditional(const std::string& name, char op, std::string_view colon) {
    if (op == '\0') return error("syntax error: missing '}'");
    if (op == '#' || op == '%') return unsupported(op, colon);
    KILN_TRY_ASSIGN(const std::string word, word_until('}', Escapes::kRemove, "'}'"));
    if (op != '-' && op != '+' && op != '?') return unsupported(op, colon);
    const auto value = lookup(name, Absence::kHandled);
    if (!value && options_.unset == Unset::kKeep) {
      return "${" + name + std::string(colon) + op + word + "}";
    }
    const bool absent = !value || (!colon.empty() && value->empty());
    if (op == '+') return absent ? std::string() : word;
    if (!absent) return std::string(*value);
    if (op == '-') return word;
    const std::string_view fallback =
        value ? "is not allowed to be empty" : "is not allowed to be unset";
    return error(name + ": " + (word.empty() ? std::string(fallback) : word));
  }

  // ${v#p} ${v##p} ${v%p} ${v%%p}
  Result<std::string> affix(const std::string& name, char op) {
    KILN_TRY_ASSIGN(const std::string word, word_until('}', Escapes::kKeep, "'}'"));
    const auto value = lookup(name, Absence::kReported);
    if (!value && options_.unset == Unset::kKeep) return "${" + name + op + word + "}";
    std::string_view pattern = word;
    const bool longest = !pattern.empty() && pattern.front() == op;
    if (longest) pattern.remove_prefix(1);
    return strip_affix(value.value_or(""), pattern, op == '%' ? Affix::kSuffix : Affix::kPrefix,
                       longest ? Greed::kLongest : Greed::kShortest);
  }

  // ${v/p/r} ${v//p/r}: escapes in `r` stay, as upstream leaves them.
  Result<std::string> replacement(const std::string& name) {
    const bool all = peek() == '/';
    if (all) ++at_;
    KILN_TRY_ASSIGN(const std::string pattern, word_until('/', Escapes::kKeep, "'/' in ${}"));
    KILN_TRY_ASSIGN(const std::string with, word_until('}', Escapes::kKeep, "'}'"));
    const auto value = lookup(name, Absence::kReported);
    if (!value && options_.unset == Unset::kKeep) {
      return "${" + name + "/" + pattern + "/" + with + "}";
    }
    return replace_matches(value.value_or(""), pattern, with,
                           all ? Replace::kAll : Replace::kFirst);
  }

  // "" if no name starts here. A number or one special parameter is a name of its own.
  std::string variable_name() {
    const size_t start = at_;
    if (!at_end() && is_digit(text_[at_])) {
      while (!at_end() && is_digit(text_[at_])) ++at_;
    } else if (!at_end() &&
               std::string_view("@*#?-$!").find(text_[at_]) != std::string_view::npos) {
      ++at_;
    } else {
      while (const size_t bytes = name_character()) at_ += bytes;
    }
    return std::string(text_.substr(start, at_ - start));
  }

  size_t name_character() const {
    if (at_end()) return 0;
    const char c = text_[at_];
    if (is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return 1;
    if (static_cast<unsigned char>(c) < 0x80) return 0;
    const Utf8Char wide = decode_utf8(text_.substr(at_));
    return is_wide_letter(wide.code_point) ? wide.bytes : 0;
  }

  std::optional<std::string_view> lookup(const std::string& name, Absence absence) {
    const std::optional<std::string_view> value = env_ ? env_(name) : std::nullopt;
    if (value) {
      used_.insert(name);
    } else if (absence == Absence::kReported) {
      undefined_.insert(name);
    }
    return value;
  }

  const std::string_view text_;
  const EnvLookup& env_;
  const ExpandOptions& options_;
  size_t at_ = 0;
  int depth_ = 0;
  std::set<std::string> used_, undefined_;
};

}  // namespace

Result<Expansion> expand(std::string_view word, const EnvLookup& env,
                         const ExpandOptions& options) {
  // Most words hold nothing to do.
  if (options.split == Split::kNo && word.find_first_of("$'\"") == std::string_view::npos &&
      word.find(options.escape) == std::string_view::npos) {
    Expansion plain;
    plain.text = word;
    return plain;
  }
  Result<Expansion> expansion = Lexer(word, env, options).run();
  if (!expansion) return tl::unexpected(expansion.error().wrap("failed to process " + quote(word)));
  return expansion;
}

}  // namespace kiln::dockerfile
