#include "solver/edge.h"

#include <algorithm>
#include <utility>

namespace kiln {

Edge::Edge(const Spec& spec) : spec_(spec), inputs_(spec.inputs), freshness_(spec.freshness) {}

std::vector<EdgeAction> Edge::step(std::span<const EdgeEvent> events) {
  for (const EdgeEvent& event : events)
    std::visit([this](const auto& specific) { apply(specific); }, event);
  advance();
  check_invariant();
  return std::exchange(actions_, {});
}

void Edge::apply(const Wanted& event) {
  demand_ = std::max(demand_, event.demand);
}

void Edge::apply(const MapRead& event) {
  close(map_request_);
  KILN_CHECK(event.map->inputs.size() == inputs_.size());
  map_ = event.map;
  if (state_ == EdgeState::kInitial) state_ = EdgeState::kCacheFast;
}

void Edge::apply(const InputKeyed& event) {
  Input& input = inputs_.at(event.input);
  close(input.key_request);
  if (!input.ready()) input.answer = event.answer;  // else the final answer is there already
}

void Edge::apply(const InputDelayed& event) {
  inputs_.at(event.input).delayed = true;
}

void Edge::apply(const InputReady& event) {
  Input& input = inputs_.at(event.input);
  close(input.result_request);
  input.answer = event.answer;
}

void Edge::apply(const ContentRead& event) {
  Input& input = inputs_.at(event.input);
  close(input.content_request);
  input.content = event.content;
}

void Edge::apply(const AliasLookedUp& event) {
  close(alias_request_);
  if (event.target && !keyed_) publish_key(event.target);
}

// The first lookup and the one under the lock are never open together.
void Edge::apply(const ResultLookedUp& event) {
  close(lookup_request_ == Request::kOpen ? lookup_request_ : locked_lookup_request_);
  if (event.found && state_ != EdgeState::kFailed) complete(true);
}

void Edge::apply(const LockTaken&) {
  close(lock_request_);
}

void Edge::apply(const Executed&) {
  close(execute_request_);
  if (state_ != EdgeState::kFailed) complete(false);
}

void Edge::apply(const ActionFailed&) {
  if (state_ != EdgeState::kComplete) state_ = EdgeState::kFailed;
}

void Edge::advance() {
  if (state_ == EdgeState::kComplete || state_ == EdgeState::kFailed) return;
  if (demand_ == Demand::kNothing) return;
  ask(map_request_, ReadMap{});
  gather_keys();
  if (!map_) return;
  if (!keyed_) find_key();
  if (!keyed_) hurry();
  if (keyed_ && demand_ == Demand::kResult) find_result();
}

// Not only once the map is there: the keys of a deep graph would then be found one round trip after
// the other.
void Edge::gather_keys() {
  if (map_ && map_->uncacheable) return;
  for (size_t i = 0; i < inputs_.size(); ++i)
    ask(inputs_[i].key_request, AskInput{i, Demand::kKey});
}

void Edge::find_key() {
  if (map_->uncacheable) return publish_key(std::nullopt);
  const KeyView view = view_keys();
  if (view.stale) freshness_ = Freshness::kStale;
  const bool alias = view.alias_possible && freshness_ == Freshness::kCacheable;
  // Content that must be read, whatever the other inputs' keys will be.
  if (view.by_content && !alias) {
    state_ = EdgeState::kCacheSlow;
    read_contents();
  }
  if (!view.all_known) return;
  if (view.definition_missing) return publish_key(std::nullopt);
  if (view.by_content) return alias ? find_alias() : find_slow_key();
  record_ = canonical_record();
  publish_key(record_->key());
}

Edge::KeyView Edge::view_keys() const {
  KeyView view;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Input& input = inputs_[i];
    if (by_content(i)) view.by_content = true;
    if (!input.keyed()) {
      view.all_known = false;
      continue;
    }
    const bool stale = input.answer.freshness == Freshness::kStale;
    if (by_content(i)) {
      if (stale || !input.answer.key) view.alias_possible = false;
    } else {
      view.stale |= stale;
      view.definition_missing |= !input.answer.key;
    }
  }
  return view;
}

void Edge::find_alias() {
  ask(alias_request_, FindAlias{definition_record().key()});
  if (alias_request_ == Request::kAnswered) find_slow_key();  // a found one has ended the search
}

void Edge::find_slow_key() {
  state_ = EdgeState::kCacheSlow;
  if (!read_contents()) return;
  record_ = canonical_record();
  const CacheKey key = record_->key();
  save_alias(key);
  publish_key(key);
}

void Edge::save_alias(const CacheKey& target) {
  const bool possible = std::all_of(inputs_.begin(), inputs_.end(),
                                    [](const Input& i) { return i.answer.key.has_value(); });
  if (possible) actions_.emplace_back(SaveAlias{definition_record(), target});
}

