// Which kind a root has: written down once, because directories of one kind mean nothing to the
// other.
#include <unistd.h>

#include "base/fs.h"
#include "base/strings.h"
#include "snapshotter/overlay.h"
#include "snapshotter/snapshot_store.h"
#include "snapshotter/tree_kind.h"

namespace kiln {
namespace {

using internal::TreeKind;

constexpr std::string_view kOverlay = "overlay";
constexpr std::string_view kUserOverlay = "overlay-userxattr";
constexpr std::string_view kCopy = "copy";
constexpr uint64_t kMaxKindBytes = 64;

std::string kind_file(const SnapshotterConfig& config) {
  return config.directory + "/kind";
}

// "": none yet.
Result<std::string> stored_kind(const SnapshotterConfig& config) {
  KILN_TRY_ASSIGN(const bool present, exists(kind_file(config)));
  if (!present) return std::string();
  KILN_TRY_ASSIGN(std::string text, read_file(kind_file(config), kMaxKindBytes));
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

Status store_kind(const SnapshotterConfig& config, std::string_view kind) {
  KILN_TRY_ASSIGN(AtomicFile file, AtomicFile::create(kind_file(config)));
  KILN_TRY(file.write(std::string(kind) + "\n"));
  return file.commit();
}

std::unique_ptr<TreeKind> make_kind(const SnapshotterConfig& config, std::string_view stored) {
  if (stored == kOverlay) return internal::make_overlay_kind(config.scratch, "trusted.overlay.");
  if (stored == kUserOverlay) return internal::make_overlay_kind(config.scratch, "user.overlay.");
  if (stored == kCopy) return internal::make_copying_kind();
  return nullptr;
}

// What "overlay" or "copy" is called in the kind file of a root that has none yet.
Result<std::string> choose(const SnapshotterConfig& config, std::string_view kind) {
  if (kind == kCopy) return std::string(kCopy);
  auto xattrs = internal::probe_overlay(config.directory);
  if (!xattrs && kind == "auto") return std::string(kCopy);
  if (!xattrs) return tl::unexpected(xattrs.error());
  return std::string(*xattrs == "trusted.overlay." ? kOverlay : kUserOverlay);
}

Status check_stored(std::string_view stored, const TreeKind* known, std::string_view wanted) {
  if (known == nullptr) {
    return fail(Code::kFailedPrecondition,
                "this root's snapshots are of the unknown kind \"" + std::string(stored) + "\"");
  }
  if (wanted == "auto" || wanted == known->name()) return {};
  return tl::unexpected(Error(Code::kFailedPrecondition,
                              "this root was made with the \"" + std::string(known->name()) +
                                  "\" snapshotter, not \"" + std::string(wanted) + "\"")
                            .hint("use another root (--root)"));
}

Result<std::unique_ptr<Snapshotter>> open_kind(const SnapshotterConfig& config,
                                               std::string_view wanted) {
  KILN_TRY(make_dirs(config.directory, 0700));
  KILN_TRY(make_dirs(config.scratch, 0700));
  KILN_TRY_ASSIGN(std::string stored, stored_kind(config));
  const bool is_new = stored.empty();
  if (is_new) {
    KILN_TRY_ASSIGN(stored, choose(config, wanted));
  }
  auto kind = make_kind(config, stored);
  KILN_TRY(check_stored(stored, kind.get(), wanted));
  if (is_new) KILN_TRY(store_kind(config, stored));
  return internal::SnapshotStore::open(config, std::move(kind));
}

}  // namespace

Result<std::unique_ptr<Snapshotter>> make_overlay_snapshotter(const SnapshotterConfig& config) {
  return open_kind(config, kOverlay);
}

Result<std::unique_ptr<Snapshotter>> make_copying_snapshotter(const SnapshotterConfig& config) {
  return open_kind(config, kCopy);
}

Result<std::unique_ptr<Snapshotter>> make_snapshotter(const SnapshotterConfig& config,
                                                      std::string_view kind) {
  if (kind == "auto" || kind == kOverlay || kind == kCopy) return open_kind(config, kind);
  return tl::unexpected(
      Error(Code::kInvalidArgument, "there is no snapshotter \"" + std::string(kind) + "\"")
          .hint("use auto, overlay or copy"));
}

}  // namespace kiln
