#include "oci/content_store.h"

namespace kiln::oci {

Result<std::string> read_blob(ContentStore& store, const Digest& blob, uint64_t limit_bytes) {
  KILN_TRY_ASSIGN(const auto source, store.open(blob));
  auto text = read_all(*source, limit_bytes, "blob " + blob.to_string());
  return text;
}

Result<Digest> write_blob(ContentStore& store, const Lease& lease, std::string_view bytes) {
  const Digest digest = Digest::of(bytes);
  // Reading what is there is cheaper than syncing it anew, and meets damage.
  if (read_blob(store, digest, bytes.size())) {
    KILN_TRY_ASSIGN(const bool kept, store.touch(digest, lease));
    if (kept) return digest;
  }
  KILN_TRY_ASSIGN(const auto writer, store.writer(lease));
  KILN_TRY(writer->write(as_bytes(bytes)));
  KILN_TRY(writer->commit(digest));
  return digest;
}

std::optional<Error> damage_of(ContentStore& store, const Digest& blob) {
  const auto source = store.open(blob);
  if (!source) return std::nullopt;  // moved aside already, where the damage was met at the end
  std::vector<std::byte> buffer(1U << 20U);
  while (true) {
    const Result<size_t> count = (*source)->read(buffer);
    if (!count) return count.error();
    if (*count == 0) return std::nullopt;
  }
}

Error verified_error(ContentStore& store, const Digest& blob, Error seen) {
  if (seen.code() != Code::kDataLoss && seen.code() != Code::kInvalidArgument) return seen;
  return damage_of(store, blob).value_or(std::move(seen));
}

}  // namespace kiln::oci
