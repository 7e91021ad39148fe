#include "solver/ops/plan_pack.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <tbb/parallel_pipeline.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <unordered_map>

#include "base/guarded.h"
#include "base/strings.h"
#include "oci/tar.h"
#include "solver/ops/xattrs.h"

namespace kiln {
namespace {

using State = PlannedNode::State;

// A batch is what one read-ahead task does. Larger files are streamed by the writer.
constexpr size_t kBatchEntries = 128;
constexpr uint64_t kBatchBytes = 1U << 20U;
constexpr size_t kBatchesInFlight = 4;
constexpr size_t kStreamBytes = 256U << 10U;

struct Item {
  oci::TarEntry entry;
  const PlannedEntry* planned;  // nullptr: a directory of the base
};

/// The plan's entries in walking order, with the base's directories that lead to them.
class Listing {
 public:
  explicit Listing(const PlannedTree& plan) : plan_(plan) {}

  Result<std::vector<Item>> run() {
    KILN_TRY(below(plan_.changes(), RelPath()));
    return std::move(items_);
  }

 private:
  Status below(const PlannedNode& node, const RelPath& path) {
    for (const auto& [name, child] : node.children) KILN_TRY(visit(*child, path.child(name)));
    return {};
  }

  Status visit(const PlannedNode& node, const RelPath& path) {
    // Nothing of the base is there to be hidden, so a removal leaves no trace in a layer.
    if (node.state == State::kRemoved) return {};
    KILN_TRY_ASSIGN(const bool same_as_base, is_same_directory(node, path));
    if (node.state == State::kPut && !same_as_base) {
      KILN_TRY(add(path, node.entry));
      return below(node, path);
    }
    const size_t before = items_.size();
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
    Item item{entry_of(path, st->st_mode, st->st_uid, st->st_gid, st->st_mtim.tv_sec), nullptr};
    items_.push_back(std::move(item));
    return {};
  }

  Status add(const RelPath& path, const PlannedEntry& planned) {
    Item item{entry_of(path, planned.mode, planned.uid, planned.gid, planned.mtime.tv_sec),
              &planned};
    if (S_ISREG(planned.mode)) {
      item.entry.size = planned.size;
      if (planned.link_group != 0) link(item);
    }
    if (S_ISLNK(planned.mode)) item.entry.link_target = planned.text;
    if (S_ISCHR(planned.mode) || S_ISBLK(planned.mode)) {
      item.entry.dev_major = major(planned.special_device);
      item.entry.dev_minor = minor(planned.special_device);
    }
    items_.push_back(std::move(item));
    return {};
  }

  void link(Item& item) {
    const auto [first, is_first] = groups_.emplace(item.planned->link_group, item.entry.path);
    if (is_first) return;
    item.entry.type = oci::EntryType::kHardlink;
    item.entry.link_target = first->second.str();
    item.entry.size = 0;
  }

  static oci::EntryType type_of(uint32_t mode) {
    if (S_ISDIR(mode)) return oci::EntryType::kDirectory;
    if (S_ISLNK(mode)) return oci::EntryType::kSymlink;
    if (S_ISCHR(mode)) return oci::EntryType::kCharDevice;
    if (S_ISBLK(mode)) return oci::EntryType::kBlockDevice;
    return S_ISFIFO(mode) ? oci::EntryType::kFifo : oci::EntryType::kFile;
  }

  static oci::TarEntry entry_of(const RelPath& path, uint32_t mode, uint32_t uid, uint32_t gid,
                                int64_t mtime) {
    oci::TarEntry entry;
    entry.path = path;
    entry.type = type_of(mode);
    entry.mode = mode & 07777U;
    entry.uid = uid;
    entry.gid = gid;
    entry.mtime = mtime;
    return entry;
  }

  const PlannedTree& plan_;
  std::vector<Item> items_;
  std::unordered_map<uint32_t, RelPath> groups_;
};

struct Batch {
  std::span<Item> items;
  std::vector<std::byte> data;  // of its small files, one after the other
};

class Packer {
 public:
  Packer(std::vector<Item> items, std::span<const TreeView* const> sources, Sink& tar,
         const std::stop_token& stop)
      : items_(std::move(items)), sources_(sources), tar_(tar), stop_(stop) {}

