// Paths that cannot escape. A RelPath is relative, clean and without "..": "" is the root itself,
// "a/b" otherwise. Any bytes that Linux allows are legal in a component. It says nothing about
// symlinks: those are resolved by Root.
#pragma once

#include "base/result.h"

#include <compare>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

class RelPath {
 public:
  RelPath() = default;  // the root
  /// Cleans lexically as if rooted at "/": leading "/", "." and empty components vanish, ".." stops
  /// at the root (DOCKERFILE.md C1). kInvalidArgument for NUL bytes.
  static Result<RelPath> rooted(std::string_view text);
  /// For archives: leading "/" and "./" are dropped, any remaining ".." is kInvalidArgument
  /// (SAFETY.md 1.2).
  static Result<RelPath> strict(std::string_view text);

  const std::string& str() const { return text_; }  // "" for the root
  std::string absolute() const { return "/" + text_; }
  bool is_root() const { return text_.empty(); }
  std::string_view name() const;  // last component; "" for the root
  RelPath parent() const;         // the root's parent is the root
  /// One more component. KILN_CHECKs that it is a plain name (not empty, ".", "..", no "/").
  RelPath child(std::string_view name) const;
  RelPath join(const RelPath& below) const;
  /// True if `this` is `ancestor` or lies below it.
  bool is_within(const RelPath& ancestor) const;
  std::vector<std::string_view> components() const&;  // views into this object
  std::vector<std::string_view> components() const&& = delete;
  auto operator<=>(const RelPath&) const = default;  // bytewise on the text

 private:
  explicit RelPath(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// Go's path.Clean: "a//b/../c" -> "a/c", "" -> ".", "/.." -> "/".
std::string clean_path(std::string_view path);
/// Go's path.Join of two: absolute `path` wins, result cleaned.
std::string join_path(std::string_view base, std::string_view path);

}  // namespace kiln
