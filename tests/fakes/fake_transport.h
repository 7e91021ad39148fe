// A CacheTransport in memory that counts what it is asked, and can fail, hang or lie.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>

#include "cache/transport.h"

namespace kiln::fake {

class FakeTransport : public cache::CacheTransport {
 public:
  std::string name() const override { return "fake cache"; }

  Result<std::vector<std::optional<std::string>>> lookup(std::span<const CacheKey> keys,
                                                         std::stop_token stop) override {
    std::unique_lock hold(mutex_);
    requests.emplace_back(keys.begin(), keys.end());
    if (hangs && !wake_.wait(hold, stop, [this] { return !hangs; }))
      return fail(Code::kCancelled, "stopped");
    if (broken) return fail(Code::kUnavailable, "connection refused");
    std::vector<std::optional<std::string>> found(keys.size());
    for (size_t i = 0; i < keys.size(); ++i)
      if (const auto entry = entries.find(keys[i]); entry != entries.end())
        found[i] = entry->second;
    return found;
  }
  Status fetch(const oci::Descriptor& blob, Sink& to, std::stop_token stop) override {
    std::unique_lock hold(mutex_);
    ++fetches;
    if (hangs && !wake_.wait(hold, stop, [this] { return !hangs; }))
      return fail(Code::kCancelled, "stopped");
    const auto bytes = blobs.find(blob.digest);
    if (bytes == blobs.end()) return fail(Code::kNotFound, "no such blob");
    return to.write(as_bytes(bytes->second));
  }
  Status upload(const oci::BlobContent& content, const std::function<void()>& on_bytes,
                std::stop_token /*stop*/) override {
    KILN_TRY_ASSIGN(const auto source, content.open(0));
    KILN_TRY_ASSIGN(std::string bytes, read_all(*source, content.blob.size, "blob"));
    const std::lock_guard hold(mutex_);
    if (broken) return fail(Code::kUnavailable, "connection refused");
    on_bytes();
    blobs[content.blob.digest] = std::move(bytes);
    return {};
  }
  Status publish(std::span<const cache::Publication> publications,
                 std::stop_token /*stop*/) override {
    const std::lock_guard hold(mutex_);
    if (broken) return fail(Code::kUnavailable, "connection refused");
    for (const cache::Publication& one : publications) {
      if (one.replaces) entries.erase(one.key);
      entries.try_emplace(one.key, one.entry);
    }
    return {};
  }

  bool broken = false, hangs = false;
  std::map<CacheKey, std::string> entries;
  std::map<Digest, std::string> blobs;
  std::vector<std::vector<CacheKey>> requests;
  int fetches = 0;

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
};

}  // namespace kiln::fake
