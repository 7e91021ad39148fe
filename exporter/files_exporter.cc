#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "base/fs.h"
#include "exporter/exporter.h"
#include "exporter/output_file.h"
#include "exporter/step.h"
#include "oci/tar.h"
#include "snapshotter/layer_apply.h"
#include "snapshotter/layer_diff.h"
#include "snapshotter/mount.h"

namespace kiln {
namespace {

constexpr time_t kMadeTime = 315'532'800;  // 1980-01-01, as of all that a build makes of nothing

// What is written: one platform's tree, or a directory with a tree for each, each mounted there.
class ExportTree {
 public:
  static Result<ExportTree> open(const ExportInput& input, const std::optional<bool>& split,
                                 ExportContext& context, const std::stop_token& stop) {
    ExportTree tree;
    const bool several = input.platforms.size() > 1;
    if (split.value_or(several) || !input.platforms.front().root) {
      KILN_TRY(tree.make_directory(context));
      if (!split.value_or(several)) return tree;
      for (const PlatformResult& platform : input.platforms)
        KILN_TRY(tree.add(platform, context, stop));
      return tree;
    }
    if (several)
      return tl::unexpected(
          Error(Code::kUnimplemented, "platform-split=false does not work for several platforms")
              .hint("leave it out, or build one platform"));
    KILN_TRY_ASSIGN(auto view, context.snapshots.view(*input.platforms.front().root, stop));
    KILN_TRY_ASSIGN(MountedTree mounted,
                    MountedTree::open(view->mounts(), context.scratch_directory));
    tree.views_.push_back(std::move(view));
    tree.only_ = std::make_unique<MountedTree>(std::move(mounted));
    return tree;
  }

  /// As a tar, sorted, as a layer on nothing.
  Status write(Sink& tar, std::stop_token stop) const {
    return write_tree_diff(nullptr, only_ ? only_->root() : *root_, tar, std::move(stop));
  }

 private:
  ExportTree() = default;

  Status make_directory(ExportContext& context) {
    KILN_TRY_ASSIGN(TempDir made, TempDir::create(context.scratch_directory, "export-"));
    directory_ = std::make_unique<TempDir>(std::move(made));
    KILN_TRY_ASSIGN(Root root, Root::open(directory_->path()));
    root_ = std::make_unique<Root>(std::move(root));
    return {};
  }

  Status add(const PlatformResult& platform, ExportContext& context, const std::stop_token& stop) {
    std::string name = platform.platform.to_string();
    std::replace(name.begin(), name.end(), '/', '_');
    const std::string path = directory_->path() + "/" + name;
    KILN_TRY(make_dirs(path, 0755));
    if (!platform.root) return settle(path);
    KILN_TRY_ASSIGN(auto view, context.snapshots.view(*platform.root, stop));
    KILN_TRY_ASSIGN(MountPoint mounted, MountPoint::mount(view->mounts(), path));
    views_.push_back(std::move(view));
    mounts_.push_back(std::move(mounted));
    return {};
  }

  // An empty tree has no time of its own: the same for every build.
  static Status settle(const std::string& path) {
    const timespec times[2] = {{kMadeTime, 0}, {kMadeTime, 0}};
    if (::chmod(path.c_str(), 0755) != 0 || ::utimensat(AT_FDCWD, path.c_str(), times, 0) != 0)
      return fail_errno("set the time of", path);
    return {};
  }

  // In the order in which they depend on each other: what is mounted goes first.
  std::unique_ptr<TempDir> directory_;
  std::vector<std::unique_ptr<SnapshotView>> views_;
  std::vector<MountPoint> mounts_;
  std::unique_ptr<MountedTree> only_;
  std::unique_ptr<Root> root_;
};

// Entries with one time for all: SOURCE_DATE_EPOCH, as BuildKit dates files.
class DatedReader : public oci::TarReader {
 public:
  DatedReader(std::unique_ptr<oci::TarReader> from, std::optional<int64_t> seconds)
      : from_(std::move(from)), seconds_(seconds) {}
  Result<std::optional<oci::TarEntry>> next() override {
    KILN_TRY_ASSIGN(std::optional<oci::TarEntry> entry, from_->next());
    if (entry && seconds_) {
      entry->mtime = *seconds_;
      entry->mtime_ns = 0;
    }
    return entry;
  }
  Result<size_t> read(std::span<std::byte> buffer) override { return from_->read(buffer); }

