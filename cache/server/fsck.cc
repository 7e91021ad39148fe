#include "cache/server/fsck.h"

#include <algorithm>
#include <set>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/strings.h"
#include "cache/server/manifest_document.h"

namespace kiln::server {
namespace {

constexpr size_t kCheckBytes = 256U << 10U;
constexpr size_t kHashedAtOnce = 4;
constexpr size_t kHashWindow = 64;  // blobs, after which their problems are told
// As many as one announcement of a collection takes (collect.cc).
constexpr size_t kRepairBatch = 500;

/// Where others may write meanwhile, whatever looks wrong is looked at again before it is told of,
/// and removed by the rules of a collection (storage.h).
class Checker {
 public:
  Checker(BlobStorage& storage, Repair repair, const std::function<void(const std::string&)>& tell,
          const std::stop_token& stop)
      : storage_(storage), repair_(repair), tell_(tell), stop_(stop) {}

  Result<FsckReport> run() {
    if (repair_ == Repair::kYes) {
      auto begun = storage_.begin_collection(Clock::system().now());
      if (!begun)
        return tl::unexpected(begun.error().hint("without --repair it is checked all the same"));
      repairs_ = *std::move(begun);
    }
    KILN_TRY(check_blobs());
    KILN_TRY_ASSIGN(const auto repositories, storage_.repositories());
    for (const std::string& repository : repositories) KILN_TRY(check_repository(repository));
    KILN_TRY(erase_lost());
    return report_;
  }

 private:
  /// The names of a repository's records, each sorted, from when it was begun with.
  struct Names {
    std::vector<std::string> blobs, manifests, awaited;
  };
  enum class Finding : uint8_t { kSound, kDamaged, kGone };

  Status stopped() const {
    return stop_.stop_requested() ? fail(Code::kCancelled, "cancelled") : Status();
  }
  /// What is left to do, where --repair is or is not given.
  const char* advice(const char* without, const char* with) const {
    return repair_ == Repair::kYes ? with : without;
  }
  void problem(const std::string& what, const std::string& advice) {
    ++report_.problems;
    tell_(what + ": " + advice);
  }

  Status check_blobs() {
    KILN_TRY(storage_.each_blob([&](const BlobStorage::BlobEntry& entry) -> Status {
      blobs_.push_back(entry);
      return {};
    }));
    std::sort(blobs_.begin(), blobs_.end(),
              [](const auto& a, const auto& b) { return a.digest < b.digest; });
    std::vector<BlobStorage::BlobEntry> damaged;
    for (size_t begin = 0; begin < blobs_.size(); begin += kHashWindow) {
      const auto window =
          std::span(blobs_).subspan(begin, std::min(kHashWindow, blobs_.size() - begin));
      std::vector<Finding> findings(window.size());
      KILN_TRY(for_each_at_once(window.size(), kHashedAtOnce, [&](size_t i) -> Status {
        KILN_TRY_ASSIGN(findings[i], look_at(window[i].digest));
        return {};
      }));
      for (size_t i = 0; i < window.size(); ++i) {
        if (findings[i] == Finding::kGone) continue;
        ++report_.blobs;
        report_.bytes += window[i].size;
        if (findings[i] == Finding::kSound) continue;
        damaged.push_back(window[i]);
        problem("blob " + window[i].digest.to_string() + " is damaged",
                advice("--repair puts it into quarantine, then push again what refers to it",
                       "it goes into quarantine, push again what refers to it"));
      }
    }
    return quarantine(damaged);
  }

