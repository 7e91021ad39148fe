// Errors are values. `Result<T>` is either a T or an immutable `Error` that many waiters can share.
// No exception crosses a kiln function; third-party exceptions end in the one .cc that owns the
// library. A broken invariant is not an error: KILN_CHECK prints where and aborts, in release
// builds too.
#pragma once

#include <tl/expected.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

enum class Code : uint8_t {
  kCancelled,        // a stop was requested; says nothing about the work itself
  kInvalidArgument,  // the caller's (user's) input is wrong whatever the state of the world
  kNotFound,         // something the caller said exists does not
  kAlreadyExists,
  kFailedPrecondition,  // right input, wrong state
  kPermissionDenied,
  kUnauthenticated,
  kResourceExhausted,  // disk full, limits reached
  kUnimplemented,
  kUnavailable,  // transient; the only code that retry loops look at
  kDataLoss,     // stored or received bytes do not match their digest
  kInternal
};
/// The enumerator's name without its "k", in snake case: "not_found".
std::string_view to_string(Code code);

/// Lines of a Dockerfile, 1-based and inclusive. `first_line` 0: no position.
struct SourceRange {
  std::string file;
  int first_line = 0;
  int last_line = 0;
  bool operator==(const SourceRange&) const = default;
};

/// An immutable failure. Copies share one node; wrap, at and hint return a new Error and leave this
/// one be.
class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message);
  /// "op "path": strerror(err)"; the code follows errno (ENOENT kNotFound, ENOSPC and EDQUOT
  /// kResourceExhausted, EACCES and EPERM kPermissionDenied, EEXIST kAlreadyExists,
  /// ELOOP/EXDEV/ENAMETOOLONG/EINVAL kInvalidArgument, EINTR kCancelled, other kInternal).
  static Error from_errno(int err, std::string_view op, std::string_view path);

  Code code() const noexcept;
  /// "context: message", same code, place and hint. Wrap once per layer with what was being done.
  Error wrap(std::string_view context) const;
  /// Attaches a place unless one is there already: the innermost range wins.
  Error at(SourceRange where) const;
  /// Attaches what the user can do; the innermost hint wins.
  Error hint(std::string_view advice) const;
  /// Attaches errors that were found in the same pass, each with its own place and hint.
  Error also(std::vector<Error> others) const;

  const std::string& message()
      const noexcept;  // one line, outermost context first, no place, no hint
  const std::optional<SourceRange>& where() const noexcept;
  const std::string& advice() const noexcept;  // empty: none
  const std::vector<Error>& others() const noexcept;
  std::string to_string() const;  // message(), prefixed by "file:line: " if there is a place

 private:
  struct Node;
  explicit Error(std::shared_ptr<const Node> node);
  std::shared_ptr<const Node> node_;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

/// `return fail(Code::kNotFound, "...");`
tl::unexpected<Error> fail(Code code, std::string message);
tl::unexpected<Error> fail_errno(std::string_view op, std::string_view path);  // reads errno

namespace internal {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace internal

}  // namespace kiln

// Plain statements, not GNU statement expressions: those leak on early return inside aggregate
// initialisation.
#define KILN_CAT2(a, b) a##b
#define KILN_CAT(a, b) KILN_CAT2(a, b)
#define KILN_TRY(expr)                                        \
  do {                                                        \
    if (auto kiln_status_ = (expr); !kiln_status_)            \
      return tl::unexpected(std::move(kiln_status_).error()); \
  } while (0)
#define KILN_TRY_ASSIGN(decl, ...) \
  KILN_TRY_ASSIGN2(KILN_CAT(kiln_r_, __COUNTER__), decl, __VA_ARGS__)
#define KILN_TRY_ASSIGN2(r, decl, ...)                 \
  auto r = (__VA_ARGS__);                              \
  if (!r) return tl::unexpected(std::move(r).error()); \
  decl = *std::move(r)
#define KILN_CHECK(cond) \
  ((cond) ? static_cast<void>(0) : ::kiln::internal::check_failed(#cond, __FILE__, __LINE__))
