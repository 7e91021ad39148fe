// What one build has learnt of remote sources. A branch may move and a file may change between two
// looks: the first answer holds for the whole build, so that the Dockerfile and the context it came
// from are of one commit, and a URL that is named twice is fetched once and means the same.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/digest.h"
#include "base/guarded.h"

namespace kiln {

/// Thread-safe.
class RemoteFacts {
 public:
  struct File {
    Digest digest;      // of a blob that the build's lease holds
    int64_t mtime = 0;  // seconds
  };
  struct Commit {
    std::string id;
    std::string ref;  // in full, as the repository has it: "refs/heads/main"
  };
  std::optional<Commit> commit(const std::string& remote_and_ref) {
    return find(commits_, remote_and_ref);
  }
  /// What holds: `commit`, or what another one found before.
  Commit settle_commit(const std::string& remote_and_ref, Commit commit) {
    return commits_.lock()->emplace(remote_and_ref, std::move(commit)).first->second;
  }
  std::optional<File> file(const std::string& request) { return find(files_, request); }
  File settle_file(const std::string& request, File file) {
    return files_.lock()->emplace(request, file).first->second;
  }

 private:
  template <class Value>
  using Known = Guarded<std::map<std::string, Value>>;
  template <class Value>
  static std::optional<Value> find(Known<Value>& known, const std::string& key) {
    auto values = known.lock();
    const auto found = values->find(key);
    return found == values->end() ? std::nullopt : std::optional<Value>(found->second);
  }
  Known<Commit> commits_;
  Known<File> files_;
};

}  // namespace kiln
