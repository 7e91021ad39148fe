// A CacheStore in memory that counts what it is asked, and can fail.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "cache/store.h"

namespace kiln::fake {

class FakeCacheStore : public CacheStore {
 public:
  Result<std::optional<CacheResult>> find(const CacheKey& key) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++finds;
    if (broken) return fail(Code::kInternal, "the store is broken");
    const auto found = records_.find(key);
    if (found == records_.end()) return std::nullopt;
    return found->second.second;
  }
  Status save(const KeyRecord& record, const CacheResult& result) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++saves;
    if (broken) return fail(Code::kInternal, "the store is broken");
    records_[record.key()] = {record, result};
    return {};
  }
  Result<std::optional<CacheKey>> find_alias(const CacheKey& fast) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++alias_finds;
    if (broken) return fail(Code::kInternal, "the store is broken");
    const auto found = aliases_.find(fast);
    if (found == aliases_.end()) return std::nullopt;
    return found->second;
  }
  Status save_alias(const KeyRecord& fast, const CacheKey& target) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (broken) return fail(Code::kInternal, "the store is broken");
    aliases_.insert_or_assign(fast.key(), target);
    return {};
  }
  Status forget(const CacheKey& key) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++forgets;
    records_.erase(key);
    return {};
  }
  Result<std::unique_ptr<KeyLock>> lock(const CacheKey& key, std::stop_token stop) override {
    std::unique_lock<std::mutex> lock(mutex_);
    if (held_.contains(key) && on_wait) on_wait();
    if (!released_.wait(lock, stop, [&] { return !held_.contains(key); }))
      return fail(Code::kCancelled, "cancelled while waiting for a key");
    held_.insert(key);
    return std::make_unique<Held>(*this, key);
  }

  std::vector<KeyRecord> records() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<KeyRecord> all;
    for (const auto& [key, entry] : records_) all.push_back(entry.first);
    return all;
  }
  /// Drops the records of the steps with this name.
  void lose(std::string_view name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::erase_if(records_, [&](const auto& entry) { return entry.second.first.name == name; });
  }
  size_t held() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return held_.size();
  }

  // Set before, read after a solve.
  bool broken = false;
  std::function<void()> on_wait;  // somebody is about to wait for a key
  int finds = 0, saves = 0, alias_finds = 0, forgets = 0;

 private:
  struct Held : KeyLock {
    Held(FakeCacheStore& store, const CacheKey& key) : store_(store), key_(key) {}
    ~Held() override {
      const std::lock_guard<std::mutex> lock(store_.mutex_);
      store_.held_.erase(key_);
      store_.released_.notify_all();
    }
    FakeCacheStore& store_;
    CacheKey key_;
  };
  std::mutex mutex_;  // protects all below
  std::condition_variable_any released_;
  std::map<CacheKey, std::pair<KeyRecord, CacheResult>> records_;
  std::map<CacheKey, CacheKey> aliases_;
  std::set<CacheKey> held_;
};

}  // namespace kiln::fake
