// When things run: parallelism, order, failure, cancellation, progress.
#include "solver/loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <mutex>
#include <thread>

#include "tests/unit/solver/solver_fixture.h"

namespace kiln {
namespace {

using fake::GraphMaker;

class LoopTest : public SolverFixture {
 protected:
  // Returns when the step is told to stop.
  static Status wait_for_stop(JobContext& job) {
    std::mutex mutex;
    std::condition_variable_any stopped;
    std::unique_lock<std::mutex> lock(mutex);
    stopped.wait(lock, job.stop, [] { return false; });
    return fail(Code::kCancelled, "stopped");
  }
};

// Each waits for all the others: it ends only if all run at once.
TEST_F(LoopTest, RunsSixteenWaitingStepsAtOnce) {
  std::latch all(16);
  GraphMaker g;
  std::vector<llb::Output> steps;
  for (int i = 0; i < 16; ++i) {
    const std::string name = "step" + std::to_string(i);
    ops_.steps[name].on_execute = [&all](JobContext&) -> Status {
      all.arrive_and_wait();
      return {};
    };
    steps.push_back(g.add(name));
  }
  ASSERT_TRUE(solve(g.build({g.add("top", steps)})));
}

// stage a -> copied onto base -> run; stage b -> copied on top. Both stages must run at once though
// the second copy's key depends on what the first stage makes.
TEST_F(LoopTest, RunsIndependentStagesAtOnceAlthoughKeysWaitForContent) {
  std::latch all(3);
  for (const char* name : {"stage a", "stage b", "base"}) {
    ops_.steps[name].on_execute = [&all](JobContext&) -> Status {
      all.arrive_and_wait();
      return {};
    };
  }
  ops_.steps["copy a"].by_content = {1};
  ops_.steps["copy b"].by_content = {1};
  GraphMaker g;
  const auto a = g.add("copy a", {g.add("base"), g.add("stage a")});
  const auto b = g.add("copy b", {g.add("run", {a}), g.add("stage b")});
  EXPECT_EQ(text(g.build({b})), "copy b(run(copy a(base()stage a()))stage b())");
}

TEST_F(LoopTest, BoundsOnlyExecutingVertices) {
  options_.max_parallel = 2;
  std::atomic<int> inside = 0, most = 0;
  GraphMaker g;
  std::vector<llb::Output> steps;
  for (int i = 0; i < 12; ++i) {
    const std::string name = "step" + std::to_string(i);
    ops_.steps[name].on_execute = [&](JobContext&) -> Status {
      most = std::max(most.load(), ++inside);
      std::this_thread::yield();
      --inside;
      return {};
    };
    steps.push_back(g.add(name));
  }
  ASSERT_TRUE(solve(g.build({g.add("top", steps)})));
  EXPECT_LE(most, 2);
}

// Without a store nothing comes between a step's inputs and its turn.
TEST_F(LoopTest, ExecutesTheLongestPathFirst) {
  options_ = {1, {}};
  std::vector<std::string> order;  // one at a time
  for (const char* name : {"short", "long 1", "long 2"}) {
    ops_.steps[name].on_execute = [&order, name](JobContext&) -> Status {
      order.emplace_back(name);
      return {};
    };
  }
  GraphMaker g;
  const auto base = g.add("base");
  const auto brief = g.add("short", {base});
  const auto longer = g.add("long 2", {g.add("long 1", {base})});
  ASSERT_TRUE(solve(g.build({g.add("top", {brief, longer})})));
  EXPECT_EQ(order, (Names{"long 1", "short", "long 2"}));
}

TEST_F(LoopTest, StopsTheOthersWhenAStepFails) {
  std::latch waiting(1);
  ops_.steps["bad"].on_execute = [&](JobContext&) -> Status {
    waiting.wait();
    return fail(Code::kInternal, "exited with 2");
  };
  ops_.steps["slow"].on_execute = [&](JobContext& job) -> Status {
    waiting.count_down();
    return wait_for_stop(job);
  };
  GraphMaker g;
  const auto slow = g.add("slow"), bad = g.add("bad");
  const auto solution = solve(g.build({g.add("top", {slow, bad})}));
  ASSERT_FALSE(solution);
  EXPECT_EQ(solution.error().to_string(), "Dockerfile:2: exited with 2");
  EXPECT_EQ(sink_->events({"failed", "cancelled", "done"}),
            (Names{"failed bad", "cancelled slow"}));
  EXPECT_EQ(ops_.times("execute top"), 0);
  EXPECT_EQ(store_.held(), 0U);
}

TEST_F(LoopTest, FailsWithTheErrorOfAMap) {
  ops_.steps["a"].on_map = [](JobContext&) { return Status(fail(Code::kNotFound, "no image")); };
  GraphMaker g;
  const auto solution = solve(g.build({g.add("b", {g.add("a")})}));
  ASSERT_FALSE(solution);
  EXPECT_EQ(solution.error().code(), Code::kNotFound);
  EXPECT_EQ(solution.error().message(), "no image");
}

TEST_F(LoopTest, ObeysAStopFromOutside) {
  std::stop_source stop;
  ops_.steps["a"].on_execute = [&](JobContext& job) -> Status {
    std::thread stopper([&] { stop.request_stop(); });
    const Status stopped = wait_for_stop(job);
    stopper.join();
    return stopped;
  };
  GraphMaker g;
  const auto solution = solve(g.build({g.add("b", {g.add("a")})}), stop.get_token());
  ASSERT_FALSE(solution);
  EXPECT_EQ(solution.error().code(), Code::kCancelled);
  EXPECT_EQ(sink_->events({"started", "cancelled"}), (Names{"started a", "cancelled a"}));
}

TEST_F(LoopTest, DoesNothingWhenItIsStoppedAlready) {
  std::stop_source stop;
  stop.request_stop();
  GraphMaker g;
  const auto solution = solve(g.build({g.add("a")}), stop.get_token());
  ASSERT_FALSE(solution);
  EXPECT_EQ(solution.error().code(), Code::kCancelled);
  EXPECT_EQ(ops_.times("map a"), 0);
}

TEST_F(LoopTest, TellsWhatHappensToEachVertex) {
  GraphMaker g;
  const auto graph = g.build({g.add("c", {g.add("b", {g.add("a")})})});
  ASSERT_TRUE(solve(graph));
  EXPECT_EQ(sink_->events(), (Names{"added a", "added b", "added c", "started a", "done a",
                                    "started b", "done b", "started c", "done c"}));
  ASSERT_TRUE(solve(graph));
  EXPECT_EQ(sink_->events(), (Names{"added a", "added b", "added c", "started a", "cached a",
                                    "started b", "cached b", "started c", "cached c"}));
}

TEST_F(LoopTest, TellsThatStepsBelowAHitAreCachedBeforeWhatFollowsRuns) {
  GraphMaker g;
  const auto make = [] {
    GraphMaker maker;
    return maker.build({maker.add("c", {maker.add("b", {maker.add("a")})})});
  };
  ASSERT_TRUE(solve(make()));
  ops_.steps["c"].key = "changed";
  ASSERT_TRUE(solve(make()));
  EXPECT_EQ(sink_->events({"cached", "done"}), (Names{"cached a", "cached b", "done c"}));
}

// The first solve holds the key until the second one waits for it.
TEST_F(LoopTest, ASecondSolveWaitsForAKeyAndTakesTheResult) {
  std::latch executing(1), second_waits(1);
  ops_.steps["a"].on_execute = [&](JobContext&) -> Status {
    executing.count_down();
    second_waits.wait();
    return {};
  };
  store_.on_wait = [&] { second_waits.count_down(); };
  GraphMaker g;
  const auto graph = g.build({g.add("a")});
  fake::RecordingSink sink(graph);
  Solver solver({ops_.factory(), ops_.loader(), &workers_});
  std::string second;
  std::thread other([&] {
    executing.wait();
    const auto solution = solver.solve(graph, options_, sink, {});
    second = solution ? fake::text_of(solution->targets.front()) : solution.error().to_string();
  });
  EXPECT_EQ(text(graph), "a()");
  other.join();
  EXPECT_EQ(second, "a()");
  EXPECT_EQ(ops_.times("execute a"), 1);
}

TEST_F(LoopTest, CancelsWaitingForAKey) {
  std::stop_source stop;
  GraphMaker g;
  const auto graph = g.build({g.add("a")});
  KeyRecord record;
  record.op.add("op", "a");
  const auto held = store_.lock(record.key(), {});
  store_.on_wait = [&] { stop.request_stop(); };
  const auto solution = solve(graph, stop.get_token());
  ASSERT_FALSE(solution);
  EXPECT_EQ(solution.error().code(), Code::kCancelled);
}

TEST_F(LoopTest, DropsAllResultsBeforeItReturnsAFailure) {
  std::weak_ptr<int> alive;
  {
    auto token = std::make_shared<int>(0);
    alive = token;
    ops_.steps["bad"].on_execute = [token](JobContext&) -> Status {
      return fail(Code::kInternal, "no");
    };
  }
  GraphMaker g;
  ASSERT_FALSE(solve(g.build({g.add("bad", {g.add("a")})})));
  ops_.steps.clear();
  EXPECT_TRUE(alive.expired());
}

}  // namespace
}  // namespace kiln
