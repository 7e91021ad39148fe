#include "solver/ops/plan_pack.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <tbb/parallel_pipeline.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <deque>
#include <optional>
#include <unordered_map>

#include "base/guarded.h"
#include "base/strings.h"
#include "oci/tar.h"
#include "snapshotter/layer_diff.h"

namespace kiln {
namespace {

using State = PlannedNode::State;

// A batch is what one read-ahead task does. Larger files are streamed by the writer.
constexpr size_t kBatchEntries = 128;
constexpr uint64_t kBatchBytes = 1U << 20U;
constexpr size_t kBatchesInFlight = 4;
constexpr size_t kStreamBytes = 256U << 10U;

/// An entry of the layer to be. Tar entries are made of them a batch at a time: they are large.
struct Item {
  RelPath path;
  const PlannedEntry* planned;           // nullptr: a directory of the base
  std::optional<struct stat> base;       // of that directory
  const RelPath* hardlink_to = nullptr;  // the first path of the same file
};

oci::EntryType type_of(uint32_t mode) {
  if (S_ISDIR(mode)) return oci::EntryType::kDirectory;
  if (S_ISLNK(mode)) return oci::EntryType::kSymlink;
  if (S_ISCHR(mode)) return oci::EntryType::kCharDevice;
  if (S_ISBLK(mode)) return oci::EntryType::kBlockDevice;
  return S_ISFIFO(mode) ? oci::EntryType::kFifo : oci::EntryType::kFile;
}

oci::TarEntry base_entry(const Item& item) {
  oci::TarEntry entry;
  entry.path = item.path;
  entry.type = oci::EntryType::kDirectory;
  entry.mode = item.base->st_mode & 07777U;
  entry.uid = item.base->st_uid;
  entry.gid = item.base->st_gid;
  entry.mtime = item.base->st_mtim.tv_sec;
  return entry;
}

oci::TarEntry planned_entry(const Item& item) {
  const PlannedEntry& planned = *item.planned;
  oci::TarEntry entry;
  entry.path = item.path;
  entry.type = type_of(planned.mode);
  entry.mode = planned.mode & 07777U;
  entry.uid = planned.uid;
  entry.gid = planned.gid;
  entry.mtime = planned.mtime.tv_sec;
  if (S_ISREG(planned.mode)) entry.size = planned.size;
  if (S_ISLNK(planned.mode)) entry.link_target = planned.text;
  if (S_ISCHR(planned.mode) || S_ISBLK(planned.mode)) {
    entry.dev_major = major(planned.special_device);
    entry.dev_minor = minor(planned.special_device);
  }
  if (item.hardlink_to != nullptr) {
    entry.type = oci::EntryType::kHardlink;
    entry.link_target = item.hardlink_to->str();
    entry.size = 0;
  }
  return entry;
}

/// The plan's entries in walking order, with the base's directories that lead to them.
class Listing {
 public:
  explicit Listing(const PlannedTree& plan) : plan_(plan) {}

  Status run() { return below(plan_.changes(), RelPath()); }
  std::deque<Item>& items() { return items_; }

 private:
  Status below(const PlannedNode& node, const RelPath& path) {
    for (const auto& [name, child] : node.children) KILN_TRY(visit(*child, path.child(name)));
    return {};
  }

  Status visit(const PlannedNode& node, const RelPath& path) {
    // Nothing of the base is there to be hidden, so a removal leaves no trace in a layer.
    if (node.state == State::kRemoved) return {};
    KILN_TRY(check_layer_name(path));
    KILN_TRY_ASSIGN(const bool same_as_base, is_same_directory(node, path));
    const size_t before = items_.size();
    if (node.state == State::kPut && !same_as_base) {
      add(path, node.entry);
      return node.children.empty() ? Status() : below(node, path);
    }
    KILN_TRY(add_base_directory(path));
    KILN_TRY(below(node, path));
    if (items_.size() == before + 1) items_.pop_back();
    return {};
  }

