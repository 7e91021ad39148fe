#include "base/result.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace kiln {

struct Error::Node {
  Code code;
  std::string message;
  std::optional<SourceRange> where;
  std::string hint;
  std::vector<Error> others;
};

namespace {

Code code_of_errno(int err) {
  switch (err) {
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case EEXIST:
    case ENOTEMPTY:
      return Code::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return Code::kResourceExhausted;
    case EINVAL:
    case ELOOP:
    case EXDEV:
    case ENAMETOOLONG:
    case EISDIR:
      return Code::kInvalidArgument;
    case EINTR:
      return Code::kCancelled;
    case EAGAIN:
    case EBUSY:
    case ETIMEDOUT:
    case ECONNREFUSED:
    case ECONNRESET:
      return Code::kUnavailable;
    default:
      return Code::kInternal;
  }
}

}  // namespace

std::string_view to_string(Code code) {
  static constexpr std::array<std::string_view, 12> kNames = {
      "cancelled",           "invalid_argument",  "not_found",       "already_exists",
      "failed_precondition", "permission_denied", "unauthenticated", "resource_exhausted",
      "unimplemented",       "unavailable",       "data_loss",       "internal"};
  return kNames.at(static_cast<size_t>(code));
}

Error::Error(Code code, std::string message)
    : node_(std::make_shared<const Node>(Node{code, std::move(message), std::nullopt, {}, {}})) {}

Error::Error(std::shared_ptr<const Node> node) : node_(std::move(node)) {}

Error Error::from_errno(int err, std::string_view op, std::string_view path) {
  std::array<char, 128> buffer{};
  std::string message(op);
  if (!path.empty()) message.append(" \"").append(path).append("\"");
  message.append(": ").append(strerror_r(err, buffer.data(), buffer.size()));
  Error error(code_of_errno(err), std::move(message));
  if (err != ENOSPC && err != EDQUOT) return error;
  return error.hint("free space on that disk; if kiln's root lies on it, `kiln prune --all` helps");
}

Code Error::code() const noexcept {
  return node_->code;
}

Error Error::wrap(std::string_view context) const {
  Node node = *node_;
  node.message = std::string(context) + ": " + node.message;
  return Error(std::make_shared<const Node>(std::move(node)));
}

Error Error::at(SourceRange where) const {
  if (node_->where) return *this;
  Node node = *node_;
  node.where = std::move(where);
  return Error(std::make_shared<const Node>(std::move(node)));
}

Error Error::hint(std::string_view advice) const {
  if (!node_->hint.empty()) return *this;
  Node node = *node_;
  node.hint = advice;
  return Error(std::make_shared<const Node>(std::move(node)));
}

Error Error::also(std::vector<Error> others) const {
  Node node = *node_;
  node.others = std::move(others);
  return Error(std::make_shared<const Node>(std::move(node)));
}

const std::string& Error::message() const noexcept {
  return node_->message;
}
const std::optional<SourceRange>& Error::where() const noexcept {
  return node_->where;
}
const std::string& Error::advice() const noexcept {
  return node_->hint;
}

const std::vector<Error>& Error::others() const noexcept {
  return node_->others;
}

std::string Error::to_string() const {
  if (!node_->where || node_->where->first_line == 0) return node_->message;
  return node_->where->file + ":" + std::to_string(node_->where->first_line) + ": " +
         node_->message;
}

tl::unexpected<Error> fail(Code code, std::string message) {
  return tl::unexpected(Error(code, std::move(message)));
}

tl::unexpected<Error> fail_errno(std::string_view op, std::string_view path) {
  return tl::unexpected(Error::from_errno(errno, op, path));
}

namespace internal {
void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "kiln: internal error: %s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}
}  // namespace internal

}  // namespace kiln