  Result<Finding> look_at(const BlobDigest& digest) {
    Result<OpenBlob> blob = storage_.open_blob(digest);
    if (!blob) return without_bytes(blob.error());
    const auto source = source_of(*std::move(blob), digest.to_string());
    BlobHasher hasher(digest.algorithm());
    std::vector<std::byte> buffer(kCheckBytes);
    while (true) {
      KILN_TRY(stopped());
      const Result<size_t> n = source->read(buffer);
      if (!n) return without_bytes(n.error());
      if (*n == 0) return hasher.finish() == digest ? Finding::kSound : Finding::kDamaged;
      hasher.update(std::span(buffer).first(*n));
    }
  }
  static Result<Finding> without_bytes(const Error& error) {
    if (error.code() == Code::kNotFound) return Finding::kGone;     // since it was listed
    if (error.code() == Code::kDataLoss) return Finding::kDamaged;  // fewer than it has
    return tl::unexpected(error);
  }

  Status quarantine(const std::vector<BlobStorage::BlobEntry>& damaged) {
    for (const BlobStorage::BlobEntry& entry : damaged) damaged_.insert(entry.digest);
    if (repair_ == Repair::kNo) return {};
    std::vector<BlobDigest> digests;
    digests.reserve(damaged.size());
    for (const BlobStorage::BlobEntry& entry : damaged) digests.push_back(entry.digest);
    const auto announce = [&](size_t begin, size_t count) {
      return repairs_->announce_blobs(std::span(digests).subspan(begin, count));
    };
    return in_repair_batches(damaged.size(), announce, [&](size_t i) -> Status {
      // Unless a push has put sound bytes in their place.
      KILN_TRY_ASSIGN(const auto touched, storage_.blob_touched(digests[i]));
      Finding finding = Finding::kDamaged;
      if (touched != damaged[i].touched) {
        KILN_TRY_ASSIGN(finding, look_at(digests[i]));
      }
      if (finding == Finding::kDamaged) KILN_TRY(storage_.quarantine_blob(digests[i]));
      damaged_.erase(digests[i]);
      std::erase_if(blobs_, [&](const auto& blob) { return blob.digest == digests[i]; });
      ++report_.repaired;
      return {};
    });
  }

  template <class Announce, class Remove>
  Status in_repair_batches(size_t total, const Announce& announce, const Remove& remove) {
    for (size_t begin = 0; begin < total; begin += kRepairBatch) {
      const size_t count = std::min(kRepairBatch, total - begin);
      KILN_TRY(announce(begin, count));
      for (size_t i = begin; i < begin + count; ++i) {
        KILN_TRY(repairs_->check());
        KILN_TRY(remove(i));
      }
      KILN_TRY(repairs_->finished());
    }
    return {};
  }

  /// Whether a record's name is the digest of a blob that is there.
  Result<bool> has_blob(const std::string& component) {
    const Result<BlobDigest> digest = BlobDigest::from_component(component);
    if (!digest) return false;
    const auto found = std::lower_bound(
        blobs_.begin(), blobs_.end(), *digest,
        [](const BlobStorage::BlobEntry& blob, const BlobDigest& at) { return blob.digest < at; });
    if (found != blobs_.end() && found->digest == *digest) return true;
    KILN_TRY_ASSIGN(const auto size, storage_.blob_size(*digest));
    return size.has_value();
  }
  Result<bool> has_record(const RecordKey& key) {
    KILN_TRY_ASSIGN(const auto touched, storage_.record_touched(key));
    return touched.has_value();
  }
  Result<bool> has_record(const RecordKey& key, const std::vector<std::string>& listed) {
    if (std::binary_search(listed.begin(), listed.end(), key.name)) return true;
    return has_record(key);
  }

