#include "cache/remote_store.h"

#include <utility>

namespace kiln::cache {
namespace {

class NoLock : public KeyLock {};

}  // namespace

void RemoteCacheStore::announce(const CacheKey& key) {
  const std::lock_guard hold(mutex_);
  if (!lost_ && !answers_.contains(key.digest)) announced_.push_back(key);
}

Result<std::optional<CacheResult>> RemoteCacheStore::find(const CacheKey& key) {
  const Answer answer = look_up(key);
  if (!answer) return std::nullopt;
  const auto* entry = std::get_if<ResultEntry>(&*answer);
  if (entry == nullptr) return std::nullopt;
  config_.layers->announce(entry->result.layers, config_.transport);
  return entry->result;
}

Result<std::optional<CacheKey>> RemoteCacheStore::find_alias(const CacheKey& fast) {
  const Answer answer = look_up(fast);
  if (!answer) return std::nullopt;
  const auto* entry = std::get_if<AliasEntry>(&*answer);
  if (entry == nullptr) return std::nullopt;
  return entry->target;
}

std::optional<ResultEntry> RemoteCacheStore::entry(const CacheKey& key) {
  Answer answer = look_up(key);
  if (!answer) return std::nullopt;
  auto* entry = std::get_if<ResultEntry>(&*answer);
  if (entry == nullptr) return std::nullopt;
  return std::move(*entry);
}

bool RemoteCacheStore::lost() {
  const std::lock_guard hold(mutex_);
  return lost_ || config_.transport->lost();
}

Status RemoteCacheStore::forget(const CacheKey& key) {
  const std::lock_guard hold(mutex_);
  answers_.insert_or_assign(key.digest, std::nullopt);
  return {};
}

Result<std::unique_ptr<KeyLock>> RemoteCacheStore::lock(const CacheKey& /*key*/,
                                                        std::stop_token /*stop*/) {
  return std::make_unique<NoLock>();
}

// One request at a time: who comes meanwhile waits for it, and may find the answer in it.
RemoteCacheStore::Answer RemoteCacheStore::look_up(const CacheKey& key) {
  std::unique_lock hold(mutex_);
  while (true) {
    if (const auto known = answers_.find(key.digest); known != answers_.end()) return known->second;
    if (lost_ || config_.transport->lost()) return std::nullopt;
    if (!asking_) break;
    answered_.wait(hold);
  }
  std::vector<CacheKey> keys{key};
  // What is announced beyond a batch goes with the next one.
  while (!announced_.empty() && keys.size() < config_.transport->batch()) {
    if (const CacheKey& next = announced_.back(); next != key && !answers_.contains(next.digest))
      keys.push_back(next);
    announced_.pop_back();
  }
  ask(hold, std::move(keys));
  const auto known = answers_.find(key.digest);
  return known == answers_.end() ? std::nullopt : known->second;
}

void RemoteCacheStore::ask(std::unique_lock<std::mutex>& hold, std::vector<CacheKey> keys) {
  asking_ = true;
  hold.unlock();
  const auto entries = config_.transport->lookup(keys, config_.stop);
  hold.lock();
  asking_ = false;
  if (entries) {
    take(keys, *entries);
  } else {
    give_up(entries.error());
  }
  answered_.notify_all();
}

void RemoteCacheStore::take(std::span<const CacheKey> keys,
                            const std::vector<std::optional<std::string>>& entries) {
  for (size_t i = 0; i < keys.size(); ++i) {
    Answer& answer = answers_[keys[i].digest];
    if (i >= entries.size() || !entries[i]) continue;
    if (auto entry = decode_entry(keys[i], *entries[i]); entry) answer = *std::move(entry);
  }
}

void RemoteCacheStore::give_up(const Error& error) {
  if (std::exchange(lost_, true)) return;
  announced_.clear();
  if (config_.on_lost && !config_.stop.stop_requested()) config_.on_lost(error);
}

}  // namespace kiln::cache
