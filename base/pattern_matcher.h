// The patterns of an ignore file and of COPY --exclude (DOCKERFILE.md A.7): Go's filepath.Match
// plus "**", "!" exceptions, the last match wins, a pattern that matches a parent matches what is
// below. Compiled once; matching allocates nothing per pattern. Reading the file's lines is
// frontend/dockerignore.h.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

class PatternMatcher {
 public:
  /// Whether each pattern matched some directory itself or through its parents: carried down a
  /// walk, so that a walk of n entries costs n × patterns and not n × depth × patterns. A default
  /// one is the root's.
  class Parents {
   public:
    Parents() = default;

   private:
    friend class PatternMatcher;
    std::vector<uint8_t> matched_;  // empty: none did
  };
  struct Match {
    bool excluded = false;  // by the last pattern that matched
    Parents self;           // pass it on for the entries of this directory; needless for a file
  };

  PatternMatcher() = default;  // matches nothing
  /// Patterns in order, trimmed and cleaned here; empty ones are dropped. kInvalidArgument:
  /// `illegal exclusion pattern: "!"`, bad syntax as in glob.h ("syntax error in pattern").
  static Result<PatternMatcher> compile(const std::vector<std::string>& patterns);

  bool empty() const { return patterns_.empty(); }
  bool has_exceptions() const { return has_exceptions_; }
  const std::vector<std::string>& patterns() const { return texts_; }  // cleaned, "!" kept

  /// Is `path` ("a/b", relative, clean) excluded? Looks at the parents too; for single questions.
  bool matches(std::string_view path) const;
  /// The same with the parent directory's result at hand: for walks. `parents` is the `self` of the
  /// parent's Match.
  Match match(std::string_view path, const Parents& parents) const;
  /// As match(), for entries whose own children are of no interest (files).
  bool match_file(std::string_view path, const Parents& parents) const;
  /// True if nothing below the excluded directory can be re-included, so that a walk may leave it
  /// out. Only meaningful when `dir` is excluded itself.
  bool can_skip_directory(std::string_view dir) const;

 private:
  struct Token {
    // kDeep and kDeepInside are the two states of "**": `(.*/)?`, entered and not yet at a "/".
    enum class Kind : uint8_t { kLiteral, kAny, kStar, kClass, kDeep, kDeepInside, kEverything };
    Kind kind = Kind::kLiteral;
    std::string text = {};  // kLiteral: one character; kClass: "[a-z]"
  };
  struct Pattern {
    enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kGeneral };
    Kind kind = Kind::kExact;
    bool exception = false;
    std::string literal;        // kExact: the path; kPrefix: "dir/"; kSuffix: what follows "**"
    std::vector<Token> tokens;  // kGeneral
    std::string head, tail;     // kGeneral: what a match must begin and end with
    std::string needle;  // kGeneral: the longest run of plain characters, which a match must hold
  };
  static Pattern compile_one(std::string_view text);
  static std::vector<Token> tokenize(std::string_view text);
  static bool pattern_matches(const Pattern& pattern, std::string_view path);
  static bool tokens_match(const std::vector<Token>& tokens, std::string_view path);
  bool decide(std::string_view path, const Parents& parents, std::vector<uint8_t>* matched) const;

  std::vector<Pattern> patterns_;
  std::vector<std::string> texts_;
  bool has_exceptions_ = false;
};

}  // namespace kiln