// Asks for all by_content inputs' results and then their digests; true once all are there.
bool Edge::read_contents() {
  bool all = true;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (!by_content(i)) continue;
    ask_result(i);
    if (inputs_[i].ready()) ask(inputs_[i].content_request, ReadContent{i});
    all &= inputs_[i].content.has_value();
  }
  return all;
}

bool Edge::waits_for_delayed_input() const {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Input& input = inputs_[i];
    if (!input.delayed) continue;
    if (!input.keyed() || (by_content(i) && input.result_request == Request::kOpen)) return true;
  }
  return false;
}

// While something below executes, the other inputs are made too, although a hit may still show that
// they are not needed: otherwise independent stages would run one after the other.
void Edge::hurry() {
  if (!waits_for_delayed_input()) return;
  delay();
  for (size_t i = 0; i < inputs_.size(); ++i)
    if (inputs_[i].keyed()) ask_result(i);
}

void Edge::find_result() {
  if (key_ && freshness_ == Freshness::kCacheable) {
    ask(lookup_request_, FindResult{*key_, record_});
    if (lookup_request_ == Request::kOpen) return;
  }
  if (key_ || !inputs_.empty()) delay();  // a source without a key (a local directory) is quick
  for (size_t i = 0; i < inputs_.size(); ++i) ask_result(i);
  if (!std::all_of(inputs_.begin(), inputs_.end(), [](const Input& i) { return i.ready(); }))
    return;
  if (key_) return find_result_under_lock();
  ask(execute_request_, Execute{std::nullopt});
}

// All inputs are there: no lock is held while another one is waited for.
void Edge::find_result_under_lock() {
  if (lock_request_ == Request::kIdle) {
    if (!read_contents()) return;
    // Computed anew: an input's key, or this one, may have come from an alias that did not hold.
    record_ = canonical_record();
    const CacheKey first_key = std::exchange(key_, record_->key()).value();
    if (first_key != *key_ && view_keys().by_content) save_alias(*key_);
    ask(lock_request_, TakeLock{*record_});
  }
  if (lock_request_ == Request::kOpen) return;
  if (freshness_ == Freshness::kCacheable) {
    ask(locked_lookup_request_, FindResult{*key_, record_});
    if (locked_lookup_request_ == Request::kOpen) return;
  }
  ask(execute_request_, Execute{record_});
}

void Edge::ask(Request& request, EdgeAction action) {
  if (request != Request::kIdle) return;
  request = Request::kOpen;
  ++open_requests_;
  actions_.push_back(std::move(action));
}

void Edge::close(Request& request) {
  KILN_CHECK(request == Request::kOpen);  // invariant 2
  request = Request::kAnswered;
  --open_requests_;
}

void Edge::ask_result(size_t input) {
  ask(inputs_[input].result_request, AskInput{input, Demand::kResult});
}

KeyRecord Edge::definition_record() const {
  KeyRecord record{map_->op, spec_.output, {}, std::string(spec_.name)};
  for (size_t i = 0; i < inputs_.size(); ++i)
    record.inputs.push_back({InputKey::Kind::kDefinition, inputs_[i].answer.key.value().digest,
                             map_->inputs[i].selector});
  return record;
}

std::optional<KeyRecord> Edge::alias_record() const {
  if (!keyed_ || !map_ || freshness_ != Freshness::kCacheable) return std::nullopt;
  const KeyView view = view_keys();
  if (!view.all_known || !view.by_content || !view.alias_possible || view.definition_missing)
    return std::nullopt;
  return definition_record();
}

KeyRecord Edge::canonical_record() const {
  KeyRecord record{map_->op, spec_.output, {}, std::string(spec_.name)};
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const std::string& selector = map_->inputs[i].selector;
    if (by_content(i)) {
      record.inputs.push_back({InputKey::Kind::kContent, inputs_[i].content.value(), selector});
    } else {
      const CacheKey& key = inputs_[i].answer.key.value();
      record.inputs.push_back({InputKey::Kind::kDefinition, key.digest, selector});
    }
  }
  return record;
}

void Edge::publish_key(std::optional<CacheKey> key) {
  KILN_CHECK(!keyed_);
  key_ = key;
  keyed_ = true;
  state_ = EdgeState::kKeyed;
  actions_.emplace_back(PublishKey{});
}

void Edge::delay() {
  if (std::exchange(delayed_, true)) return;
  actions_.emplace_back(PublishDelay{});
}

void Edge::complete(bool cached) {
  state_ = EdgeState::kComplete;
  actions_.emplace_back(PublishResult{cached});
}

// Invariant 1.
void Edge::check_invariant() const {
  const bool ended = state_ == EdgeState::kComplete || state_ == EdgeState::kFailed;
  const bool satisfied =
      ended || demand_ == Demand::kNothing || (demand_ == Demand::kKey && keyed_);
  KILN_CHECK(satisfied || open_requests_ > 0);
}

}  // namespace kiln
