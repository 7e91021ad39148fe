// A value that can be reached only while its lock is held.
#pragma once

#include <mutex>
#include <utility>

namespace kiln {

template <class T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}

  class Lock {
   public:
    T* operator->() { return &value_; }
    T& operator*() { return value_; }

   private:
    friend class Guarded;
    Lock(std::mutex& mutex, T& value) : held_(mutex), value_(value) {}
    std::unique_lock<std::mutex> held_;
    T& value_;
  };
  [[nodiscard]] Lock lock() { return Lock(mutex_, value_); }

 private:
  std::mutex mutex_;
  T value_{};
};

}  // namespace kiln
