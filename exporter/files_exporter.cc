#include <unistd.h>

#include <functional>
#include <set>
#include <thread>

#include "base/fs.h"
#include "exporter/export_tree.h"
#include "exporter/output_file.h"
#include "exporter/step.h"
#include "oci/tar.h"
#include "snapshotter/layer_apply.h"
#include "snapshotter/layer_diff.h"

namespace kiln {
namespace {

// What the trees make one after the other, as one archive. With a time, all have that:
// SOURCE_DATE_EPOCH, as BuildKit dates files. A directory that several have is told once.
class TreeReader : public oci::TarReader {
 public:
  TreeReader(std::unique_ptr<oci::TarReader> from, std::optional<int64_t> seconds,
             std::set<std::string>& directories)
      : from_(std::move(from)), seconds_(seconds), directories_(directories) {}
  Result<std::optional<oci::TarEntry>> next() override {
    for (;;) {
      KILN_TRY_ASSIGN(std::optional<oci::TarEntry> entry, from_->next());
      if (entry && entry->type == oci::EntryType::kDirectory &&
          !directories_.insert(entry->path.str()).second)
        continue;
      if (entry && seconds_) {
        entry->mtime = *seconds_;
        entry->mtime_ns = 0;
      }
      return entry;
    }
  }
  Result<size_t> read(std::span<std::byte> buffer) override { return from_->read(buffer); }

 private:
  std::unique_ptr<oci::TarReader> from_;
  const std::optional<int64_t> seconds_;
  std::set<std::string>& directories_;
};

Status write_tree(const ExportTree& tree, Sink& tar, std::stop_token stop) {
  return write_tree_diff(nullptr, tree.root(), tar, std::move(stop));
}

// What reads the tar that the tree writes on another thread: one description of a tree serves all
// outputs, and the pipe between them bounds the memory.
Status stream_tree(const ExportTree& tree, const std::optional<int64_t>& seconds,
                   std::set<std::string>& directories,
                   const std::function<Status(oci::TarReader&)>& consume,
                   const std::stop_token& stop) {
  KILN_TRY_ASSIGN(Pipe pipe, Pipe::create());
  Status written;
  std::jthread writer([&, end = std::move(pipe.write_end)]() mutable {
    FdSink sink(end.get(), "pipe");
    written = write_tree(tree, sink, stop);
    end.reset();
  });
  const auto read = [&](Fd tar) -> Status {
    KILN_TRY_ASSIGN(std::unique_ptr<oci::TarReader> reader,
                    oci::TarReader::open(std::make_unique<FdSource>(std::move(tar), "pipe")));
    TreeReader entries(std::move(reader), seconds, directories);
    return consume(entries);
  };
  const Status consumed = read(std::move(pipe.read_end));
  writer.join();
  // A reader that gave up breaks the writer's pipe: its own error is the cause.
  if (!consumed && written) return consumed;
  if (!consumed && consumed.error().code() != Code::kDataLoss) return consumed;
  return written;
}

/// The time that all files get, if they get one.
std::optional<int64_t> time_of(const FilesExportOptions& options, const ExportTree& tree) {
  return options.source_date_epoch ? options.source_date_epoch : tree.epoch();
}

Status stream_trees(const std::vector<ExportTree>& trees, const FilesExportOptions& options,
                    const std::function<Status(oci::TarReader&)>& consume,
                    const std::stop_token& stop) {
  std::set<std::string> directories;
  for (const ExportTree& tree : trees)
    KILN_TRY(stream_tree(tree, time_of(options, tree), directories, consume, stop));
  return {};
}

Status copy_entries(oci::TarReader& from, oci::TarWriter& to) {
  std::vector<std::byte> buffer(256U << 10U);
  for (;;) {
    KILN_TRY_ASSIGN(const std::optional<oci::TarEntry> entry, from.next());
    if (!entry) return {};
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
    KILN_TRY_ASSIGN(const std::vector<ExportTree> trees,
                    open_export_trees(input, options_.platform_split, context, stop));
    KILN_TRY_ASSIGN(OutputFile file, OutputFile::open(options_.destination, options_.output_fd));
    FdSink sink(file.fd(), options_.destination);
    if (trees.size() == 1 && !time_of(options_, trees.front())) {
      KILN_TRY(write_tree(trees.front(), sink, stop));
    } else {
      oci::TarWriter tar(sink);
      const auto copy = [&tar](oci::TarReader& reader) { return copy_entries(reader, tar); };
      KILN_TRY(stream_trees(trees, options_, copy, stop));
      KILN_TRY(tar.finish());
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
    KILN_TRY_ASSIGN(const std::vector<ExportTree> trees,
                    open_export_trees(input, options_.platform_split, context, stop));
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
    return stream_trees(trees, options_, unpack, stop);
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
