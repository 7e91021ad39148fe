#include "cache/server/fsck.h"

#include <algorithm>
#include <vector>

#include "base/io.h"
#include "base/strings.h"
#include "cache/server/manifest_document.h"

namespace kiln::server {
namespace {

constexpr size_t kCheckBytes = 256U << 10U;

class Checker {
 public:
  Checker(BlobStorage& storage, Repair repair, const std::function<void(const std::string&)>& tell,
          const std::stop_token& stop)
      : storage_(storage), repair_(repair), tell_(tell), stop_(stop) {}

  Result<FsckReport> run() {
    KILN_TRY(check_blobs());
    KILN_TRY_ASSIGN(const auto repositories, storage_.repositories());
    for (const std::string& repository : repositories) {
      KILN_TRY(check_holdings(repository));
      KILN_TRY(check_manifests(repository));
      KILN_TRY(check_tags(repository));
      KILN_TRY(check_referrers(repository));
    }
    return report_;
  }

 private:
  Status stopped() const {
    return stop_.stop_requested() ? fail(Code::kCancelled, "cancelled") : Status();
  }

  Status problem(const std::string& text, const std::function<Status()>& repair) {
    ++report_.problems;
    tell_(text);
    if (repair_ == Repair::kNo || !repair) return {};
    KILN_TRY(repair());
    ++report_.repaired;
    return {};
  }

  Status check_blobs() {
    std::vector<BlobStorage::BlobEntry> blobs;
    KILN_TRY(storage_.each_blob([&](const BlobStorage::BlobEntry& entry) -> Status {
      blobs.push_back(entry);
      return {};
    }));
    for (const BlobStorage::BlobEntry& blob : blobs) {
      KILN_TRY_ASSIGN(const BlobDigest found, digest_of_bytes(blob.digest));
      ++report_.blobs;
      report_.bytes += blob.size;
      if (found == blob.digest) continue;
      KILN_TRY(problem("blob " + blob.digest.to_string() + " is damaged",
                       [&] { return storage_.quarantine_blob(blob.digest); }));
    }
    return {};
  }

  Result<BlobDigest> digest_of_bytes(const BlobDigest& digest) {
    KILN_TRY_ASSIGN(OpenBlob blob, storage_.open_blob(digest));
    const auto source = source_of(std::move(blob), digest.to_string());
    BlobHasher hasher(digest.algorithm());
    std::vector<std::byte> buffer(kCheckBytes);
    while (true) {
      KILN_TRY(stopped());
      KILN_TRY_ASSIGN(const size_t n, source->read(buffer));
      if (n == 0) return hasher.finish();
      hasher.update(std::span(buffer).first(n));
    }
  }

  // The record's name as a digest whose blob is there.
  Result<bool> has_blob(const std::string& component) {
    const Result<BlobDigest> digest = BlobDigest::from_component(component);
    if (!digest) return false;
    KILN_TRY_ASSIGN(const auto size, storage_.blob_size(*digest));
    return size.has_value();
  }
  Result<bool> has_record(const RecordKey& key) {
    KILN_TRY_ASSIGN(const auto touched, storage_.record_touched(key));
    return touched.has_value();
  }

  Status check_holdings(const std::string& repository) {
    KILN_TRY_ASSIGN(const auto names, storage_.record_names(repository, RecordKind::kBlob, ""));
    for (const std::string& name : names) {
      KILN_TRY_ASSIGN(const bool there, has_blob(name));
      if (there) continue;
      KILN_TRY(problem(quote(repository) + " holds blob " + name + ", which is not there", [&] {
        return storage_.erase_record({repository, RecordKind::kBlob, name});
      }));
    }
    return {};
  }

  Status check_manifests(const std::string& repository) {
    KILN_TRY_ASSIGN(const auto names, storage_.record_names(repository, RecordKind::kManifest, ""));
    for (const std::string& name : names) {
      KILN_TRY(stopped());
      const RecordKey key{repository, RecordKind::kManifest, name};
      KILN_TRY_ASSIGN(const bool there, has_blob(name));
      if (there) {
        KILN_TRY(check_contents(repository, name));
        continue;
      }
      KILN_TRY(problem(quote(repository) + " has manifest " + name + ", which is not there",
                       [&] { return storage_.erase_record(key); }));
    }
    return {};
  }

  Status check_contents(const std::string& repository, const std::string& name) {
    KILN_TRY_ASSIGN(const BlobDigest digest, BlobDigest::from_component(name));
    KILN_TRY_ASSIGN(OpenBlob blob, storage_.open_blob(digest));
    const auto source = source_of(std::move(blob), name);
    KILN_TRY_ASSIGN(const std::string text, read_all(*source, kMaxManifestBytes, "manifest"));
    const auto document = parse_manifest_document(text, "");
    const std::string what = quote(repository) + ": manifest " + digest.to_string();
    if (!document) return problem(what + ": " + document.error().message, {});
    for (const auto& content : document->contents) {
      const RecordKind kind = content.manifest ? RecordKind::kManifest : RecordKind::kBlob;
      KILN_TRY_ASSIGN(const bool held, has_record({repository, kind, content.digest.component()}));
      KILN_TRY_ASSIGN(const bool there, has_blob(content.digest.component()));
      KILN_TRY_ASSIGN(const bool awaited,
                      has_record({repository, RecordKind::kAwaited, content.digest.component()}));
      if ((!held || !there) && !content.elsewhere && !awaited)
        KILN_TRY(problem(what + " refers to " + content.digest.to_string() +
                             ", which the repository does not hold: push it again",
                         {}));
    }
    return {};
  }

  Status check_tags(const std::string& repository) {
    KILN_TRY_ASSIGN(const auto names, storage_.record_names(repository, RecordKind::kTag, ""));
    for (const std::string& name : names) {
      const RecordKey key{repository, RecordKind::kTag, name};
      KILN_TRY_ASSIGN(const auto text, storage_.record(key));
      const Result<BlobDigest> digest = BlobDigest::parse(text.value_or(""));
      bool there = false;
      if (digest) {
        KILN_TRY_ASSIGN(there,
                        has_record({repository, RecordKind::kManifest, digest->component()}));
      }
      if (there) continue;
      KILN_TRY(problem("tag " + quote(repository + ":" + name) + " leads to no manifest",
                       [&] { return storage_.erase_record(key); }));
    }
    return {};
  }

  Status check_referrers(const std::string& repository) {
    KILN_TRY_ASSIGN(const auto groups, storage_.referrer_groups(repository));
    for (const std::string& group : groups) {
      KILN_TRY_ASSIGN(const auto names,
                      storage_.record_names(repository, RecordKind::kReferrer, group));
      for (const std::string& name : names) {
        KILN_TRY_ASSIGN(const bool there, has_record({repository, RecordKind::kManifest, name}));
        if (there) continue;
        KILN_TRY(problem(quote(repository) + ": referrer " + name + " is no manifest", [&] {
          return storage_.erase_record({repository, RecordKind::kReferrer, name, group});
        }));
      }
    }
    return {};
  }

  BlobStorage& storage_;
  const Repair repair_;
  const std::function<void(const std::string&)>& tell_;
  const std::stop_token& stop_;
  FsckReport report_;
};

}  // namespace

Result<FsckReport> check_storage(BlobStorage& storage, Repair repair,
                                 const std::function<void(const std::string&)>& tell,
                                 const std::stop_token& stop) {
  return Checker(storage, repair, tell, stop).run();
}

}  // namespace kiln::server
