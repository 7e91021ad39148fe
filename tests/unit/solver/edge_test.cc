#include "solver/edge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>

namespace kiln {
namespace {

struct ActionText {
  std::string operator()(const ReadMap&) const { return "map"; }
  std::string operator()(const AskInput& a) const {
    return (a.demand == Demand::kKey ? "key" : "result") + std::to_string(a.input);
  }
  std::string operator()(const ReadContent& a) const { return "content" + std::to_string(a.input); }
  std::string operator()(const FindAlias&) const { return "alias"; }
  std::string operator()(const FindResult&) const { return "find"; }
  std::string operator()(const TakeLock&) const { return "lock"; }
  std::string operator()(const Execute& a) const { return a.record ? "execute+save" : "execute"; }
  std::string operator()(const SaveAlias&) const { return "save-alias"; }
  std::string operator()(const PublishKey&) const { return "KEY"; }
  std::string operator()(const PublishDelay&) const { return "DELAY"; }
  std::string operator()(const PublishResult& a) const { return a.cached ? "CACHED" : "EXECUTED"; }
};

CacheKey key_of(const std::string& text) {
  return CacheKey{Digest::of(text)};
}

std::shared_ptr<const CacheMap> map_of(const std::vector<bool>& by_content) {
  CacheMap map;
  map.op.add("op", "x");
  for (const bool content : by_content) map.inputs.push_back({"", content});
  return std::make_shared<const CacheMap>(std::move(map));
}

InputAnswer known(const std::string& key) {
  return {key_of(key), Freshness::kCacheable};
}
InputAnswer stale(const std::string& key) {
  return {key_of(key), Freshness::kStale};
}

class EdgeTest : public testing::Test {
 protected:
  void make(size_t inputs, Freshness freshness = Freshness::kCacheable) {
    edge_.emplace(Edge::Spec{0, inputs, freshness, "step"});
  }
  // The actions that the event leads to, in order: "map key0".
  std::string send(const EdgeEvent& event) {
    std::string text;
    for (const EdgeAction& action : edge_->step({&event, 1}))
      text += (text.empty() ? "" : " ") + std::visit(ActionText{}, action);
    return text;
  }
  std::optional<Edge> edge_;
};

TEST_F(EdgeTest, DoesNothingUntilItIsWanted) {
  make(1);
  EXPECT_EQ(send(InputDelayed{0}), "");
  EXPECT_EQ(edge_->state(), EdgeState::kInitial);
}

TEST_F(EdgeTest, SkipsInputsOnAHit) {
  make(1);
  EXPECT_EQ(send(Wanted{Demand::kResult}), "map key0");
  EXPECT_EQ(send(MapRead{map_of({false})}), "");
  EXPECT_EQ(edge_->state(), EdgeState::kCacheFast);
  EXPECT_EQ(send(InputKeyed{0, known("in")}), "KEY find");
  EXPECT_EQ(edge_->state(), EdgeState::kKeyed);
  EXPECT_EQ(send(ResultLookedUp{true}), "CACHED");
  EXPECT_EQ(edge_->state(), EdgeState::kComplete);
}

TEST_F(EdgeTest, ExecutesAMissUnderItsLock) {
  make(1);
  send(Wanted{Demand::kResult});
  send(MapRead{map_of({false})});
  send(InputKeyed{0, known("in")});
  EXPECT_EQ(send(ResultLookedUp{false}), "DELAY result0");
  EXPECT_EQ(send(InputReady{0, known("in")}), "lock");
  EXPECT_EQ(send(LockTaken{}), "find");
  EXPECT_EQ(send(ResultLookedUp{false}), "execute+save");
  EXPECT_EQ(send(Executed{}), "EXECUTED");
}

TEST_F(EdgeTest, TakesWhatAnotherProcessMadeWhileItWaited) {
  make(0);
  send(Wanted{Demand::kResult});
  EXPECT_EQ(send(MapRead{map_of({})}), "KEY find");
  EXPECT_EQ(send(ResultLookedUp{false}), "DELAY lock");
  EXPECT_EQ(send(LockTaken{}), "find");
  EXPECT_EQ(send(ResultLookedUp{true}), "CACHED");
}

TEST_F(EdgeTest, GivesOnlyItsKeyWhenThatIsAllThatIsWanted) {
  make(1);
  send(Wanted{Demand::kKey});
  send(MapRead{map_of({false})});
  EXPECT_EQ(send(InputKeyed{0, known("in")}), "KEY");
  EXPECT_EQ(send(Wanted{Demand::kResult}), "find");
}

TEST_F(EdgeTest, DoesNotLoadContentWhenAnAliasKnowsTheKey) {
  make(1);
  send(Wanted{Demand::kResult});
  send(MapRead{map_of({true})});
  EXPECT_EQ(send(InputKeyed{0, known("in")}), "alias");
  EXPECT_EQ(send(AliasLookedUp{key_of("canonical")}), "KEY find");
  EXPECT_EQ(edge_->answer().key, key_of("canonical"));
  EXPECT_EQ(send(ResultLookedUp{true}), "CACHED");
}

TEST_F(EdgeTest, ReadsContentWithoutAnAliasAndSavesOne) {
  make(1);
  send(Wanted{Demand::kResult});
  send(MapRead{map_of({true})});
  send(InputKeyed{0, known("in")});
  EXPECT_EQ(send(AliasLookedUp{}), "result0");
  EXPECT_EQ(edge_->state(), EdgeState::kCacheSlow);
  EXPECT_EQ(send(InputReady{0, known("in")}), "content0");
  EXPECT_EQ(send(ContentRead{0, Digest::of("c")}), "save-alias KEY find");
}

TEST_F(EdgeTest, AsksForContentAtOnceOfAnInputWithoutAKey) {
  make(2);
  send(Wanted{Demand::kResult});
  send(MapRead{map_of({false, true})});
  EXPECT_EQ(send(InputKeyed{1, {}}), "result1");
  EXPECT_EQ(send(InputReady{1, {}}), "content1");
  EXPECT_EQ(send(InputKeyed{0, known("base")}), "");
  EXPECT_EQ(send(ContentRead{1, Digest::of("c")}), "KEY find");
}

TEST_F(EdgeTest, HasNoKeyWithAnInputThatHasNoneAndIsTakenByDefinition) {
  make(1);
  send(Wanted{Demand::kResult});
  send(MapRead{map_of({false})});
  EXPECT_EQ(send(InputKeyed{0, {}}), "KEY DELAY result0");
  EXPECT_EQ(edge_->answer().key, std::nullopt);
  EXPECT_EQ(send(InputReady{0, {}}), "execute");
}

TEST_F(EdgeTest, ExecutesAnUncacheableOpWithoutKeyLookupOrLock) {
  make(0);
  send(Wanted{Demand::kResult});
  CacheMap map;
  map.uncacheable = true;
  EXPECT_EQ(send(MapRead{std::make_shared<const CacheMap>(map)}), "KEY execute");
}

TEST_F(EdgeTest, ExecutesWithoutLookupButUnderTheLockWhenTheCacheIsIgnored) {
  make(0, Freshness::kStale);
  send(Wanted{Demand::kResult});
  EXPECT_EQ(send(MapRead{map_of({})}), "KEY DELAY lock");
  EXPECT_EQ(edge_->answer().freshness, Freshness::kStale);
  EXPECT_EQ(send(LockTaken{}), "execute+save");
}

TEST_F(EdgeTest, IsStaleWhenAnInputByDefinitionIs) {
  make(1);
  send(Wanted{Demand::kResult});
  send(MapRead{map_of({false})});
  EXPECT_EQ(send(InputKeyed{0, stale("in")}), "KEY DELAY result0");
  EXPECT_EQ(edge_->answer().freshness, Freshness::kStale);
}

TEST_F(EdgeTest, LooksUpContentOfAStaleInputButTrustsNoAlias) {
  make(1);
  send(Wanted{Demand::kResult});
  send(MapRead{map_of({true})});
  EXPECT_EQ(send(InputKeyed{0, stale("in")}), "result0");
  send(InputReady{0, stale("in")});
  EXPECT_EQ(send(ContentRead{0, Digest::of("c")}), "save-alias KEY find");
  EXPECT_EQ(edge_->answer().freshness, Freshness::kCacheable);
}

TEST_F(EdgeTest, ComputesItsKeyAnewWhenAnAliasDidNotHold) {
  make(1);
  send(Wanted{Demand::kResult});
  send(MapRead{map_of({true})});
  send(InputKeyed{0, known("in")});
  send(AliasLookedUp{key_of("of other content")});
  EXPECT_EQ(send(ResultLookedUp{false}), "DELAY result0");
  EXPECT_EQ(send(InputReady{0, known("in")}), "content0");
  EXPECT_EQ(send(ContentRead{0, Digest::of("c")}), "save-alias lock");
  EXPECT_EQ(edge_->answer().key, edge_->record()->key());
  EXPECT_NE(edge_->answer().key, key_of("of other content"));
}

TEST_F(EdgeTest, TakesTheFinalKeyOfAnInputIntoItsRecord) {
  make(1);
  send(Wanted{Demand::kResult});
  send(MapRead{map_of({false})});
  send(InputKeyed{0, known("from an alias")});
  send(ResultLookedUp{false});
  EXPECT_EQ(send(InputReady{0, known("final")}), "lock");
  EXPECT_EQ(edge_->record()->inputs[0].digest, Digest::of("final"));
  EXPECT_EQ(edge_->answer().key, edge_->record()->key());
}

TEST_F(EdgeTest, MakesOtherInputsWhileOneIsDelayed) {
  make(2);
  send(Wanted{Demand::kKey});
  send(MapRead{map_of({false, true})});
  EXPECT_EQ(send(InputKeyed{1, known("stage")}), "");
  EXPECT_EQ(send(InputDelayed{0}), "DELAY result1");
}

TEST_F(EdgeTest, PassesADelayOfContentOn) {
  make(2);
  send(Wanted{Demand::kKey});
  send(MapRead{map_of({false, true})});
  send(InputKeyed{0, known("base")});
  send(InputKeyed{1, known("stage")});
  EXPECT_EQ(send(AliasLookedUp{}), "result1");
  EXPECT_EQ(send(InputDelayed{1}), "DELAY result0");
}

TEST_F(EdgeTest, IgnoresADelayOfAnInputThatItDoesNotWaitFor) {
  make(2);
  send(Wanted{Demand::kKey});
  send(MapRead{map_of({false, false})});
  send(InputKeyed{0, known("base")});
  EXPECT_EQ(send(InputDelayed{0}), "");
}

TEST_F(EdgeTest, StartsNothingAfterAFailure) {
  make(1);
  send(Wanted{Demand::kResult});
  send(MapRead{map_of({false})});
  EXPECT_EQ(send(ActionFailed{}), "");
  EXPECT_EQ(send(InputKeyed{0, known("in")}), "");
  EXPECT_EQ(edge_->state(), EdgeState::kFailed);
}

TEST_F(EdgeTest, AbortsOnAnAnswerThatWasNotAskedFor) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  make(0);
  EXPECT_DEATH(send(Executed{}), "kOpen");
}

// ---- property: the order of answers does not matter

struct World {
  size_t inputs = 0;
  std::vector<bool> by_content, keyless, stale;
  Freshness freshness = Freshness::kCacheable;
  bool uncacheable = false, alias = false, alias_holds = false, hit = false, locked_hit = false;
};

World random_world(std::mt19937& random) {
  const auto one_in = [&](unsigned n) { return random() % n == 0; };
  World world;
  world.inputs = random() % 4;
  for (size_t i = 0; i < world.inputs; ++i) {
    world.by_content.push_back(one_in(2));
    world.keyless.push_back(one_in(4));
    world.stale.push_back(one_in(5));
  }
  if (one_in(5)) world.freshness = Freshness::kStale;
  world.uncacheable = one_in(6);
  world.alias = one_in(2);
  world.hit = one_in(3);
  world.locked_hit = one_in(3);
  return world;
}

class Simulation {
 public:
  Simulation(const World& world, uint32_t seed)
      : world_(world), random_(seed), edge_({0, world.inputs, world.freshness, "step"}) {}

