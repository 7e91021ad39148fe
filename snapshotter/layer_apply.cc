#include "snapshotter/layer_apply.h"

#include <fcntl.h>
#include <unistd.h>

#include <vector>

#include "snapshotter/tree_writer.h"

namespace kiln {
namespace {

using oci::EntryType;
using oci::TarEntry;

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kAufs = ".wh..wh.";  // bookkeeping of an extinct file system
constexpr size_t kBufferBytes = 256U << 10U;

class LayerApplier {
 public:
  LayerApplier(oci::TarReader& tar, internal::TreeWriter& writer, const ApplyOptions& options,
               std::stop_token stop)
      : tar_(tar),
        options_(options),
        writer_(writer),
        stop_(std::move(stop)),
        buffer_(kBufferBytes) {}

  Result<uint64_t> run() {
    for (;;) {
      KILN_TRY_ASSIGN(std::optional<TarEntry> entry, tar_.next());
      if (!entry) break;
      KILN_TRY(check_stop());
      if (Status applied = apply(*entry); !applied)
        return tl::unexpected(applied.error().wrap("unpack \"" + entry->path.str() + "\""));
    }
    KILN_TRY(writer_.finish());
    return bytes_;
  }

 private:
  Status check_stop() const {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "unpacking was cancelled");
    return {};
  }

  Status apply(TarEntry& entry) {
    if (options_.mode != ApplyMode::kArchive) {
      const std::string_view name = entry.path.name();
      if (name == kOpaque) return writer_.make_opaque(entry.path.parent());
      if (is_aufs(entry.path)) return {};
      if (name.starts_with(kWhiteout)) return white_out(entry);
    }
    if (options_.uid) entry.uid = *options_.uid;
    if (options_.gid) entry.gid = *options_.gid;
    switch (entry.type) {
      case EntryType::kFile:
        return write_file(entry);
      case EntryType::kDirectory:
        return writer_.make_directory(entry);
      case EntryType::kHardlink:
        return writer_.make_hardlink(entry);
      default:
        return writer_.make_node(entry);
    }
  }

  static bool is_aufs(const RelPath& path) {
    for (const std::string_view component : path.components()) {
      if (component.starts_with(kAufs)) return true;
    }
    return false;
  }

  Status white_out(const TarEntry& entry) {
    const std::string_view target = entry.path.name().substr(kWhiteout.size());
    if (target.empty() || target == "." || target == "..")
      return fail(Code::kInvalidArgument, "this whiteout names no entry");
    return writer_.white_out(entry.path.parent().child(target));
  }

  Status write_file(const TarEntry& entry) {
    KILN_TRY_ASSIGN(const Fd file, writer_.create_file(entry));
    for (uint64_t left = entry.size; left > 0;) {
      KILN_TRY(check_stop());
      KILN_TRY_ASSIGN(const size_t n, tar_.read(buffer_));
      if (n == 0) return fail(Code::kDataLoss, "the archive ends inside this file");
      if (n > left) return fail(Code::kDataLoss, "the archive holds more than this file's size");
      KILN_TRY(write_fully(file.get(), std::span(buffer_).first(n), entry.path.str()));
      left -= n;
    }
    bytes_ += entry.size;
    return writer_.finish_file(file, entry);
  }

  oci::TarReader& tar_;
  const ApplyOptions& options_;
  internal::TreeWriter& writer_;
  std::stop_token stop_;
  std::vector<std::byte> buffer_;
  uint64_t bytes_ = 0;
};

}  // namespace

Result<uint64_t> apply_layer(oci::TarReader& tar, const Root& root, const ApplyOptions& options,
                             std::stop_token stop) {
  KILN_TRY_ASSIGN(internal::TreeWriter writer, internal::TreeWriter::open(root, options));
  return LayerApplier(tar, writer, options, std::move(stop)).run();
}

}  // namespace kiln
