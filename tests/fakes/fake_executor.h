// An Executor that calls a function instead of starting a sandbox: what a step would do to its root
// file system and mounts, the test does itself.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "solver/executor/executor.h"

namespace kiln::fake {

class FakeExecutor : public Executor {
 public:
  using Behaviour = std::function<Result<ExitInfo>(const ExecRequest&, std::stop_token)>;
  FakeExecutor() : FakeExecutor([](const auto&, auto) { return ExitInfo{}; }) {}
  explicit FakeExecutor(Behaviour behaviour) : behaviour_(std::move(behaviour)) {}

  Result<ExitInfo> run(const ExecRequest& request, std::stop_token stop) override {
    {
      const std::scoped_lock lock(mutex_);
      requests_.push_back(request);
    }
    return behaviour_(request, std::move(stop));
  }
  /// What was asked for, in order; `out` and `err` dangle.
  std::vector<ExecRequest> requests() const {
    const std::scoped_lock lock(mutex_);
    return requests_;
  }
  void set(Behaviour behaviour) { behaviour_ = std::move(behaviour); }

 private:
  Behaviour behaviour_;
  mutable std::mutex mutex_;  // protects requests_
  std::vector<ExecRequest> requests_;
};

}  // namespace kiln::fake
