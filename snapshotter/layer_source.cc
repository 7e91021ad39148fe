#include "snapshotter/layer_source.h"

#include <memory>
#include <utility>
#include <vector>

#include "oci/compression.h"
#include "snapshotter/read_ahead.h"

namespace kiln::internal {
namespace {

constexpr size_t kDrainBytes = 64U << 10U;

// Lends a source to something that wants to own one, so that it can be read to its end afterwards.
class Lent : public Source {
 public:
  explicit Lent(Source& from) : from_(from) {}
  Result<size_t> read(std::span<std::byte> buffer) override { return from_.read(buffer); }

 private:
  Source& from_;
};

class HashingSource : public Source {
 public:
  explicit HashingSource(std::unique_ptr<Source> from) : from_(std::move(from)) {}
  Result<size_t> read(std::span<std::byte> buffer) override {
    KILN_TRY_ASSIGN(const size_t n, from_->read(buffer));
    hasher_.update(buffer.first(n));
    return n;
  }
  Digest digest() { return hasher_.finish(); }  // once, at the end

 private:
  std::unique_ptr<Source> from_;
  Hasher hasher_;
};

Status drain(Source& source) {
  std::vector<std::byte> buffer(kDrainBytes);
  for (;;) {
    KILN_TRY_ASSIGN(const size_t n, source.read(buffer));
    if (n == 0) return {};
  }
}

// The digest of the whole tar in `blob`, once `body` has seen its entries.
Result<Digest> read_tar(Source& blob, const std::function<Status(oci::TarReader&)>& body) {
  KILN_TRY_ASSIGN(auto plain, oci::decompress(std::make_unique<Lent>(blob)));
  HashingSource tar(std::move(plain));
  {
    ReadAhead ahead(tar);
    KILN_TRY_ASSIGN(const auto reader, oci::TarReader::open(std::make_unique<Lent>(ahead)));
    KILN_TRY(body(*reader));
    KILN_TRY(drain(ahead));
  }
  return tar.digest();
}

}  // namespace

Status LayerSource::read(const std::function<Status(oci::TarReader&)>& body) const {
  const std::string name = "layer blob " + layer_.descriptor.digest.to_string();
  auto blob = content_.open(layer_.descriptor.digest);
  if (!blob && blob.error().code() == Code::kNotFound)
    return fail(Code::kDataLoss, name + " is gone");
  if (!blob) return tl::unexpected(blob.error());
  const Result<Digest> diff_id = read_tar(**blob, body);
  if (!diff_id)
    return tl::unexpected(oci::verified_error(content_, layer_.descriptor.digest, diff_id.error()));
  KILN_TRY(drain(**blob));  // verifies the blob's digest
  if (*diff_id != layer_.diff_id)
    return fail(Code::kDataLoss, name + " does not have the diff ID " + layer_.diff_id.to_string());
  return {};
}

}  // namespace kiln::internal