  /// A directory that was put over one just like it is no change by itself.
  Result<bool> is_same_directory(const PlannedNode& node, const RelPath& path) const {
    if (node.state != State::kPut || !S_ISDIR(node.entry.mode) || node.fresh) return false;
    if (plan_.base() == nullptr) return false;
    KILN_TRY_ASSIGN(const auto st, plan_.base()->stat(path));
    const PlannedEntry& entry = node.entry;
    return st && st->st_mode == entry.mode && st->st_uid == entry.uid && st->st_gid == entry.gid &&
           st->st_mtim.tv_sec == entry.mtime.tv_sec;
  }

  Status add_base_directory(const RelPath& path) {
    KILN_TRY_ASSIGN(const auto st, plan_.stat(path));
    if (!st) return fail(Code::kInternal, quote(path.absolute()) + ": lost its directory");
    items_.push_back({path, nullptr, *st});
    return {};
  }

  void add(const RelPath& path, const PlannedEntry& planned) {
    const RelPath* hardlink_to = nullptr;
    if (planned.link_group != 0) {
      const auto [first, is_first] = groups_.emplace(planned.link_group, path);
      if (!is_first) hardlink_to = &first->second;
    }
    items_.push_back({path, &planned, std::nullopt, hardlink_to});
  }

  const PlannedTree& plan_;
  std::deque<Item> items_;
  std::unordered_map<uint32_t, RelPath> groups_;  // nodes stay where they are
};

struct Batch {
  size_t first, last;  // of the items
  std::vector<oci::TarEntry> entries;
  std::vector<std::byte> data;  // of its small files, one after the other
};

class Packer {
 public:
  Packer(const std::deque<Item>& items, std::span<const TreeView* const> sources, Sink& tar,
         const std::stop_token& stop)
      : items_(items), sources_(sources), tar_(tar), stop_(stop) {}

  Status run() {
    using BatchPtr = std::shared_ptr<Batch>;
    const auto next = tbb::make_filter<void, BatchPtr>(
        tbb::filter_mode::serial_in_order,
        [this](tbb::flow_control& control) { return next_batch(control); });
    const auto read_ahead =
        tbb::make_filter<BatchPtr, BatchPtr>(tbb::filter_mode::parallel, [this](BatchPtr batch) {
          if (!failed_) note(read(*batch));
          return batch;
        });
    const auto write_out = tbb::make_filter<BatchPtr, void>(tbb::filter_mode::serial_in_order,
                                                            [this](const BatchPtr& batch) {
                                                              if (!failed_) note(write(*batch));
                                                            });
    tbb::parallel_pipeline(kBatchesInFlight, next & read_ahead & write_out);
    if (auto failure = failure_.lock(); failure->has_value()) return tl::unexpected(**failure);
    return tar_.finish();
  }

 private:
  static bool has_data(const Item& item) {
    return item.planned != nullptr && item.hardlink_to == nullptr && S_ISREG(item.planned->mode);
  }
  static bool is_read_ahead(const Item& item) {
    return has_data(item) && item.planned->source != kInlineSource &&
           item.planned->size <= kBatchBytes;
  }

  std::shared_ptr<Batch> next_batch(tbb::flow_control& control) {
    if (failed_ || next_ == items_.size()) {
      control.stop();
      return nullptr;
    }
    auto batch = std::make_shared<Batch>();
    batch->first = next_;
    uint64_t bytes = 0;
    for (; next_ < items_.size() && next_ - batch->first < kBatchEntries; ++next_) {
      if (!is_read_ahead(items_[next_])) continue;
      if (bytes > 0 && bytes + items_[next_].planned->size > kBatchBytes) break;
      bytes += items_[next_].planned->size;
    }
    batch->last = next_;
    batch->data.reserve(bytes);
    return batch;
  }

  const TreeView& source_of(const PlannedEntry& entry) const {
    return *sources_[static_cast<size_t>(entry.source)];
  }

  Status read(Batch& batch) {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "copy cancelled");
    std::vector<FileScratch> scratches(sources_.size());
    batch.entries.reserve(batch.last - batch.first);
    for (size_t i = batch.first; i < batch.last; ++i) {
      const Item& item = items_[i];
      batch.entries.push_back(item.planned == nullptr ? base_entry(item) : planned_entry(item));
      if (!is_read_ahead(item)) continue;
      FileScratch& scratch = scratches[static_cast<size_t>(item.planned->source)];
      KILN_TRY(read_file(*item.planned, scratch, batch.entries.back(), batch.data));
    }
    return {};
  }

