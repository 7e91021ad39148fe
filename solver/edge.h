// One output of a vertex as a pure state machine: what arrived goes in, what to start comes out. No
// I/O, no locks, no clock, no results: the loop owns those. Keys, demand and order: docs/solver.md.
//
// Invariants, checked after every step:
//  1. An edge that owes somebody something waits for at least one answer.
//  2. Nothing is asked twice, and no answer comes that was not asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "cache/key.h"
#include "solver/operation.h"

namespace kiln {

enum class EdgeState : uint8_t {
  kInitial,    // the cache map is not known
  kCacheFast,  // gathers the inputs' keys, and looks for an alias
  kCacheSlow,  // the key needs content: inputs' results are made
  kKeyed,      // the key is known, or that there is none; the result is not
  kComplete,
  kFailed,
};

/// What a user wants of an edge; it only grows.
enum class Demand : uint8_t { kNothing, kKey, kResult };

/// kStale: the result must come from an execution of this build, so no record may stand for it.
enum class Freshness : uint8_t { kCacheable, kStale };

struct InputAnswer {
  std::optional<CacheKey> key;  // nullopt: the input has none
  Freshness freshness = Freshness::kCacheable;
};

// What arrives.
struct Wanted {
  Demand demand;
};
struct MapRead {
  std::shared_ptr<const CacheMap> map;
};
struct InputKeyed {
  size_t input;
  InputAnswer answer;
};
/// The input's key or result waits for something that executes: it will take a while.
struct InputDelayed {
  size_t input;
};
/// With the final key: it differs from the first one if that came from an alias which did not hold.
struct InputReady {
  size_t input;
  InputAnswer answer;
};
struct ContentRead {
  size_t input;
  Digest content;
};
struct AliasLookedUp {
  std::optional<CacheKey> target;
};
struct ResultLookedUp {
  bool found;
};
struct LockTaken {};
struct Executed {};
struct ActionFailed {};
using EdgeEvent = std::variant<Wanted, MapRead, InputKeyed, InputDelayed, InputReady, ContentRead,
                               AliasLookedUp, ResultLookedUp, LockTaken, Executed, ActionFailed>;

// What to start. Each of the first group is answered by one event, or by ActionFailed.
struct ReadMap {};
struct AskInput {
  size_t input;
  Demand demand;
};
struct ReadContent {
  size_t input;
};
struct FindAlias {
  CacheKey fast;
};
struct FindResult {
  CacheKey key;
  std::optional<KeyRecord> record;  // unless an alias gave the key
};
struct TakeLock {
  KeyRecord record;
};
struct Execute {
  std::optional<KeyRecord> record;  // to save the result under
};
// These are not answered.
struct SaveAlias {
  KeyRecord fast;
  CacheKey target;
};
struct PublishKey {};    // answer() is known from here on
struct PublishDelay {};  // tell those who wait: InputDelayed
struct PublishResult {
  bool cached;
};
using EdgeAction = std::variant<ReadMap, AskInput, ReadContent, FindAlias, FindResult, TakeLock,
                                Execute, SaveAlias, PublishKey, PublishDelay, PublishResult>;

class Edge {
 public:
  struct Spec {
    uint32_t output = 0;
    size_t inputs = 0;
    Freshness freshness = Freshness::kCacheable;  // kStale: ignore_cache
    std::string_view name;                        // the step's display name; must outlive the edge
  };
  explicit Edge(const Spec& spec);

  std::vector<EdgeAction> step(std::span<const EdgeEvent> events);

  EdgeState state() const { return state_; }
  bool keyed() const { return keyed_; }
  bool delayed() const { return delayed_; }
  InputAnswer answer() const { return {key_, freshness_}; }
  /// What an alias of the key would be saved under; nullopt if it can have none: no input is taken
  /// by content, or one has no key or a stale one.
  std::optional<KeyRecord> alias_record() const;
  /// The canonical record, once known and unless an alias stood for it.
  const std::optional<KeyRecord>& record() const { return record_; }

 private:
  enum class Request : uint8_t { kIdle, kOpen, kAnswered };
  struct Input {
    Request key_request = Request::kIdle, result_request = Request::kIdle,
            content_request = Request::kIdle;
    bool delayed = false;
    InputAnswer answer;
    std::optional<Digest> content;
    bool keyed() const { return key_request == Request::kAnswered; }
    bool ready() const { return result_request == Request::kAnswered; }
  };

  // What the inputs' keys allow.
  struct KeyView {
    bool all_known = true;
    bool by_content = false;          // some input is taken by content
    bool alias_possible = true;       // as far as is known
    bool definition_missing = false;  // an input that is taken by its key has none
    bool stale = false;
  };

  void apply(const Wanted& event);
  void apply(const MapRead& event);
  void apply(const InputKeyed& event);
  void apply(const InputDelayed& event);
  void apply(const InputReady& event);
  void apply(const ContentRead& event);
  void apply(const AliasLookedUp& event);
  void apply(const ResultLookedUp& event);
  void apply(const LockTaken& event);
  void apply(const Executed& event);
  void apply(const ActionFailed& event);

  // Level-triggered: each looks at what is known and starts what can be started.
  void advance();
  void gather_keys();
  void find_key();
  void find_alias();
  void find_slow_key();
  void hurry();
  void find_result();
  void find_result_under_lock();

  void ask(Request& request, EdgeAction action);
  void close(Request& request);
  void ask_result(size_t input);
  bool read_contents();
  void save_alias(const CacheKey& target);
  KeyView view_keys() const;
  bool by_content(size_t input) const { return map_->inputs[input].by_content; }
  bool waits_for_delayed_input() const;
  KeyRecord definition_record() const;
  KeyRecord canonical_record() const;
  void publish_key(std::optional<CacheKey> key);
  void delay();
  void complete(bool cached);
  void check_invariant() const;

  const Spec spec_;
  EdgeState state_ = EdgeState::kInitial;
  Demand demand_ = Demand::kNothing;
  std::shared_ptr<const CacheMap> map_;
  std::vector<Input> inputs_;
  bool keyed_ = false;
  bool delayed_ = false;
  std::optional<CacheKey> key_;
  Freshness freshness_ = Freshness::kCacheable;
  std::optional<KeyRecord> record_;
  Request map_request_ = Request::kIdle;
  Request alias_request_ = Request::kIdle;
  Request lookup_request_ = Request::kIdle;
  Request lock_request_ = Request::kIdle;
  Request locked_lookup_request_ = Request::kIdle;
  Request execute_request_ = Request::kIdle;
  size_t open_requests_ = 0;
  std::vector<EdgeAction> actions_;  // of the step under way
};

}  // namespace kiln
