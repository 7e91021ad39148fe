// Byte streams. A Source is pulled, a Sink is pushed; both block and belong to one thread at a
// time.
#pragma once

#include "base/digest.h"
#include "base/fd.h"
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

class Source {
 public:
  virtual ~Source() = default;
  virtual Result<size_t> read(std::span<std::byte> buffer) = 0;  // 0 only at end of stream
};

class Sink {
 public:
  virtual ~Sink() = default;
  virtual Status write(std::span<const std::byte> data) = 0;  // all of it, or an error
};

/// Reads an fd from its current position. Owns it.
class FdSource : public Source {
 public:
  explicit FdSource(Fd fd, std::string name = {});
  Result<size_t> read(std::span<std::byte> buffer) override;

 private:
  Fd fd_;
  std::string name_;  // for errors
};

/// Writes to an fd it does not own.
class FdSink : public Sink {
 public:
  explicit FdSink(int fd, std::string name = {});
  Status write(std::span<const std::byte> data) override;

 private:
  int fd_;
  std::string name_;
};

class StringSource : public Source {
 public:
  explicit StringSource(std::string data);
  Result<size_t> read(std::span<std::byte> buffer) override;

 private:
  std::string data_;
  size_t position_ = 0;
};

/// Bytes that were read already, to find out what follows; then the rest.
class PrefixedSource : public Source {
 public:
  PrefixedSource(std::span<const std::byte> head, std::unique_ptr<Source> rest)
      : head_(head.begin(), head.end()), rest_(std::move(rest)) {}
  Result<size_t> read(std::span<std::byte> buffer) override;

 private:
  std::vector<std::byte> head_;
  size_t position_ = 0;
  std::unique_ptr<Source> rest_;
};

class StringSink : public Sink {
 public:
  Status write(std::span<const std::byte> data) override;
  std::string take() { return std::move(data_); }
  const std::string& data() const { return data_; }

 private:
  std::string data_;
};

/// Passes on to `next` (may be null: count and hash only) and hashes what passes.
class HashingSink : public Sink {
 public:
  explicit HashingSink(Sink* next) : next_(next) {}
  Status write(std::span<const std::byte> data) override;
  Digest digest() { return hasher_.finish(); }  // once, after the last write
  uint64_t bytes() const { return bytes_; }

 private:
  Sink* next_;
  Hasher hasher_;
  uint64_t bytes_ = 0;
};

/// kResourceExhausted once more than `limit_bytes` are read.
class LimitSource : public Source {
 public:
  LimitSource(Source& from, uint64_t limit_bytes, std::string what);
  Result<size_t> read(std::span<std::byte> buffer) override;

 private:
  Source& from_;
  uint64_t left_;
  std::string what_;
};

Result<uint64_t> copy_stream(Source& from, Sink& to);  // bytes copied
/// Everything, kResourceExhausted beyond `limit_bytes`.
Result<std::string> read_all(Source& from, uint64_t limit_bytes, std::string_view what);
inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view as_text(std::span<const std::byte> data) {
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

}  // namespace kiln
