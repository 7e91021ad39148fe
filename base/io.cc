#include "base/io.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "base/fs.h"

namespace kiln {
namespace {

constexpr size_t kCopyBufferBytes = 256U << 10U;

}  // namespace

FdSource::FdSource(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

Result<size_t> FdSource::read(std::span<std::byte> buffer) {
  for (;;) {
    const ssize_t n = ::read(fd_.get(), buffer.data(), buffer.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return fail_errno("read", name_);
  }
}

FdSink::FdSink(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

Status FdSink::write(std::span<const std::byte> data) {
  return write_fully(fd_, data, name_);
}

StringSource::StringSource(std::string data) : data_(std::move(data)) {}

Result<size_t> StringSource::read(std::span<std::byte> buffer) {
  const size_t n = std::min(buffer.size(), data_.size() - position_);
  if (n > 0) std::memcpy(buffer.data(), data_.data() + position_, n);
  position_ += n;
  return n;
}

Result<size_t> PrefixedSource::read(std::span<std::byte> buffer) {
  if (position_ == head_.size()) return rest_->read(buffer);
  const size_t count = std::min(buffer.size(), head_.size() - position_);
  std::copy_n(head_.begin() + static_cast<ptrdiff_t>(position_), count, buffer.begin());
  position_ += count;
  return count;
}

Status StringSink::write(std::span<const std::byte> data) {
  data_.append(as_text(data));
  return {};
}

Status HashingSink::write(std::span<const std::byte> data) {
  if (next_ != nullptr) KILN_TRY(next_->write(data));
  hasher_.update(data);
  bytes_ += data.size();
  return {};
}

LimitSource::LimitSource(Source& from, uint64_t limit_bytes, std::string what)
    : from_(from), left_(limit_bytes), what_(std::move(what)) {}

Result<size_t> LimitSource::read(std::span<std::byte> buffer) {
  // At the limit one more byte is asked for: that tells "exactly at the limit" from "beyond it".
  std::array<std::byte, 1> probe{};
  const bool at_limit = left_ == 0 && !buffer.empty();
  const std::span<std::byte> window =
      at_limit ? std::span<std::byte>(probe)
               : buffer.first(static_cast<size_t>(std::min<uint64_t>(buffer.size(), left_)));
  KILN_TRY_ASSIGN(const size_t n, from_.read(window));
  if (at_limit && n > 0)
    return fail(Code::kResourceExhausted, what_ + " is larger than the limit allows");
  left_ -= n;
  return n;
}

Result<uint64_t> copy_stream(Source& from, Sink& to) {
  // Not a vector: clearing it costs more than what most documents do.
  const auto memory = std::make_unique_for_overwrite<std::byte[]>(kCopyBufferBytes);
  const std::span buffer(memory.get(), kCopyBufferBytes);
  uint64_t total = 0;
  for (;;) {
    KILN_TRY_ASSIGN(const size_t n, from.read(buffer));
    if (n == 0) return total;
    KILN_TRY(to.write(buffer.first(n)));
    total += n;
  }
}

Result<std::string> read_all(Source& from, uint64_t limit_bytes, std::string_view what) {
  LimitSource limited(from, limit_bytes, std::string(what));
  StringSink text;
  KILN_TRY(copy_stream(limited, text));
  return text.take();
}

}  // namespace kiln