  /// Whether what the record stands for is missing.
  Result<bool> leads_nowhere(const RecordKey& key) {
    std::string target = key.name;
    if (key.kind == RecordKind::kTag) {
      KILN_TRY_ASSIGN(const auto text, storage_.record(key));
      if (!text) return false;
      const Result<BlobDigest> digest = BlobDigest::parse(*text);
      if (!digest) return true;
      target = digest->component();
    }
    if (key.kind == RecordKind::kTag || key.kind == RecordKind::kReferrer) {
      KILN_TRY_ASSIGN(const bool known,
                      has_record({key.repository, RecordKind::kManifest, target}));
      if (!known) return true;
    }
    KILN_TRY_ASSIGN(const bool there, has_blob(target));
    return !there;
  }
  /// The same, and it is not because somebody is making or removing both just now.
  Result<bool> is_lost(const RecordKey& key) {
    KILN_TRY_ASSIGN(bool lost, leads_nowhere(key));
    if (!lost) return false;
    KILN_TRY_ASSIGN(const bool there, has_record(key));
    if (!there) return false;
    KILN_TRY_ASSIGN(lost, leads_nowhere(key));
    return lost;
  }

  void lost(RecordKey key, const std::string& what, const std::string& advice) {
    problem(what, advice);
    if (repair_ == Repair::kYes) lost_.push_back(std::move(key));
  }
  // In the order in which they were found: a tag goes after its manifest.
  Status erase_lost() {
    const auto announce = [&](size_t begin, size_t count) {
      return repairs_->announce_records(std::span(lost_).subspan(begin, count));
    };
    return in_repair_batches(lost_.size(), announce, [&](size_t i) -> Status {
      KILN_TRY_ASSIGN(const bool still, is_lost(lost_[i]));
      if (still) KILN_TRY(storage_.erase_record(lost_[i]));
      ++report_.repaired;
      return {};
    });
  }

  Status check_repository(const std::string& repository) {
    Names names;
    KILN_TRY_ASSIGN(names.blobs, storage_.record_names(repository, RecordKind::kBlob, ""));
    KILN_TRY_ASSIGN(names.manifests, storage_.record_names(repository, RecordKind::kManifest, ""));
    KILN_TRY_ASSIGN(names.awaited, storage_.record_names(repository, RecordKind::kAwaited, ""));
    for (const std::string& name : names.blobs) {
      const RecordKey key{repository, RecordKind::kBlob, name};
      KILN_TRY_ASSIGN(const bool nowhere, is_lost(key));
      if (nowhere)
        lost(key, quote(repository) + " holds blob " + name + ", which is not there",
             advice("--repair forgets that, then push it again",
                    "that is forgotten, push it again"));
    }
    for (const std::string& name : names.manifests)
      KILN_TRY(check_manifest(repository, name, names));
    KILN_TRY(check_tags(repository));
    return check_referrers(repository);
  }

  Status check_manifest(const std::string& repository, const std::string& name,
                        const Names& names) {
    KILN_TRY(stopped());
    const RecordKey key{repository, RecordKind::kManifest, name};
    KILN_TRY_ASSIGN(const bool nowhere, is_lost(key));
    if (nowhere) {
      lost(key, quote(repository) + " has manifest " + name + ", which is not there",
           advice("--repair forgets that, then push it again", "that is forgotten, push it again"));
      return {};
    }
    const Result<BlobDigest> digest = BlobDigest::from_component(name);
    if (!digest) return {};  // it went just now
    const std::string what = quote(repository) + ": manifest " + digest->to_string();
    if (damaged_.contains(*digest)) {
      tell_(what + " is damaged: push it again after the repair");
      return {};
    }
    Result<OpenBlob> blob = storage_.open_blob(*digest);
    if (!blob && blob.error().code() == Code::kNotFound) return {};  // likewise
    if (!blob) return tl::unexpected(blob.error());
    const auto source = source_of(*std::move(blob), name);
    const Result<std::string> text = read_all(*source, kMaxManifestBytes, "manifest");
    if (!text && text.error().code() == Code::kNotFound) return {};  // likewise
    if (!text && text.error().code() != Code::kResourceExhausted)
      return tl::unexpected(text.error());
    const auto document = text ? parse_manifest_document(*text, "")
                               : refuse(400, api::kManifestInvalid, text.error().message());
    if (!document) {
      problem(what + ": " + document.error().message, "delete it, and push the image again");
      return {};
    }
    KILN_TRY(check_manifest_record(key, what, manifest_record(*document, text->size())));
    return check_contents(repository, what, *document, names);
  }