 private:
  std::unique_ptr<oci::TarReader> from_;
  const std::optional<int64_t> seconds_;
};

// What reads the tar that the tree writes on another thread: one description of a tree serves all
// outputs, and the pipe between them bounds the memory.
Status stream_tree(const ExportInput& input, const ExportTree& tree,
                   const std::function<Status(oci::TarReader&)>& consume, std::stop_token stop) {
  KILN_TRY_ASSIGN(Pipe pipe, Pipe::create());
  Status written;
  std::jthread writer([&, end = std::move(pipe.write_end)]() mutable {
    FdSink sink(end.get(), "pipe");
    written = tree.write(sink, stop);
    end.reset();
  });
  const auto read = [&](Fd tar) -> Status {
    KILN_TRY_ASSIGN(std::unique_ptr<oci::TarReader> reader,
                    oci::TarReader::open(std::make_unique<FdSource>(std::move(tar), "pipe")));
    DatedReader dated(std::move(reader), input.platforms.front().source_date_epoch);
    return consume(dated);
  };
  Status consumed = read(std::move(pipe.read_end));
  writer.join();
  // A reader that gave up breaks the writer's pipe: its own error is the cause.
  if (!consumed && written) return consumed;
  if (!consumed && consumed.error().code() != Code::kDataLoss) return consumed;
  return written;
}

Status copy_entries(oci::TarReader& from, Sink& sink) {
  oci::TarWriter to(sink);
  std::vector<std::byte> buffer(256U << 10U);
  for (;;) {
    KILN_TRY_ASSIGN(const std::optional<oci::TarEntry> entry, from.next());
    if (!entry) return to.finish();
    KILN_TRY(to.add(*entry));
    for (uint64_t left = entry->type == oci::EntryType::kFile ? entry->size : 0; left > 0;) {
      KILN_TRY_ASSIGN(const size_t got, from.read(buffer));
      if (got == 0 || got > left) return fail(Code::kDataLoss, "a file changed its size");
      KILN_TRY(to.data({buffer.data(), got}));
      left -= got;
    }
  }
}

class TarExporter : public Exporter {
 public:
  explicit TarExporter(FilesExportOptions options) : options_(std::move(options)) {}

  Result<ExportReport> run(const ExportInput& input, ExportContext& context,
                           std::stop_token stop) override {
    ExportStep step("exporting to client tarball", context.progress);
    KILN_TRY(step.watch(write(input, context, stop)));
    step.done();
    return ExportReport{};
  }

 private:
  Status write(const ExportInput& input, ExportContext& context, std::stop_token stop) const {
    KILN_TRY_ASSIGN(const ExportTree tree,
                    ExportTree::open(input, options_.platform_split, context, stop));
    KILN_TRY_ASSIGN(OutputFile file, OutputFile::open(options_.destination, options_.output_fd));
    FdSink sink(file.fd(), options_.destination);
    if (input.platforms.front().source_date_epoch) {
      const auto copy = [&sink](oci::TarReader& reader) { return copy_entries(reader, sink); };
      KILN_TRY(stream_tree(input, tree, copy, stop));
    } else {
      KILN_TRY(tree.write(sink, stop));
    }
    KILN_TRY(context.snapshots.sync());
    return file.commit();
  }

  FilesExportOptions options_;
};

class DirectoryExporter : public Exporter {
 public:
  explicit DirectoryExporter(FilesExportOptions options) : options_(std::move(options)) {}

  Result<ExportReport> run(const ExportInput& input, ExportContext& context,
                           std::stop_token stop) override {
    ExportStep step("exporting to client directory", context.progress);
    KILN_TRY(step.watch(write(input, context, stop)));
    KILN_TRY(step.watch(context.snapshots.sync()));
    step.done();
    return ExportReport{};
  }

 private:
  Status write(const ExportInput& input, ExportContext& context, std::stop_token stop) const {
    KILN_TRY_ASSIGN(const ExportTree tree,
                    ExportTree::open(input, options_.platform_split, context, stop));
    KILN_TRY(make_dirs(options_.destination));
    KILN_TRY_ASSIGN(const Root target, Root::open(options_.destination));
    const auto unpack = [&](oci::TarReader& reader) -> Status {
      ApplyOptions options;
      options.mode = ApplyMode::kArchive;
      options.uid = ::geteuid();
      options.gid = ::getegid();
      KILN_TRY(apply_layer(reader, target, options, stop));
      return {};
    };
    return stream_tree(input, tree, unpack, stop);
  }

  FilesExportOptions options_;
};

}  // namespace

std::unique_ptr<Exporter> make_directory_exporter(FilesExportOptions options) {
  return std::make_unique<DirectoryExporter>(std::move(options));
}

std::unique_ptr<Exporter> make_tar_exporter(FilesExportOptions options) {
  return std::make_unique<TarExporter>(std::move(options));
}

}  // namespace kiln
