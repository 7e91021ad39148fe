// Uploads of s3_storage.h. What came so far are objects "uploads/<id>/<offset>-<random>", none of
// which ever changes: whoever goes on, in whichever server, adds further ones. Their names tell
// writers apart, so a digest is always that of certain objects and not of what somebody put in
// their place. When the digest is verified they are put together within the storage.
#include <algorithm>
#include <array>
#include <cstdio>

#include "base/io.h"
#include "base/parallel.h"
#include "base/strings.h"
#include "cache/server/names.h"
#include "cache/server/s3_storage.h"

namespace kiln::server {
namespace {

// Further uploads are hashed when they end: their bytes are read again then.
constexpr size_t kMaxKnownUploads = 1024;
constexpr size_t kAtOnce = 4;
// Smaller objects are not made for lack of memory: below it, memory is not what lacks.
constexpr size_t kLeastChunkBytes = 256U << 10U;
constexpr int kPublishRounds = 5;
constexpr uint64_t kMaxNoteBytes = 64U << 10U;

std::string offset_text(uint64_t offset) {
  std::array<char, 24> text{};
  (void)std::snprintf(text.data(), text.size(), "%020llu",
                      static_cast<unsigned long long>(offset));  // it fits
  return text.data();
}

}  // namespace

/// The claim to be the only one in this process at work on an upload.
class S3Storage::Claim {
 public:
  Claim(S3Storage& storage, std::string upload) : id(std::move(upload)), storage_(&storage) {}
  Claim(Claim&& other) noexcept
      : id(std::move(other.id)),
        hashed(std::move(other.hashed)),
        sealed(std::move(other.sealed)),
        storage_(std::exchange(other.storage_, nullptr)) {}
  Claim& operator=(Claim&&) = delete;
  ~Claim() {
    if (storage_ == nullptr) return;
    auto uploads = storage_->uploads_.lock();
    if (uploads->size() > kMaxKnownUploads && !sealed) {
      uploads->erase(id);
      return;
    }
    Upload& upload = (*uploads)[id];
    upload.busy = false;
    upload.hashed = std::move(hashed);
    upload.sealed = std::move(sealed);
  }
  void forget() {  // the upload is over
    storage_->uploads_.lock()->erase(id);
    storage_ = nullptr;
  }

  std::string id;
  std::optional<Hashed> hashed;
  std::optional<Sealed> sealed;

 private:
  S3Storage* storage_;
};

class S3Storage::Writer : public UploadWriter {
 public:
  Writer(S3Storage& storage, Claim claim, uint64_t size)
      : storage_(storage), claim_(std::move(claim)), size_(size) {}
  ~Writer() override {
    (void)finish();  // the client hears from the upload's size how far it came
    storage_.buffered_ -= buffer_.size();
  }

  Status write(std::span<const std::byte> data) override {
    if (failed_) return tl::unexpected(*failed_);
    if (claim_.hashed) claim_.hashed->hasher.update(data);
    while (!data.empty()) {
      const size_t n = std::min(data.size(), storage_.options_.chunk_bytes - buffer_.size());
      buffer_ += as_text(data.first(n));
      storage_.buffered_ += n;
      size_ += n;
      data = data.subspan(n);
      const bool crowded = storage_.buffered_ > storage_.options_.buffered_bytes &&
                           buffer_.size() >= kLeastChunkBytes;
      if (crowded || buffer_.size() >= storage_.options_.chunk_bytes) KILN_TRY(flush());
    }
    return {};
  }
  uint64_t size() const override { return size_; }
  Status finish() override {
    if (failed_) return tl::unexpected(*failed_);
    return buffer_.empty() ? Status() : flush();
  }

 private:
  Status flush() {
    Result<std::string> name = random_name();
    Status put;
    std::string chunk;
    if (name) {
      chunk = storage_.key("uploads/" + claim_.id + "/" + offset_text(size_ - buffer_.size()) +
                           "-" + *name);
      put = storage_.client_->put(chunk, buffer_);
    } else {
      put = tl::unexpected(name.error());
    }
    if (!put) {
      failed_ = put.error();
      claim_.hashed.reset();
      return put;
    }
    if (claim_.hashed) claim_.hashed->chunks.push_back(chunk);
    storage_.buffered_ -= buffer_.size();
    buffer_.clear();
    return {};
  }

