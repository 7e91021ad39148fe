// Between the two forms of a layer: blobs are unpacked when somebody mounts, directories are packed
// when somebody exports.
#include <utility>

#include "base/fs.h"
#include "snapshotter/snapshot_store.h"

namespace kiln::internal {
namespace {

std::optional<oci::Compression> compression_of(const oci::Descriptor& descriptor) {
  using oci::Compression;
  namespace types = oci::media_type;
  const std::string& type = descriptor.media_type;
  if (type == types::kLayerTar || type == types::kDockerLayerTar) return Compression::kUncompressed;
  if (type == types::kLayerGzip || type == types::kDockerLayerGzip) return Compression::kGzip;
  if (type == types::kLayerZstd || type == types::kDockerLayerZstd) return Compression::kZstd;
  return std::nullopt;
}

// Somebody else's blob is as good as any of its compression: it is not made anew for its level.
bool satisfies(const PackedLayer& packed, oci::CompressionOptions wanted) {
  return compression_of(packed.blob.descriptor) == wanted.type &&
         (!packed.level || *packed.level == wanted.level);
}

// The bytes of Docker's types and the specification's are the same; exporters choose the name.
oci::LayerBlob with_oci_type(oci::LayerBlob blob, oci::Compression type) {
  blob.descriptor.media_type = oci::layer_media_type(type);
  return blob;
}

Result<FileLock> lock_layer(const std::string& path, const std::stop_token& stop) {
  return FileLock::acquire(path, FileLock::Mode::kExclusive,
                           [stop] { return stop.stop_requested(); });
}

bool is_unreadable(const Error& error) {
  return error.code() == Code::kDataLoss || error.code() == Code::kNotFound;
}

constexpr const char* kMadeAnew = "build again: it will be fetched or made anew";

}  // namespace

Status SnapshotStore::unpack_lazy(Chain& chain, std::stop_token stop) {
  for (size_t at = 0; at < chain.size(); ++at) {
    if (chain[at].directory != 0) continue;
    KILN_TRY_ASSIGN(chain[at].directory, unpack(chain, at, stop));
  }
  return {};
}

Result<int64_t> SnapshotStore::unpack(const Chain& chain, size_t at, const std::stop_token& stop) {
  const SnapshotRow& row = chain[at];
  KILN_TRY_ASSIGN(const FileLock lock, lock_layer(lock_path(row.layer, "unpack"), stop));
  KILN_TRY_ASSIGN(const Chain now, index_.chain(row.id));
  if (now.empty())
    return fail(Code::kNotFound, "snapshot " + std::to_string(row.id) + " was removed");
  if (now.back().directory != 0) return now.back().directory;  // by whoever had the lock
  const auto end = chain.begin() + static_cast<std::ptrdiff_t>(at);
  const Ancestors below = directories_of(Chain(chain.begin(), end));
  KILN_TRY_ASSIGN(const auto packed, index_.blobs(row.layer));
  for (const PackedLayer& layer : packed) {
    auto done = unpack_blob(LayerSource(content_, layer.blob), row, below, stop);
    if (done || done.error().code() != Code::kDataLoss) return done;
    KILN_TRY(forget(row.layer, layer.blob.descriptor.digest));
  }
  return drop_unreadable(row);
}

Result<int64_t> SnapshotStore::unpack_blob(const LayerSource& layer, const SnapshotRow& row,
                                           const Ancestors& below, const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const std::string made, area_->fresh());
  auto portable = kind_->unpack(layer, made, below, stop);
  Status done = portable ? Status() : tl::unexpected(portable.error());
  if (done) {
    done = database_.write([&]() -> Status {
      KILN_TRY_ASSIGN(const Chain now, index_.chain(row.id));
      if (now.empty()) return fail(Code::kNotFound, "the snapshot was removed");
      SnapshotRow unpacked = row;
      KILN_TRY_ASSIGN(unpacked.root_mtime, root_mtime(made));
      KILN_TRY(index_.set_directory(unpacked, row.id, *portable));
      return publish(made, row.id);
    });
  }
  if (done) {
    intact_.lock()->insert(row.id);
    return row.id;
  }
  area_->discard(made);
  return tl::unexpected(
      done.error().wrap("unpack the layer of snapshot " + std::to_string(row.id)));
}

Status SnapshotStore::forget(int64_t layer, const Digest& blob) {
  return database_.write([&] { return index_.forget_blob(layer, blob); });
}

Status SnapshotStore::drop_with_dependents(int64_t id) {
  std::vector<int64_t> directories;
  KILN_TRY(database_.write([&]() -> Status {
    KILN_TRY_ASSIGN(const auto victims, index_.dependents(id));
    KILN_TRY_ASSIGN(directories, index_.remove(victims));
    return {};
  }));
  KILN_TRY(remove_directories(directories));
  return {};
}

