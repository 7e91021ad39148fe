#include "cmd/store_items.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/strings.h"
#include "cmd/image_lookup.h"
#include "solver/ops/cache_mounts.h"

namespace kiln::cmd {
namespace {

constexpr size_t kShortId = 12;  // hex digits, as docker shortens

// As BuildKit's records name where they are from.
std::string type_of(const KeyRecord& record) {
  for (const auto& [name, value] : record.op.fields) {
    if (name != "kind") continue;
    if (value == "local") return "source.local";
    if (value == "git") return "source.git.checkout";
    if (value == "http") return "source.http";
    break;
  }
  return "regular";
}

class Inventory {
 public:
  explicit Inventory(Engine& engine) : engine_(engine) {}

  Result<std::vector<StoreItem>> take() {
    KILN_TRY(engine_.database().write([&]() -> Status {
      KILN_TRY_ASSIGN(oldest_live_, engine_.leases().oldest_live());
      return {};
    }));
    KILN_TRY_ASSIGN(const std::vector<oci::StoredBlob> blobs, engine_.content().list());
    for (const oci::StoredBlob& blob : blobs) blobs_[blob.digest] = {blob.bytes, blob.used_seq, {}};
    KILN_TRY_ASSIGN(images_, engine_.images().list());
    KILN_TRY(add_images());
    KILN_TRY(add_steps());
    KILN_TRY(add_dangling_images());
    KILN_TRY(add_downloads());
    KILN_TRY(add_cache_mounts());
    add_the_rest();
    return std::move(items_);
  }

 private:
  struct Blob {
    uint64_t bytes = 0, used_seq = 0;
    std::optional<size_t> owner;  // index of an item
  };

  // The item's, unless it is an earlier one's: then both share it.
  void count(size_t item, std::optional<size_t>& owner, uint64_t bytes) {
    if (!owner) {
      owner = item;
      items_[item].bytes += bytes;
    } else if (*owner != item) {
      items_[item].shared = items_[*owner].shared = true;
    }
  }
  void count_blob(size_t item, const Digest& digest) {
    const auto blob = blobs_.find(digest);  // some rows outlive their blobs
    if (blob != blobs_.end()) count(item, blob->second.owner, blob->second.bytes);
  }
  StoreItem& add(std::string id, std::string type) {
    items_.emplace_back();
    items_.back().id = std::move(id);
    items_.back().type = std::move(type);
    return items_.back();
  }

  Status add_image(const oci::StoredImage& image) {
    StoreItem& item = add(image.descriptor.digest.hex().substr(0, kShortId), "image");
    item.created = item.last_used = image.created;
    if (const Result<ImageFacts> facts = image_facts(engine_, image.descriptor); facts)
      item.labels = facts->config_json["config"]["Labels"];
    const size_t index = items_.size() - 1;
    KILN_TRY_ASSIGN(const std::vector<Digest> blobs,
                    oci::reachable_blobs(engine_.content(), image.descriptor));
    for (const Digest& blob : blobs) count_blob(index, blob);
    return {};
  }

  // One item for all names of an image.
  Status add_images() {
    std::map<Digest, size_t> seen;
    for (const oci::StoredImage& image : images_) {
      const Result<oci::Reference> name = oci::Reference::parse(image.name);
      if (!name) continue;
      const auto [known, fresh] = seen.try_emplace(image.descriptor.digest, items_.size());
      if (fresh) KILN_TRY(add_image(image));
      StoreItem& item = items_[known->second];
      item.description += (fresh ? "" : ", ") + name->familiar();
      item.reclaimable = false;  // until it is untagged
    }
    return {};
  }

  Status add_dangling_images() {
    for (const oci::StoredImage& image : images_) {
      if (!image.name.empty()) continue;
      KILN_TRY(add_image(image));
      items_.back().description = "image without a name";
      items_.back().dangling_image = image.descriptor.digest;
    }
    return {};
  }

