// What is executed, what is taken from the cache, and under which keys.
#include "solver/solver.h"

#include <gtest/gtest.h>

#include "tests/unit/solver/solver_fixture.h"

namespace kiln {
namespace {

using fake::GraphMaker;
using SolverTest = SolverFixture;

llb::Graph chain() {
  GraphMaker g;
  return g.build({g.add("c", {g.add("b", {g.add("a")})})});
}

TEST_F(SolverTest, MakesATargetFromItsInputs) {
  EXPECT_EQ(text(chain()), "c(b(a()))");
  EXPECT_EQ(ops_.executed(), (Names{"a", "b", "c"}));
}

TEST_F(SolverTest, GivesNothingForNoTargets) {
  GraphMaker g;
  const auto solution = solve(g.build({}));
  ASSERT_TRUE(solution);
  EXPECT_TRUE(solution->targets.empty());
}

TEST_F(SolverTest, LooksUpOnlyTheTargetOfACachedChain) {
  ASSERT_EQ(text(chain()), "c(b(a()))");
  store_.finds = 0;
  EXPECT_EQ(executed(chain()), Names{});
  EXPECT_EQ(store_.finds, 1);
  EXPECT_EQ(ops_.times("load c(b(a()))"), 1);
  EXPECT_EQ(ops_.times("load b(a())"), 0);
}

TEST_F(SolverTest, ExecutesFromTheFirstChangedStep) {
  ASSERT_EQ(text(chain()), "c(b(a()))");
  ops_.steps["b"].key = "b changed";
  EXPECT_EQ(executed(chain()), (Names{"b", "c"}));
}

TEST_F(SolverTest, ExecutesTheSharedInputOfADiamondOnce) {
  GraphMaker g;
  const auto base = g.add("base");
  const auto graph = g.build({g.add("top", {g.add("left", {base}), g.add("right", {base})})});
  EXPECT_EQ(text(graph), "top(left(base())right(base()))");
  EXPECT_EQ(ops_.times("execute base"), 1);
}

TEST_F(SolverTest, SkipsBelowWhenContentIsEqual) {
  ops_.steps["copy"].by_content = {0};
  ops_.steps["make"].makes = "program";
  GraphMaker g;
  const auto graph = g.build({g.add("run", {g.add("copy", {g.add("make", {g.add("source")})})})});
  ASSERT_EQ(text(graph), "run(copy(program))");
  ops_.steps["source"].key = "another source";
  EXPECT_EQ(executed(graph), (Names{"make", "source"}));
  ops_.steps["make"].makes = "another program";
  ops_.steps["make"].key = "make otherwise";
  EXPECT_EQ(executed(graph), (Names{"copy", "make", "run"}));
}

TEST_F(SolverTest, DoesNotLoadContentThatAnAliasStandsFor) {
  ops_.steps["copy"].by_content = {0};
  GraphMaker g;
  const auto graph = g.build({g.add("run", {g.add("copy", {g.add("make")})})});
  ASSERT_TRUE(solve(graph));
  EXPECT_EQ(executed(graph), Names{});
  EXPECT_EQ(ops_.times("content copy"), 0);
  EXPECT_EQ(ops_.times("load make()"), 0);
}

TEST_F(SolverTest, RemembersAnAliasAfterAnEarlyCutOff) {
  ops_.steps["copy"].by_content = {0};
  ops_.steps["make"].makes = "program";
  GraphMaker g;
  const auto graph = g.build({g.add("run", {g.add("copy", {g.add("make")})})});
  ASSERT_TRUE(solve(graph));
  ops_.steps["make"].key = "changed";
  EXPECT_EQ(executed(graph), Names{"make"});
  EXPECT_EQ(executed(graph), Names{});
  EXPECT_EQ(ops_.times("content copy"), 0);
}

TEST_F(SolverTest, ReadsTheContentOfAnUncacheableInputEachTime) {
  ops_.steps["context"].uncacheable = true;
  ops_.steps["copy"].by_content = {1};
  GraphMaker g;
  const auto graph = g.build({g.add("copy", {g.add("base"), g.add("context")})});
  ASSERT_EQ(text(graph), "copy(base()context())");
  EXPECT_EQ(executed(graph), Names{"context"});
  EXPECT_EQ(ops_.times("content copy"), 1);
  EXPECT_EQ(ops_.times("load base()"), 0);
  ops_.steps["context"].makes = "changed";
  EXPECT_EQ(executed(graph), (Names{"context", "copy"}));
}

TEST_F(SolverTest, NeverCachesAStepThatTakesAnUncacheableInputByDefinition) {
  ops_.steps["context"].uncacheable = true;
  GraphMaker g;
  const auto graph = g.build({g.add("use", {g.add("context")})});
  ASSERT_TRUE(solve(graph));
  EXPECT_EQ(store_.saves, 0);
  EXPECT_EQ(executed(graph), (Names{"context", "use"}));
}

TEST_F(SolverTest, IgnoresTheCacheForAStepAndItsUsersByDefinition) {
  ops_.steps["copy"].by_content = {0};
  GraphMaker g;
  g.ignoring_cache = {"b"};
  const auto b = g.add("b", {g.add("a")});
  const auto graph = g.build({g.add("top", {g.add("c", {b}), g.add("copy", {b})})});
  ASSERT_TRUE(solve(graph));
  // "copy" has equal content, but "top" takes the stale "c" by definition.
  EXPECT_EQ(executed(graph), (Names{"b", "c", "top"}));
}

TEST_F(SolverTest, ReplacesTheRecordsOfIgnoredResults) {
  GraphMaker g;
  const auto plain = g.build({g.add("a")});
  ops_.steps["a"].makes = "old";
  ASSERT_TRUE(solve(plain));
  GraphMaker ignoring;
  ignoring.ignoring_cache = {"a"};
  ops_.steps["a"].makes = "new";
  ASSERT_EQ(text(ignoring.build({ignoring.add("a")})), "new");
  EXPECT_EQ(text(plain), "new");
}

TEST_F(SolverTest, ExecutesAgainWhenAResultIsLost) {
  ASSERT_TRUE(solve(chain()));
  ops_.lost = {"c(b(a()))"};
  EXPECT_EQ(executed(chain()), Names{"c"});
  EXPECT_EQ(store_.forgets, 1);
  EXPECT_EQ(ops_.times("load b(a())"), 1);
}

TEST_F(SolverTest, DoesNotTrustAnAliasWhoseInputIsMadeAnew) {
  ops_.steps["copy"].by_content = {0};
  GraphMaker g;
  const auto graph = g.build({g.add("run", {g.add("copy", {g.add("make")})})});
  ASSERT_EQ(text(graph), "run(copy(make()))");
  for (const char* name : {"make", "copy", "run"}) store_.lose(name);
  ops_.steps["make"].makes = "something else";  // not reproducible
  ASSERT_EQ(text(graph), "run(copy(something else))");
  // The new result is under the key of the new content: with the old content it is not found.
  for (const char* name : {"make"}) store_.lose(name);
  ops_.steps["make"].makes = "make()";
  ops_.steps["make"].key = "changed";
  EXPECT_EQ(text(graph), "run(copy(make()))");
}

TEST_F(SolverTest, TreatsABrokenStoreAsMisses) {
  store_.broken = true;
  EXPECT_EQ(text(chain()), "c(b(a()))");
  EXPECT_EQ(sink_->events({"warning"}), (Names{3, "warning CacheNotSaved"}));
}

TEST_F(SolverTest, WorksWithoutAStore) {
  options_.caches.clear();
  ops_.steps["b"].by_content = {0};
  EXPECT_EQ(text(chain()), "c(b(a()))");
}

TEST_F(SolverTest, KeepsLocallyWhatAFurtherStoreHas) {
  ASSERT_TRUE(solve(chain()));
  fake::FakeCacheStore local;
  options_.caches = {&local, &store_};
  EXPECT_EQ(executed(chain()), Names{});
  options_.caches = {&local};
  EXPECT_EQ(executed(chain()), Names{});
}

TEST_F(SolverTest, MakesAllOutputsOfAVertexInOneExecution) {
  ops_.steps["two"].outputs = 2;
  GraphMaker g;
  const auto two = g.add("two").vertex;
  const auto graph = g.build({{two, 0}, {two, 1}});
  const auto solution = solve(graph);
  ASSERT_TRUE(solution);
  EXPECT_EQ(fake::text_of(solution->targets[0]), "two()");
  EXPECT_EQ(fake::text_of(solution->targets[1]), "two#1()");
  EXPECT_EQ(ops_.times("execute two"), 1);
  EXPECT_EQ(ops_.times("map two"), 1);
  EXPECT_EQ(store_.held(), 0U);
}

TEST_F(SolverTest, CachesOutputsThatNobodyAskedFor) {
  ops_.steps["two"].outputs = 2;
  GraphMaker g;
  const auto two = g.add("two").vertex;
  ASSERT_TRUE(solve(g.build({{two, 0}})));
  GraphMaker again;
  const auto same = again.add("two").vertex;
  EXPECT_EQ(executed(again.build({{same, 1}})), Names{});
}

TEST_F(SolverTest, RefusesAnOutputThatTheStepDoesNotMake) {
  GraphMaker g;
  const auto one = g.add("one").vertex;
  EXPECT_EQ(text(g.build({{one, 3}})), "Dockerfile:1: the step has no output 3");
}

TEST_F(SolverTest, TellsRecordsAndSourcesOfEdges) {
  ASSERT_TRUE(solve(chain()));
  store_.lose("c");
  const auto solution = solve(chain());
  ASSERT_TRUE(solution);
  ASSERT_EQ(solution->edges.size(), 3U);
  EXPECT_EQ(solution->edges[0].source, EdgeSource::kNotNeeded);
  EXPECT_EQ(solution->edges[1].source, EdgeSource::kCached);
  EXPECT_EQ(solution->edges[2].source, EdgeSource::kExecuted);
  EXPECT_EQ(solution->edges[0].ref, nullptr);
  EXPECT_TRUE(solution->edges[2].created);
  ASSERT_TRUE(solution->edges[2].record);
  EXPECT_EQ(solution->edges[2].record->inputs[0].digest, solution->edges[1].key->digest);
  EXPECT_EQ(solution->edges[2].record->key(), solution->edges[2].key);
}

TEST_F(SolverTest, TellsAnOperationWhetherOnlyTheExporterTakesItsResult) {
  std::map<std::string, OutputUse> uses;  // the two execute one after the other
  for (const char* name : {"a", "b"}) {
    ops_.steps[name].on_execute = [&uses, name](JobContext& job) -> Status {
      uses[name] = job.use;
      return {};
    };
  }
  GraphMaker g;
  ASSERT_TRUE(solve(g.build({g.add("b", {g.add("a")})})));
  EXPECT_EQ(uses["a"], OutputUse::kInput);
  EXPECT_EQ(uses["b"], OutputUse::kTargetOnly);
}

// Only the last step has a record: the keys below are computed, not looked up.
TEST_F(SolverTest, LooksUpOneKeyForACachedChainOfTenThousand) {
  GraphMaker g;
  KeyRecord record;
  std::vector<llb::Output> input;
  for (int i = 0; i < 10'000; ++i) {
    const std::string name = std::to_string(i);
    if (i > 0) record.inputs = {{InputKey::Kind::kDefinition, record.key().digest, ""}};
    record.op.fields = {{"op", name}};
    input = {g.add(name, input)};
  }
  CacheResult result;
  result.local_ref = "made before";
  ASSERT_TRUE(store_.save(record, result));
  EXPECT_EQ(text(g.build(input)), "made before");
  EXPECT_EQ(store_.finds, 1);
  EXPECT_EQ(ops_.executed(), Names{});
}

}  // namespace
}  // namespace kiln