tl::unexpected<Error> SnapshotStore::drop_unreadable(const SnapshotRow& row) {
  if (auto dropped = drop_with_dependents(row.id); !dropped) return tl::unexpected(dropped.error());
  return tl::unexpected(
      Error(Code::kDataLoss, "the layer of snapshot " + std::to_string(row.id) +
                                 " is damaged or gone; what was built on it has been dropped")
          .hint(kMadeAnew));
}

Status SnapshotStore::remember(int64_t layer, const oci::LayerBlob& blob, int level) {
  return database_.write([&] { return index_.add_blob(layer, {blob, level}); });
}

Result<std::optional<oci::LayerBlob>> SnapshotStore::known_blob(int64_t layer,
                                                                oci::CompressionOptions wanted,
                                                                const oci::Lease& lease) {
  KILN_TRY_ASSIGN(const auto packed, index_.blobs(layer));
  for (const PackedLayer& known : packed) {
    if (!satisfies(known, wanted)) continue;
    KILN_TRY_ASSIGN(const bool present, content_.touch(known.blob.descriptor.digest, lease));
    if (present) return with_oci_type(known.blob, wanted.type);
  }
  return std::nullopt;
}

Result<std::optional<oci::LayerBlob>> SnapshotStore::recompressed(int64_t layer,
                                                                  oci::CompressionOptions wanted,
                                                                  const oci::Lease& lease,
                                                                  const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const auto packed, index_.blobs(layer));
  for (const PackedLayer& known : packed) {
    auto made = oci::recompress(content_, lease, known.blob, wanted, stop);
    if (made) {
      KILN_TRY(remember(layer, *made, wanted.level));
      return with_oci_type(*std::move(made), wanted.type);
    }
    if (!is_unreadable(made.error())) return tl::unexpected(made.error());
  }
  return std::nullopt;
}

Result<oci::LayerBlob> SnapshotStore::layer_blob(const SnapshotId& id,
                                                 oci::CompressionOptions wanted,
                                                 const oci::Lease& lease, std::stop_token stop) {
  KILN_TRY_ASSIGN(const Chain chain, load(id, &lease));
  const SnapshotRow& row = chain.back();
  KILN_TRY_ASSIGN(auto known, known_blob(row.layer, wanted, lease));
  if (known) return *std::move(known);
  KILN_TRY_ASSIGN(const FileLock lock, lock_layer(lock_path(row.layer, "pack"), stop));
  KILN_TRY_ASSIGN(known, known_blob(row.layer, wanted, lease));  // by whoever had the lock
  if (known) return *std::move(known);
  // Before packing, so that one layer keeps one diff ID.
  KILN_TRY_ASSIGN(known, recompressed(row.layer, wanted, lease, stop));
  if (known) return *std::move(known);
  return pack(row, wanted, lease, stop);
}

// A layer is what its first snapshot changed over its own parent; on another parent the same
// directory could read as other changes.
Result<SnapshotStore::Chain> SnapshotStore::chain_to_pack(const SnapshotRow& row) {
  auto origin = load(snapshot_id(row.layer), nullptr);
  if (origin && origin->back().directory != 0) return origin;
  return index_.chain(row.id);
}

Result<oci::LayerBlob> SnapshotStore::pack(const SnapshotRow& row, oci::CompressionOptions wanted,
                                           const oci::Lease& lease, const std::stop_token& stop) {
  KILN_TRY_ASSIGN(Chain chain, chain_to_pack(row));
  if (chain.empty())
    return fail(Code::kNotFound, "snapshot " + std::to_string(row.id) + " was removed");
  const SnapshotRow own = chain.back();
  if (own.directory == 0) return drop_unreadable(own);
  chain.pop_back();
  KILN_TRY(unpack_lazy(chain, stop));
  KILN_TRY_ASSIGN(const auto writer, oci::LayerWriter::create(content_, lease, wanted, stop));
  KILN_TRY(kind_->pack(path_of(own.directory), directories_of(chain), *writer, stop));
  KILN_TRY_ASSIGN(oci::LayerBlob blob, writer->finish());
  KILN_TRY(check_diff_id(own, blob));
  KILN_TRY(remember(row.layer, blob, wanted.level));
  return blob;
}

// The forms a layer had tell its diff ID, though their blobs be gone. A directory gives what kiln
// packed from it again, but not what somebody else's tar said (names, order, formats).
Status SnapshotStore::check_diff_id(const SnapshotRow& row, const oci::LayerBlob& packed) {
  KILN_TRY_ASSIGN(const auto forms, index_.blobs(row.layer));
  for (const PackedLayer& form : forms) {
    if (form.blob.diff_id == packed.diff_id) continue;
    KILN_TRY(drop_with_dependents(row.id));
    return tl::unexpected(
        Error(Code::kDataLoss,
              "the blob " + form.blob.descriptor.digest.to_string() +
                  " of a layer is damaged or gone, and packing its files gives another layer; what "
                  "was built on it has been dropped")
            .hint(kMadeAnew));
  }
  return {};
}

}  // namespace kiln::internal
