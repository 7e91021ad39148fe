#include "exporter/rewrite_times.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "oci/compression.h"
#include "oci/tar.h"

namespace kiln {
namespace {

constexpr size_t kBufferBytes = 256U << 10U;

class Rewriter {
 public:
  Rewriter(const RewriteOptions& options, ExportContext& context, std::stop_token stop)
      : options_(options), context_(context), stop_(std::move(stop)), buffer_(kBufferBytes) {}

  Status rewrite(oci::LayerBlob& layer) {
    KILN_TRY_ASSIGN(const bool young, has_younger(layer));
    if (!young) return {};
    KILN_TRY_ASSIGN(const auto reader, open(layer));
    KILN_TRY_ASSIGN(const auto to, oci::LayerWriter::create(context_.content, context_.lease,
                                                            options_.compression, stop_));
    oci::TarWriter writer(*to);
    for (;;) {
      KILN_TRY_ASSIGN(std::optional<oci::TarEntry> entry, reader->next());
      if (!entry) break;
      entry->mtime = std::min(entry->mtime, options_.epoch);
      KILN_TRY(writer.add(*entry));
      KILN_TRY(copy_data(*reader, *entry, writer));
    }
    KILN_TRY(writer.finish());
    KILN_TRY_ASSIGN(layer, to->finish());
    return {};
  }

 private:
  Result<std::unique_ptr<oci::TarReader>> open(const oci::LayerBlob& layer) {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "the export was stopped");
    KILN_TRY_ASSIGN(auto blob, context_.content.open(layer.descriptor.digest));
    KILN_TRY_ASSIGN(auto tar, oci::decompress(std::move(blob)));
    return oci::TarReader::open(std::move(tar));
  }

  Result<bool> has_younger(const oci::LayerBlob& layer) {
    KILN_TRY_ASSIGN(const auto reader, open(layer));
    for (;;) {
      KILN_TRY_ASSIGN(const std::optional<oci::TarEntry> entry, reader->next());
      if (!entry) return false;
      if (entry->mtime > options_.epoch) return true;
    }
  }

  Status copy_data(oci::TarReader& from, const oci::TarEntry& entry, oci::TarWriter& to) {
    if (entry.type != oci::EntryType::kFile) return {};
    for (uint64_t left = entry.size; left > 0;) {
      if (stop_.stop_requested()) return fail(Code::kCancelled, "the export was stopped");
      KILN_TRY_ASSIGN(const size_t got, from.read(buffer_));
      if (got == 0 || got > left)
        return fail(Code::kDataLoss, "a layer's file has another size than its header says");
      KILN_TRY(to.data({buffer_.data(), got}));
      left -= got;
    }
    return {};
  }

  const RewriteOptions& options_;
  ExportContext& context_;
  const std::stop_token stop_;
  std::vector<std::byte> buffer_;
};

}  // namespace

Status rewrite_times(std::vector<ChainLayer>& layers, const RewriteOptions& options,
                     ExportContext& context, std::stop_token stop) {
  Rewriter rewriter(options, context, std::move(stop));
  for (size_t i = options.base_layers; i < layers.size(); ++i) {
    const Status done = rewriter.rewrite(layers[i].blob);
    if (!done)
      return tl::unexpected(
          done.error().wrap("rewrite the times of layer " + layers[i].blob.diff_id.to_string()));
  }
  return {};
}

}  // namespace kiln