  Status run() {
    tbb::parallel_pipeline(
        kBatchesInFlight,
        tbb::make_filter<void, std::shared_ptr<Batch>>(
            tbb::filter_mode::serial_in_order,
            [this](tbb::flow_control& control) { return next_batch(control); }) &
            tbb::make_filter<std::shared_ptr<Batch>, std::shared_ptr<Batch>>(
                tbb::filter_mode::parallel,
                [this](std::shared_ptr<Batch> batch) {
                  if (!failed_) note(read(*batch));
                  return batch;
                }) &
            tbb::make_filter<std::shared_ptr<Batch>, void>(
                tbb::filter_mode::serial_in_order, [this](const std::shared_ptr<Batch>& batch) {
                  if (!failed_) note(write(*batch));
                }));
    if (auto failure = failure_.lock(); failure->has_value()) return tl::unexpected(**failure);
    return tar_.finish();
  }

 private:
  static bool is_small_file(const Item& item) {
    return item.entry.type == oci::EntryType::kFile && item.entry.size <= kBatchBytes;
  }

  std::shared_ptr<Batch> next_batch(tbb::flow_control& control) {
    if (failed_ || next_ == items_.size()) {
      control.stop();
      return nullptr;
    }
    const size_t first = next_;
    for (uint64_t bytes = 0; next_ < items_.size() && next_ - first < kBatchEntries; ++next_) {
      if (!is_small_file(items_[next_])) continue;
      bytes += items_[next_].entry.size;
      if (bytes > kBatchBytes && next_ > first) break;
    }
    auto batch = std::make_shared<Batch>();
    batch->items = std::span(items_).subspan(first, next_ - first);
    return batch;
  }

  const TreeView& source_of(const PlannedEntry& entry) const {
    return *sources_[static_cast<size_t>(entry.source)];
  }

  Status read(Batch& batch) {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "copy cancelled");
    for (Item& item : batch.items) {
      if (item.planned == nullptr || item.planned->source == kInlineSource) continue;
      if (is_small_file(item)) {
        KILN_TRY(read_file(item, batch.data));
      } else if (item.entry.type == oci::EntryType::kDirectory) {
        KILN_TRY(read_capability(item));
      }
    }
    return {};
  }

  /// Layers carry no other attribute, and of directories not even this one has a meaning.
  Status read_capability(Item& item) const {
    const TreeView& source = source_of(*item.planned);
    if (!source.has_xattrs()) return {};
    KILN_TRY_ASSIGN(const RelPath path, RelPath::rooted(item.planned->text));
    KILN_TRY_ASSIGN(const Fd fd,
                    source.root().open(path, O_RDONLY | O_NONBLOCK, 0, FollowLast::kNo));
    return take_capability(source, fd, item);
  }

  static Status take_capability(const TreeView& source, const Fd& fd, Item& item) {
    if (!source.has_xattrs()) return {};
    KILN_TRY_ASSIGN(std::string value, xattr_of(fd.get(), "security.capability"));
    if (!value.empty()) item.entry.xattrs["security.capability"] = std::move(value);
    return {};
  }

  Status read_file(Item& item, std::vector<std::byte>& data) const {
    const TreeView& source = source_of(*item.planned);
    KILN_TRY_ASSIGN(const RelPath path, RelPath::rooted(item.planned->text));
    KILN_TRY_ASSIGN(const Fd fd, source.open_file(path));
    KILN_TRY(take_capability(source, fd, item));
    const size_t at = data.size();
    data.resize(at + item.entry.size);
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
    for (Item& item : batch.items) {
      const bool is_file = item.entry.type == oci::EntryType::kFile && item.entry.size > 0;
      if (!is_file) {
        KILN_TRY(tar_.add(item.entry));
      } else if (item.planned->source == kInlineSource) {
        KILN_TRY(tar_.add(item.entry));
        KILN_TRY(tar_.data(as_bytes(item.planned->text)));
      } else if (is_small_file(item)) {
        KILN_TRY(tar_.add(item.entry));
        KILN_TRY(tar_.data(data.first(item.entry.size)));
        data = data.subspan(item.entry.size);
      } else {
        KILN_TRY(stream(item));
      }
      item.entry = oci::TarEntry();  // its memory is not needed any more
    }
    return {};
  }

  Status stream(Item& item) {
    const TreeView& source = source_of(*item.planned);
    KILN_TRY_ASSIGN(const RelPath path, RelPath::rooted(item.planned->text));
    KILN_TRY_ASSIGN(const Fd fd, source.open_file(path));
    KILN_TRY(take_capability(source, fd, item));
    KILN_TRY(tar_.add(item.entry));
    std::vector<std::byte> buffer(kStreamBytes);
    for (uint64_t left = item.entry.size; left > 0;) {
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

  std::vector<Item> items_;
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
  KILN_TRY_ASSIGN(std::vector<Item> items, Listing(plan).run());
  return Packer(std::move(items), sources, tar, stop).run();
}

}  // namespace kiln