  // What the record says follows from the manifest.
  Status check_manifest_record(const RecordKey& key, const std::string& what,
                               const std::string& expected) {
    KILN_TRY_ASSIGN(const auto text, storage_.record(key));
    if (!text) return {};  // it went just now
    const Result<Json> found = Json::parse(*text), wanted = Json::parse(expected);
    if (found && (*found)["mediaType"].is_string() &&
        (*found)["size"].as_uint() == (*wanted)["size"].as_uint())
      return {};
    problem(what + " has a damaged record",
            advice("--repair writes it anew", "it is written anew"));
    if (repair_ == Repair::kNo) return {};
    KILN_TRY(storage_.put_record(key, expected));
    ++report_.repaired;
    return {};
  }

  Status check_contents(const std::string& repository, const std::string& what,
                        const ManifestDocument& document, const Names& names) {
    for (const auto& content : document.contents) {
      const std::string name = content.digest.component();
      const std::string refers = what + " refers to " + content.digest.to_string();
      if (damaged_.contains(content.digest))
        tell_(refers + ", which is damaged: push it again after the repair");
      KILN_TRY_ASSIGN(const bool held,
                      content.manifest
                          ? has_record({repository, RecordKind::kManifest, name}, names.manifests)
                          : has_record({repository, RecordKind::kBlob, name}, names.blobs));
      KILN_TRY_ASSIGN(const bool there, has_blob(name));
      if ((held && there) || content.elsewhere) continue;
      KILN_TRY_ASSIGN(const bool awaited,
                      has_record({repository, RecordKind::kAwaited, name}, names.awaited));
      if (!awaited) problem(refers + ", which the repository does not hold", "push it again");
    }
    return {};
  }

  Status check_tags(const std::string& repository) {
    KILN_TRY_ASSIGN(const auto names, storage_.record_names(repository, RecordKind::kTag, ""));
    for (const std::string& name : names) {
      KILN_TRY(stopped());
      const RecordKey key{repository, RecordKind::kTag, name};
      KILN_TRY_ASSIGN(const bool nowhere, is_lost(key));
      if (nowhere)
        lost(key,
             "tag " + quote(std::string(repository).append(":").append(name)) +
                 " leads to no manifest",
             advice("push it again, or --repair removes the tag",
                    "the tag is removed, push it again"));
    }
    return {};
  }

  Status check_referrers(const std::string& repository) {
    KILN_TRY_ASSIGN(const auto groups, storage_.referrer_groups(repository));
    for (const std::string& group : groups) {
      KILN_TRY_ASSIGN(const auto names,
                      storage_.record_names(repository, RecordKind::kReferrer, group));
      for (const std::string& name : names) {
        const RecordKey key{repository, RecordKind::kReferrer, name, group};
        KILN_TRY_ASSIGN(const bool nowhere, is_lost(key));
        if (nowhere)
          lost(key, quote(repository) + ": referrer " + name + " is no manifest",
               advice("push it again, or --repair forgets it", "it is forgotten, push it again"));
      }
    }
    return {};
  }

  BlobStorage& storage_;
  const Repair repair_;
  const std::function<void(const std::string&)>& tell_;
  const std::stop_token& stop_;
  std::unique_ptr<Collection> repairs_;        // null: nothing is repaired
  std::vector<BlobStorage::BlobEntry> blobs_;  // sorted
  std::set<BlobDigest> damaged_;               // those that are in their place
  std::vector<RecordKey> lost_;                // to be erased
  FsckReport report_;
};

}  // namespace

Result<FsckReport> check_storage(BlobStorage& storage, Repair repair,
                                 const std::function<void(const std::string&)>& tell,
                                 const std::stop_token& stop) {
  return Checker(storage, repair, tell, stop).run();
}

}  // namespace kiln::server
