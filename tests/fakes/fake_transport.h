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
    KILN_TRY(answer(hold, stop));
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
    KILN_TRY(answer(hold, stop));
    const auto bytes = blobs.find(blob.digest);
    if (bytes == blobs.end()) return fail(Code::kNotFound, "no such blob");
    return to.write(as_bytes(bytes->second));
  }
  Status upload(const oci::BlobContent& content, std::stop_token stop) override {
    KILN_TRY_ASSIGN(const auto source, content.open(0));
    KILN_TRY_ASSIGN(std::string bytes, read_all(*source, content.blob.size, "blob"));
    std::unique_lock hold(mutex_);
    KILN_TRY(answer(hold, stop));
    if (broken) return fail(Code::kUnavailable, "connection refused");
    blobs[content.blob.digest] = std::move(bytes);
    return {};
  }
  Status publish(std::span<const cache::Publication> publications, std::stop_token stop) override {
    std::unique_lock hold(mutex_);
    KILN_TRY(answer(hold, stop));
    if (broken) return fail(Code::kUnavailable, "connection refused");
    for (const cache::Publication& one : publications) {
      if (one.replaces) entries.erase(one.key);
      entries.try_emplace(one.key, one.entry);
    }
    return {};
  }
  void wait_until_asked(int times) {
    std::unique_lock hold(mutex_);
    wake_.wait(hold, [&] { return asked >= times; });
  }

  bool broken = false, hangs = false;
  std::map<CacheKey, std::string> entries;
  std::map<Digest, std::string> blobs;
  std::vector<std::vector<CacheKey>> requests;
  int fetches = 0;
  int asked = 0;  // for anything

 private:
  Status answer(std::unique_lock<std::mutex>& hold, const std::stop_token& stop) {
    ++asked;
    wake_.notify_all();
    if (hangs && !wake_.wait(hold, stop, [this] { return !hangs; }))
      return fail(Code::kCancelled, "stopped");
    return {};
  }

  std::mutex mutex_;
  std::condition_variable_any wake_;
};

}  // namespace kiln::fake