  std::string run() {
    arrive_.push_back(Wanted{Demand::kKey});
    arrive_.push_back(Wanted{Demand::kResult});
    for (size_t i = 0; i < world_.inputs; ++i) arrive_.push_back(InputDelayed{i});
    while (!arrive_.empty()) {
      const size_t pick = random_() % arrive_.size();
      const EdgeEvent event = arrive_[pick];
      arrive_.erase(arrive_.begin() + static_cast<std::ptrdiff_t>(pick));
      for (const EdgeAction& action : edge_.step({&event, 1}))
        std::visit([this](const auto& specific) { answer(specific); }, action);
    }
    EXPECT_EQ(edge_.state(), EdgeState::kComplete);
    const auto key = edge_.answer().key;
    return end_ + " " + (key ? key->digest.hex().substr(0, 8) : "keyless");
  }

 private:
  InputAnswer input_answer(size_t i) const {
    InputAnswer answer;
    if (!world_.keyless[i]) answer.key = key_of(std::to_string(i));
    if (world_.stale[i]) answer.freshness = Freshness::kStale;
    return answer;
  }
  void answer(const ReadMap&) {
    CacheMap map = *map_of(world_.by_content);
    map.uncacheable = world_.uncacheable;
    arrive_.push_back(MapRead{std::make_shared<const CacheMap>(std::move(map))});
  }
  void answer(const AskInput& ask) {
    if (ask.demand == Demand::kKey) {
      arrive_.push_back(InputKeyed{ask.input, input_answer(ask.input)});
    } else {
      arrive_.push_back(InputReady{ask.input, input_answer(ask.input)});
    }
  }
  void answer(const ReadContent& read) {
    arrive_.push_back(ContentRead{read.input, Digest::of("content")});
  }
  void answer(const FindAlias&) {
    AliasLookedUp found;
    if (world_.alias) found.target = key_of("alias");
    arrive_.push_back(found);
  }
  void answer(const FindResult&) {
    arrive_.push_back(
        ResultLookedUp{std::exchange(looked_up_, true) ? world_.locked_hit : world_.hit});
  }
  void answer(const TakeLock&) { arrive_.push_back(LockTaken{}); }
  void answer(const Execute&) { arrive_.push_back(Executed{}); }
  void answer(const SaveAlias&) {}
  void answer(const PublishKey&) {}
  void answer(const PublishDelay&) {}
  void answer(const PublishResult& result) { end_ = result.cached ? "cached" : "executed"; }

  const World& world_;
  std::mt19937 random_;
  Edge edge_;
  std::vector<EdgeEvent> arrive_;
  bool looked_up_ = false;
  std::string end_;
};

TEST(EdgePropertyTest, ReachesTheSameEndWhateverTheOrderOfAnswers) {
  std::mt19937 random(20240607);
  for (int i = 0; i < 400; ++i) {
    const World world = random_world(random);
    std::set<std::string> ends;
    for (uint32_t seed = 0; seed < 25; ++seed) ends.insert(Simulation(world, seed).run());
    ASSERT_EQ(ends.size(), 1U) << "world " << i << ": " << *ends.begin() << ", " << *ends.rbegin();
  }
}

}  // namespace
}  // namespace kiln