  /// Layers carry no other attribute, and it means something for files only.
  static Status take_capability(const TreeView& source, const Fd& fd, oci::TarEntry& entry) {
    if (!source.has_xattrs()) return {};
    KILN_TRY_ASSIGN(std::string value, xattr_of(fd.get(), "security.capability"));
    if (!value.empty()) entry.xattrs["security.capability"] = std::move(value);
    return {};
  }

  Status read_file(const PlannedEntry& planned, FileScratch& scratch, oci::TarEntry& entry,
                   std::vector<std::byte>& data) const {
    const TreeView& source = source_of(planned);
    KILN_TRY_ASSIGN(const RelPath path, RelPath::rooted(planned.text));
    KILN_TRY_ASSIGN(const Fd fd, source.open_file(path, scratch));
    KILN_TRY(take_capability(source, fd, entry));
    const size_t at = data.size();
    data.resize(at + planned.size);
    for (size_t filled = at; filled < data.size();) {
      const ssize_t n = ::read(fd.get(), data.data() + filled, data.size() - filled);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("read", path.absolute());
      if (n == 0) return changed(path);
      filled += static_cast<size_t>(n);
    }
    return source.check_unchanged(path, fd);
  }

  static Status changed(const RelPath& path) {
    return fail(Code::kFailedPrecondition, quote(path.absolute()) + " changed while it was copied");
  }

  Status write(Batch& batch) {
    std::span<const std::byte> data(batch.data);
    for (size_t i = batch.first; i < batch.last; ++i) {
      const Item& item = items_[i];
      oci::TarEntry& entry = batch.entries[i - batch.first];
      if (!has_data(item) || entry.size == 0) {
        KILN_TRY(tar_.add(entry));
      } else if (is_read_ahead(item)) {
        KILN_TRY(tar_.add(entry));
        KILN_TRY(tar_.data(data.first(entry.size)));
        data = data.subspan(entry.size);
      } else if (item.planned->source == kInlineSource) {
        KILN_TRY(tar_.add(entry));
        KILN_TRY(tar_.data(as_bytes(item.planned->text)));
      } else {
        KILN_TRY(stream(*item.planned, entry));
      }
    }
    return {};
  }

  Status stream(const PlannedEntry& planned, oci::TarEntry& entry) {
    const TreeView& source = source_of(planned);
    KILN_TRY_ASSIGN(const RelPath path, RelPath::rooted(planned.text));
    FileScratch scratch;
    KILN_TRY_ASSIGN(const Fd fd, source.open_file(path, scratch));
    KILN_TRY(source.check_unchanged(path, fd));
    KILN_TRY(take_capability(source, fd, entry));
    KILN_TRY(tar_.add(entry));
    std::vector<std::byte> buffer(kStreamBytes);
    for (uint64_t left = entry.size; left > 0;) {
      if (stop_.stop_requested()) return fail(Code::kCancelled, "copy cancelled");
      const size_t wanted = std::min<uint64_t>(left, buffer.size());
      const ssize_t n = ::read(fd.get(), buffer.data(), wanted);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("read", path.absolute());
      if (n == 0) return changed(path);
      KILN_TRY(tar_.data(std::span(buffer).first(static_cast<size_t>(n))));
      left -= static_cast<uint64_t>(n);
    }
    return source.check_unchanged(path, fd);
  }

  void note(const Status& status) {
    if (status) return;
    failed_ = true;
    auto failure = failure_.lock();
    if (!failure->has_value()) failure->emplace(status.error());
  }

  const std::deque<Item>& items_;
  const std::span<const TreeView* const> sources_;
  oci::TarWriter tar_;
  const std::stop_token& stop_;
  size_t next_ = 0;  // only the pipeline's first stage, which is serial
  std::atomic<bool> failed_{false};
  Guarded<std::optional<Error>> failure_;
};

}  // namespace

Status plan_pack(const PlannedTree& plan, std::span<const TreeView* const> sources, Sink& tar,
                 const std::stop_token& stop) {
  KILN_CHECK(!plan.hides_base());
  Listing listing(plan);
  KILN_TRY(listing.run());
  return Packer(listing.items(), sources, tar, stop).run();
}

}  // namespace kiln
