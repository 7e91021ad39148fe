#include <fcntl.h>
#include <unistd.h>

#include <thread>

#include "base/fs.h"
#include "exporter/exporter.h"
#include "exporter/output_file.h"
#include "exporter/step.h"
#include "snapshotter/layer_apply.h"
#include "snapshotter/layer_diff.h"
#include "snapshotter/mount.h"

namespace kiln {
namespace {

// The whole tree as a tar, sorted, as a layer on nothing.
Status write_tree(const ExportInput& input, ExportContext& context, Sink& tar,
                  std::stop_token stop) {
  if (!input.root) {
    KILN_TRY_ASSIGN(const TempDir empty, TempDir::create(context.scratch_directory, "empty-"));
    KILN_TRY_ASSIGN(const Root root, Root::open(empty.path()));
    return write_tree_diff(nullptr, root, tar, stop);
  }
  KILN_TRY_ASSIGN(const std::unique_ptr<SnapshotView> view,
                  context.snapshots.view(*input.root, stop));
  KILN_TRY_ASSIGN(const MountedTree tree,
                  MountedTree::open(view->mounts(), context.scratch_directory));
  return write_tree_diff(nullptr, tree.root(), tar, stop);
}

class TarExporter : public Exporter {
 public:
  TarExporter(std::string destination, int output_fd)
      : destination_(std::move(destination)), output_fd_(output_fd) {}

  Result<ExportReport> run(const ExportInput& input, ExportContext& context,
                           std::stop_token stop) override {
    ExportStep step("exporting to client tarball", context.progress);
    KILN_TRY(step.watch(write(input, context, stop)));
    step.done();
    return ExportReport{};
  }

 private:
  Status write(const ExportInput& input, ExportContext& context, std::stop_token stop) const {
    KILN_TRY_ASSIGN(OutputFile file, OutputFile::open(destination_, output_fd_));
    FdSink sink(file.fd(), destination_);
    KILN_TRY(write_tree(input, context, sink, stop));
    KILN_TRY(context.snapshots.sync());
    return file.commit();
  }

  std::string destination_;
  int output_fd_;
};

// Files are unpacked from the tar that the tree writes on another thread: one description of a tree
// serves both outputs, and the pipe between them bounds the memory.
class DirectoryExporter : public Exporter {
 public:
  explicit DirectoryExporter(std::string destination) : destination_(std::move(destination)) {}

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
    KILN_TRY(make_dirs(destination_));
    KILN_TRY_ASSIGN(const Root target, Root::open(destination_));
    KILN_TRY_ASSIGN(Pipe pipe, Pipe::create());
    Status written;
    std::jthread writer([&, end = std::move(pipe.write_end)]() mutable {
      FdSink sink(end.get(), "pipe");
      written = write_tree(input, context, sink, stop);
      end.reset();
    });
    Status unpacked = unpack(std::move(pipe.read_end), target, stop);
    writer.join();
    // A reader that gave up breaks the writer's pipe: its own error is the cause.
    if (!unpacked && written) return unpacked;
    if (!unpacked && unpacked.error().code() != Code::kDataLoss) return unpacked;
    return written;
  }

  static Status unpack(Fd tar, const Root& target, std::stop_token stop) {
    KILN_TRY_ASSIGN(const std::unique_ptr<oci::TarReader> reader,
                    oci::TarReader::open(std::make_unique<FdSource>(std::move(tar), "pipe")));
    ApplyOptions options;
    options.mode = ApplyMode::kArchive;
    options.uid = ::geteuid();
    options.gid = ::getegid();
    KILN_TRY(apply_layer(*reader, target, options, stop));
    return {};
  }

  std::string destination_;
};

}  // namespace

std::unique_ptr<Exporter> make_directory_exporter(std::string destination) {
  return std::make_unique<DirectoryExporter>(std::move(destination));
}

std::unique_ptr<Exporter> make_tar_exporter(std::string destination, int output_fd) {
  return std::make_unique<TarExporter>(std::move(destination), output_fd);
}

}  // namespace kiln