  S3Storage& storage_;
  Claim claim_;
  uint64_t size_;       // with what is in the buffer
  std::string buffer_;  // counted in storage_.buffered_
  std::optional<Error> failed_;
};

uint64_t S3Storage::Pieces::size() const {
  uint64_t bytes = 0;
  for (const Chunk& chunk : chunks) bytes += chunk.size;
  return bytes;
}

Result<std::string> S3Storage::create_upload(const std::string& repository) {
  KILN_TRY_ASSIGN(std::string id, random_name());
  KILN_TRY(client_->put(key("uploads/" + id + "/of/" + repository_component(repository)), ""));
  return id;
}

// Two servers that were both at it may have left several chunks for one place: the last written is
// taken. Whatever is taken is verified.
Result<std::optional<S3Storage::Pieces>> S3Storage::pieces_of(const std::string& id) {
  if (!is_upload_id(id)) return std::nullopt;
  const std::string prefix = key("uploads/" + id + "/"), owner = "of/";
  KILN_TRY_ASSIGN(const S3Listing listing, client_->list(prefix));
  Pieces pieces;
  std::map<std::string, const S3Object*> last;  // by offset
  for (const S3Object& object : listing.objects) {
    pieces.objects.push_back(object.key);
    const std::string name = object.key.substr(prefix.size());
    if (name.starts_with(owner))
      pieces.repository = repository_of_component(name.substr(owner.size()));
    const size_t dash = name.find('-');
    if (name.find('/') != std::string::npos || dash == std::string::npos) continue;
    const S3Object*& at = last[name.substr(0, dash)];
    if (at == nullptr || at->modified <= object.modified) at = &object;
  }
  if (!is_repository_name(pieces.repository)) return std::nullopt;
  uint64_t offset = 0;
  for (auto at = last.begin(); at != last.end(); at = last.find(offset_text(offset))) {
    if (at->first != offset_text(offset)) break;
    pieces.chunks.push_back({at->second->key, at->second->size});
    if (at->second->size == 0) break;
    offset += at->second->size;
  }
  return pieces;
}

Result<std::optional<UploadState>> S3Storage::upload(const std::string& id) {
  KILN_TRY_ASSIGN(const auto pieces, pieces_of(id));
  if (!pieces) return std::nullopt;
  return UploadState{pieces->repository, pieces->size()};
}

Result<S3Storage::Claim> S3Storage::claim(const std::string& id) {
  auto uploads = uploads_.lock();
  Upload& upload = (*uploads)[id];
  if (upload.busy) return fail(Code::kFailedPrecondition, "the upload is being written to");
  upload.busy = true;
  Claim claim(*this, id);
  claim.hashed = std::exchange(upload.hashed, std::nullopt);
  claim.sealed = std::exchange(upload.sealed, std::nullopt);
  return claim;
}

Result<std::unique_ptr<UploadWriter>> S3Storage::append(const std::string& id,
                                                        HashAlgorithm algorithm) {
  if (!is_upload_id(id)) return fail(Code::kNotFound, "there is no such upload");
  KILN_TRY_ASSIGN(Claim claim, this->claim(id));
  KILN_TRY_ASSIGN(const auto pieces, pieces_of(id));
  if (!pieces) {
    claim.forget();
    return fail(Code::kNotFound, "there is no such upload");
  }
  if (claim.sealed && !claim.sealed->multipart.empty())
    (void)client_->abort_multipart(blob_key(claim.sealed->digest),
                                   claim.sealed->multipart);  // its note expires with the upload
  claim.sealed.reset();
  std::vector<std::string> chunks;
  for (const Chunk& chunk : pieces->chunks) chunks.push_back(chunk.key);
  if (chunks.empty())
    claim.hashed = Hashed{BlobHasher(algorithm), {}};
  else if (claim.hashed && claim.hashed->chunks != chunks)
    claim.hashed.reset();
  return std::make_unique<Writer>(*this, std::move(claim), pieces->size());
}

Result<std::string> S3Storage::read_chunks(const std::vector<Chunk>& chunks) {
  std::string bytes;
  for (const Chunk& chunk : chunks) {
    const Result<std::string> piece = client_->get(chunk.key, chunk.size);
    const bool is_longer = !piece && piece.error().code() == Code::kResourceExhausted;
    if (!piece && !is_longer) return tl::unexpected(piece.error());
    if (is_longer || piece->size() != chunk.size)
      return fail(Code::kUnavailable,
                  quote(chunk.key) + " has another size than the object storage lists");
    bytes += *piece;
  }
  return bytes;
}

// What went through this process in one go is hashed already; the rest is read again.
Result<BlobDigest> S3Storage::digest_of(Claim& claim, const std::vector<Chunk>& chunks,
                                        HashAlgorithm algorithm) {
  const auto is_hashed = [&](const Hashed& hashed) {
    return hashed.hasher.algorithm() == algorithm && hashed.chunks.size() == chunks.size() &&
           std::equal(
               chunks.begin(), chunks.end(), hashed.chunks.begin(),
               [](const Chunk& chunk, const std::string& name) { return chunk.key == name; });
  };
  if (claim.hashed && is_hashed(*claim.hashed)) {
    BlobHasher hasher = std::move(claim.hashed->hasher);
    claim.hashed.reset();
    return hasher.finish();
  }
  BlobHasher hasher(algorithm);
  for (const Chunk& chunk : chunks) {
    KILN_TRY_ASSIGN(const std::string bytes, read_chunks({chunk}));
    hasher.update(as_bytes(bytes));
  }
  return hasher.finish();
}

Result<UploadBytes> S3Storage::seal_upload(const std::string& id, const BlobDigest& digest) {
  if (!is_upload_id(id)) return fail(Code::kNotFound, "there is no such upload");
  KILN_TRY_ASSIGN(Claim claim, this->claim(id));
  KILN_TRY_ASSIGN(const auto pieces, pieces_of(id));
  if (!pieces) {
    claim.forget();
    return fail(Code::kNotFound, "there is no such upload");
  }
  claim.sealed.reset();
  KILN_TRY_ASSIGN(const BlobDigest found, digest_of(claim, pieces->chunks, digest.algorithm()));
  if (found != digest) return UploadBytes{found, pieces->size()};
  Sealed sealed{digest, pieces->chunks};
  // Nothing of it needs to be there twice.
  KILN_TRY_ASSIGN(const auto there, blob_size(digest));
  if (!there) KILN_TRY(assemble(id, sealed));
  claim.sealed = std::move(sealed);
  return UploadBytes{found, pieces->size()};
}

// Objects that are large enough are copied as they are, smaller ones together with what follows.
// Parts are larger where there would be more of them than a blob may have.
std::vector<S3Storage::Part> S3Storage::plan_parts(const std::vector<Chunk>& chunks) const {
  uint64_t total = 0;
  for (const Chunk& chunk : chunks) total += chunk.size;
  const uint64_t least = std::max<uint64_t>(options_.part_bytes,
                                            (total + options_.max_parts - 1) / options_.max_parts);
  std::vector<Part> parts;
  uint64_t gathered = least;  // in the last part
  for (const Chunk& chunk : chunks) {
    if (gathered >= least) {
      parts.push_back({});
      gathered = 0;
    }
    parts.back().chunks.push_back(chunk);
    gathered += chunk.size;
  }
  return parts;
}

Status S3Storage::assemble(const std::string& id, Sealed& sealed) {
  const std::vector<Part> parts = plan_parts(sealed.chunks);
  if (parts.size() < 2) return {};  // done at once when it is published
  const std::string target = blob_key(sealed.digest);
  KILN_TRY_ASSIGN(sealed.multipart, client_->create_multipart(target));
  // A note for whoever drops the upload if this process does not.
  KILN_TRY_ASSIGN(const std::string name, random_name());
  KILN_TRY(
      client_->put(key("uploads/" + id + "/multipart/" + name), target + "\n" + sealed.multipart));
  sealed.tags.resize(parts.size());
  return for_each_at_once(parts.size(), kAtOnce, [&](size_t i) -> Status {
    const std::vector<Chunk>& chunks = parts[i].chunks;
    if (chunks.size() == 1) {
      KILN_TRY_ASSIGN(sealed.tags[i],
                      client_->copy_part(target, sealed.multipart, i + 1, chunks.front().key, 0,
                                         chunks.front().size));
    } else {
      KILN_TRY_ASSIGN(const std::string bytes, read_chunks(chunks));
      KILN_TRY_ASSIGN(sealed.tags[i], client_->upload_part(target, sealed.multipart, i + 1, bytes));
    }
    return {};
  });
}

// Each of these makes the whole blob at once, or none.
Status S3Storage::complete(const std::string& id, Sealed& sealed) {
  const std::string target = blob_key(sealed.digest);
  if (sealed.multipart.empty()) KILN_TRY(assemble(id, sealed));
  if (!sealed.multipart.empty()) {
    const std::string multipart = std::exchange(sealed.multipart, "");
    Status done = client_->complete_multipart(target, multipart, sealed.tags);
    if (done || done.error().code() != Code::kNotFound) return done;
    // A repetition of a call whose answer was lost finds that the upload is over.
    KILN_TRY_ASSIGN(const auto there, blob_size(sealed.digest));
    return there ? Status() : done;
  }
  if (sealed.chunks.size() == 1) return client_->copy(sealed.chunks.front().key, target);
  KILN_TRY_ASSIGN(const std::string bytes, read_chunks(sealed.chunks));
  return client_->put(target, bytes);
}

Status S3Storage::publish_upload(const std::string& id, const BlobDigest& digest) {
  if (!is_upload_id(id)) return fail(Code::kNotFound, "there is no such upload");
  KILN_TRY_ASSIGN(Claim claim, this->claim(id));
  if (!claim.sealed || claim.sealed->digest != digest)
    return fail(Code::kFailedPrecondition, "the upload is not verified as " + digest.to_string());
  KILN_TRY_ASSIGN(const auto known, blob_size(digest));
  Status published = known ? touch_blob(digest) : fail(Code::kNotFound, "not yet");
  for (int round = 0; !published && round < kPublishRounds; ++round) {
    if (published.error().code() != Code::kNotFound) return published;
    KILN_TRY(complete(id, *claim.sealed));
    KILN_TRY(sweeps_.waited_for({blob_key(digest)}));
    KILN_TRY_ASSIGN(const auto there, blob_size(digest));
    if (there) published = {};
  }
  KILN_TRY(published);
  claim.forget();
  const auto pieces = pieces_of(id);
  if (pieces && *pieces) (void)drop_objects(id, (*pieces)->objects);  // a remainder expires
  return {};
}

Status S3Storage::drop_objects(const std::string& id, const std::vector<std::string>& objects) {
  const std::string notes = key("uploads/" + id + "/multipart/");
  return for_each_at_once(objects.size(), kAtOnce, [&](size_t i) -> Status {
    if (objects[i].starts_with(notes)) {
      const Result<std::string> note = client_->get(objects[i], kMaxNoteBytes);
      const size_t end = note ? note->find('\n') : std::string::npos;
      if (end != std::string::npos) {
        Status aborted = client_->abort_multipart(note->substr(0, end), note->substr(end + 1));
        // What a storage cannot end is left to its lifecycle rules.
        if (!aborted && aborted.error().code() == Code::kUnavailable) return aborted;
      }
    }
    return client_->remove(objects[i]);
  });
}

Status S3Storage::drop_upload(const std::string& id) {
  if (!is_upload_id(id)) return {};
  KILN_TRY_ASSIGN(Claim claim, this->claim(id));
  KILN_TRY_ASSIGN(const S3Listing listing, client_->list(key("uploads/" + id + "/")));
  std::vector<std::string> objects;
  for (const S3Object& object : listing.objects) objects.push_back(object.key);
  KILN_TRY(drop_objects(id, objects));
  claim.forget();
  return {};
}

Result<size_t> S3Storage::expire_uploads(TimePoint before) {
  const std::string prefix = key("uploads/");
  KILN_TRY_ASSIGN(const S3Listing listing, client_->list(prefix));
  std::map<std::string, TimePoint> touched;
  for (const S3Object& object : listing.objects) {
    const std::string id =
        object.key.substr(prefix.size(), object.key.find('/', prefix.size()) - prefix.size());
    TimePoint& last = touched[id];
    last = std::max(last, object.modified);
  }
  size_t dropped = 0;
  for (const auto& [id, last] : touched)
    if (last < before && is_upload_id(id) && drop_upload(id)) ++dropped;  // one written to stays
  return dropped;
}

}  // namespace kiln::server
