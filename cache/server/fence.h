// Orders pushes against garbage collection: many may be inside the fence together, or one alone.
// Who wants to be alone goes before those who come later, so a busy registry cannot keep it out.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace kiln::server {

class Fence {
 public:
  class Shared {
   public:
    explicit Shared(Fence& fence) : fence_(fence) {
      std::unique_lock lock(fence_.mutex_);
      fence_.changed_.wait(lock, [&] { return !fence_.alone_ && fence_.waiting_ == 0; });
      ++fence_.inside_;
    }
    ~Shared() {
      const std::lock_guard lock(fence_.mutex_);
      if (--fence_.inside_ == 0) fence_.changed_.notify_all();
    }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;

   private:
    Fence& fence_;
  };

  class Alone {
   public:
    explicit Alone(Fence& fence) : fence_(fence) {
      std::unique_lock lock(fence_.mutex_);
      ++fence_.waiting_;
      fence_.changed_.wait(lock, [&] { return !fence_.alone_ && fence_.inside_ == 0; });
      --fence_.waiting_;
      fence_.alone_ = true;
    }
    ~Alone() {
      const std::lock_guard lock(fence_.mutex_);
      fence_.alone_ = false;
      fence_.changed_.notify_all();
    }
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

   private:
    Fence& fence_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t inside_ = 0, waiting_ = 0;
  bool alone_ = false;
};

}  // namespace kiln::server