  Status add_steps() {
    const size_t first = items_.size();
    std::unordered_map<std::string, size_t> steps;  // snapshot -> item
    KILN_TRY_ASSIGN(const std::vector<SnapshotId> ids, engine_.snapshots().list());
    std::unordered_map<std::string, std::optional<size_t>> directories;
    for (const SnapshotId& id : ids) {
      const Result<SnapshotFacts> facts = engine_.snapshots().facts(id);
      if (!facts) continue;  // removed by a pruner meanwhile
      steps[id.value] = items_.size();
      StoreItem& item = add(id.value, "regular");
      item.snapshot = id.value;
      item.description = facts->description;
      item.created = item.last_used = facts->created;
      if (facts->parent) item.parents.push_back(facts->parent->value);
      const size_t index = items_.size() - 1;
      if (facts->has_directory) count(index, directories[facts->directory], facts->size_bytes);
      for (const oci::LayerBlob& blob : facts->blobs) count_blob(index, blob.descriptor.digest);
    }
    KILN_TRY(add_records(steps));
    // What stands on a tree uses it. Parents come before their children.
    for (size_t i = items_.size(); i-- > first;) {
      for (const std::string& parent : items_[i].parents) {
        const auto below = steps.find(parent);
        if (below == steps.end()) continue;
        StoreItem& item = items_[below->second];
        item.last_used = std::max(item.last_used, items_[i].last_used);
        item.in_use = item.in_use || items_[i].in_use;
      }
      items_[i].reclaimable = !items_[i].in_use;
    }
    return {};
  }

  Status add_records(const std::unordered_map<std::string, size_t>& steps) {
    KILN_TRY_ASSIGN(const std::vector<StoredRecord> records, engine_.cache().list());
    for (const StoredRecord& record : records) {
      const auto step = steps.find(record.result.local_ref);
      StoreItem& item = step != steps.end()
                            ? items_[step->second]
                            : add(record.key.digest.hex().substr(0, kShortId), "regular");
      if (item.records.empty() || record.last_used > item.last_used) {
        item.description = record.record.name;
        item.type = type_of(record.record);
        item.last_used = record.last_used;
      }
      if (item.records.empty() && record.result.created != StoreItem::Time{})
        item.created = record.result.created;
      item.records.push_back(record.key);
      item.uses += record.uses;
      item.in_use = item.in_use || record.used_seq >= oldest_live_;
    }
    return {};
  }

  Status add_downloads() {
    KILN_TRY_ASSIGN(const std::vector<StoredDownload> downloads, engine_.downloads().list());
    for (const StoredDownload& download : downloads) {
      StoreItem& item = add(download.key.substr(0, kShortId), "source.http");
      item.download = download.key;
      item.description = "download " + download.digest.to_string();
      item.created = item.last_used = download.last_used;
      count_blob(items_.size() - 1, download.digest);
    }
    return {};
  }

  Status add_cache_mounts() {
    const CacheMounts mounts(engine_.layout().cache_mounts(), nullptr);
    KILN_TRY_ASSIGN(const std::vector<StoredCacheMount> stored, mounts.list());
    for (const StoredCacheMount& mount : stored) {
      const size_t number = mount.name.find('-');  // of several directories of one private mount
      StoreItem& item =
          add(mount.name.substr(0, kShortId) +
                  (number == std::string::npos ? std::string() : mount.name.substr(number)),
              "exec.cachemount");
      item.cache_mount = mount.name;
      item.description = "cache mount " + mount.id;
      item.created = mount.created;
      item.last_used = mount.last_used;
      item.bytes = mount.bytes;
      item.changes = true;
      item.in_use = mount.in_use;
      item.reclaimable = !mount.in_use;
    }
    return {};
  }

  // Blobs that nothing names, or that a running build has not named yet.
  void add_the_rest() {
    StoreItem loose, held;
    for (const auto& [digest, blob] : blobs_) {
      if (blob.owner) continue;
      StoreItem& item = blob.used_seq >= oldest_live_ ? held : loose;
      item.bytes += blob.bytes;
      ++item.uses;
    }
    const auto add_sum = [this](const StoreItem& sum, const std::string& id, const char* what) {
      if (sum.uses == 0) return;
      StoreItem& item = add(id, "internal");
      item.bytes = sum.bytes;
      item.description = std::to_string(sum.uses) + what;
    };
    add_sum(loose, "unreferenced", " blobs that nothing names");
    add_sum(held, "unfinished", " blobs of running builds");
    if (held.uses != 0) {
      items_.back().in_use = true;
      items_.back().reclaimable = false;
    }
  }

  Engine& engine_;
  uint64_t oldest_live_ = 0;
  std::vector<oci::StoredImage> images_;
  std::map<Digest, Blob> blobs_;
  std::vector<StoreItem> items_;
};

}  // namespace

Result<std::vector<StoreItem>> store_items(Engine& engine) {
  return Inventory(engine).take();
}

}  // namespace kiln::cmd
