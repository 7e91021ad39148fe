#include "cache/server/registry.h"

#include <algorithm>
#include <functional>

#include "base/clock.h"
#include "base/io.h"
#include "base/strings.h"
#include "cache/server/names.h"

namespace kiln::server {
namespace {

RecordKey holding(const std::string& repository, const BlobDigest& digest) {
  return {repository, RecordKind::kBlob, digest.component()};
}
RecordKey tag_key(const std::string& repository, const std::string& tag) {
  return {repository, RecordKind::kTag, tag};
}
RecordKey manifest_key(const std::string& repository, const BlobDigest& digest) {
  return {repository, RecordKind::kManifest, digest.component()};
}

tl::unexpected<ApiError> unknown_blob(const BlobDigest& digest) {
  return refuse(404, api::kBlobUnknown, "the repository holds no blob " + digest.to_string());
}
tl::unexpected<ApiError> unknown_manifest(const std::string& reference) {
  return refuse(404, api::kManifestUnknown, "the repository has no manifest " + reference);
}
// Of a touch. False: it went meanwhile, by a collection in another server or by a DELETE.
ApiResult<bool> is_still_there(const Status& touched) {
  if (touched) return true;
  if (touched.error().code() == Code::kNotFound) return false;
  return tl::unexpected(ApiError(touched.error()));
}

tl::unexpected<ApiError> unknown_upload() {
  return refuse(404, api::kUploadUnknown, "there is no such upload in this repository");
}

}  // namespace

Registry::Registry(BlobStorage& storage, RegistryOptions options)
    : storage_(storage), options_(std::move(options)), quota_(storage, options_.quotas) {}

std::mutex& Registry::lock_of(const std::string& repository) {
  return repository_locks_[std::hash<std::string>{}(repository) % repository_locks_.size()];
}

std::mutex& Registry::entries_of(const std::string& repository) {
  return entry_locks_[std::hash<std::string>{}(repository) % entry_locks_.size()];
}

ApiResult<uint64_t> Registry::blob_size(const std::string& repository, const BlobDigest& digest,
                                        Keep keep) {
  const Fence::Shared inside(fence_);
  const RecordKey key = holding(repository, digest);
  KILN_TRY_ASSIGN(const auto touched, storage_.record_touched(key));
  if (!touched) return unknown_blob(digest);
  KILN_TRY_ASSIGN(const auto size, storage_.blob_size(digest));
  if (!size) return unknown_blob(digest);
  // A client that is told of the blob will not send it: it stays until the manifest has come.
  if (keep == Keep::kYes && *touched < Clock::system().now() - options_.grace / 2) {
    KILN_TRY_ASSIGN(const bool there, is_still_there(storage_.touch_record(key)));
    if (!there) return unknown_blob(digest);
  }
  return *size;
}

ApiResult<OpenBlob> Registry::open_blob(const std::string& repository, const BlobDigest& digest) {
  KILN_TRY_ASSIGN(const auto held, storage_.record_touched(holding(repository, digest)));
  if (!held) return unknown_blob(digest);
  Result<OpenBlob> blob = storage_.open_blob(digest);
  if (!blob && blob.error().code() == Code::kNotFound) return unknown_blob(digest);
  if (!blob) return tl::unexpected(ApiError(blob.error()));
  return *std::move(blob);
}

// Inside the fence.
ApiStatus Registry::hold_blob(const std::string& repository, const BlobDigest& digest,
                              uint64_t size) {
  const RecordKey key = holding(repository, digest);
  // Of two that push the same blob one counts.
  std::unique_lock counting(lock_of(repository), std::defer_lock);
  if (!options_.quotas.empty()) counting.lock();
  KILN_TRY_ASSIGN(const auto held, storage_.record_touched(key));
  if (!held) KILN_TRY(quota_.add(repository, size));
  if (Status put = storage_.put_record(key, ""); !put) {
    if (!held) quota_.remove(repository, size);
    return tl::unexpected(ApiError(put.error()));
  }
  return {};
}

ApiResult<bool> Registry::mount_blob(const std::string& repository, const std::string& from,
                                     const BlobDigest& digest) {
  const Fence::Shared inside(fence_);
  KILN_TRY_ASSIGN(const auto held, storage_.record_touched(holding(from, digest)));
  KILN_TRY_ASSIGN(const auto size, storage_.blob_size(digest));
  if (!held || !size) return false;
  KILN_TRY_ASSIGN(const bool there, is_still_there(storage_.touch_blob(digest)));
  if (!there) return false;
  KILN_TRY(hold_blob(repository, digest, *size));
  return true;
}

ApiStatus Registry::delete_blob(const std::string& repository, const BlobDigest& digest) {
  const std::lock_guard lock(lock_of(repository));
  const RecordKey key = holding(repository, digest);
  KILN_TRY_ASSIGN(const auto held, storage_.record_touched(key));
  if (!held) return unknown_blob(digest);
  KILN_TRY_ASSIGN(const auto size, storage_.blob_size(digest));
  KILN_TRY(storage_.erase_record(key));
  quota_.remove(repository, size.value_or(0));
  return {};
}

ApiResult<std::string> Registry::start_upload(const std::string& repository) {
  KILN_TRY_ASSIGN(std::string id, storage_.create_upload(repository));
  return id;
}

ApiResult<uint64_t> Registry::upload_size(const std::string& repository, const std::string& id) {
  KILN_TRY_ASSIGN(const auto upload, storage_.upload(id));
  if (!upload || upload->repository != repository) return unknown_upload();
  return upload->size;
}

ApiResult<std::unique_ptr<UploadWriter>> Registry::append(const std::string& repository,
                                                          const std::string& id,
                                                          HashAlgorithm algorithm) {
  KILN_TRY(upload_size(repository, id));
  Result<std::unique_ptr<UploadWriter>> writer = storage_.append(id, algorithm);
  if (!writer && writer.error().code() == Code::kNotFound) return unknown_upload();
  if (!writer) return tl::unexpected(ApiError(writer.error()));
  return *std::move(writer);
}

ApiStatus Registry::check_quota(const std::string& repository, uint64_t bytes,
                                const std::optional<BlobDigest>& digest) {
  if (options_.quotas.empty()) return {};
  if (digest) {
    KILN_TRY_ASSIGN(const auto held, storage_.record_touched(holding(repository, *digest)));
    if (held) return {};
  }
  return quota_.check(repository, bytes);
}

ApiStatus Registry::commit_upload(const std::string& repository, const std::string& id,
                                  const BlobDigest& digest) {
  KILN_TRY(upload_size(repository, id));
  const Result<UploadBytes> sealed = storage_.seal_upload(id, digest);
  if (!sealed && sealed.error().code() == Code::kNotFound) return unknown_upload();
  if (!sealed) return tl::unexpected(ApiError(sealed.error()));
  if (sealed->digest != digest)
    return refuse(400, api::kDigestInvalid,
                  "the bytes received have the digest " + sealed->digest.to_string());
  KILN_TRY(check_quota(repository, sealed->size, digest));
  const Fence::Shared inside(fence_);
  const Status published = storage_.publish_upload(id, digest);
  if (!published && published.error().code() == Code::kNotFound) return unknown_upload();
  if (!published) return tl::unexpected(ApiError(published.error()));
  return hold_blob(repository, digest, sealed->size);
}

ApiStatus Registry::drop_upload(const std::string& repository, const std::string& id) {
  KILN_TRY(upload_size(repository, id));
  KILN_TRY(storage_.drop_upload(id));
  return {};
}

ApiResult<FoundManifest> Registry::find_manifest(const std::string& repository,
                                                 const std::string& reference) {
  std::string text = reference;
  if (is_tag(reference)) {
    KILN_TRY_ASSIGN(const auto tagged, storage_.record(tag_key(repository, reference)));
    if (!tagged) return unknown_manifest(reference);
    text = *tagged;
  }
  const Result<BlobDigest> digest = BlobDigest::parse(text);
  if (!digest) return refuse(400, api::kDigestInvalid, digest.error().message());
  KILN_TRY_ASSIGN(const auto record, storage_.record(manifest_key(repository, *digest)));
  if (!record) return unknown_manifest(reference);
  KILN_TRY_ASSIGN(const Json facts, Json::parse(*record));
  return FoundManifest{*digest, facts["mediaType"].as_string(), facts["size"].as_uint()};
}

ApiResult<OpenBlob> Registry::open_manifest(const FoundManifest& manifest) {
  Result<OpenBlob> blob = storage_.open_blob(manifest.digest);
  if (!blob && blob.error().code() == Code::kNotFound)
    return unknown_manifest(manifest.digest.to_string());
  if (!blob) return tl::unexpected(ApiError(blob.error()));
  return *std::move(blob);
}

ApiResult<std::string> Registry::manifest_text(const FoundManifest& manifest) {
  KILN_TRY_ASSIGN(OpenBlob blob, open_manifest(manifest));
  const auto source = source_of(std::move(blob), manifest.digest.to_string());
  KILN_TRY_ASSIGN(std::string text, read_all(*source, kMaxManifestBytes, "manifest"));
  return text;
}

// Inside the fence. Touching what is referred to keeps a collection from dropping it that looked
// for references before this manifest was there.
ApiStatus Registry::check_contents(const std::string& repository,
                                   const ManifestDocument& document) {
  for (const ManifestDocument::Content& content : document.contents) {
    const RecordKey key = content.manifest ? manifest_key(repository, content.digest)
                                           : holding(repository, content.digest);
    KILN_TRY_ASSIGN(const auto size, storage_.blob_size(content.digest));
    KILN_TRY_ASSIGN(const auto held, storage_.record_touched(key));
    bool there = size && held;
    if (there && *size != content.size)
      return refuse(400, api::kManifestInvalid,
                    content.digest.to_string() + " has " + std::to_string(*size) + " bytes, not " +
                        std::to_string(content.size));
    if (there) {
      KILN_TRY_ASSIGN(there, is_still_there(storage_.touch_record(key)));
    }
    if (!there && !content.elsewhere)
      return refuse(404, api::kManifestBlobUnknown,
                    "the manifest refers to " + content.digest.to_string() +
                        ", which the repository does not hold");
  }
  return {};
}

// Inside the fence.
ApiStatus Registry::await_contents(const std::string& repository,
                                   const ManifestDocument& document) {
  for (const ManifestDocument::Content& content : document.contents) {
    const RecordKey key{repository, RecordKind::kAwaited, content.digest.component()};
    KILN_TRY(storage_.put_record(key, std::to_string(content.size)));
    const RecordKey held = holding(repository, content.digest);
    KILN_TRY_ASSIGN(const auto touched, storage_.record_touched(held));
    if (touched) KILN_TRY(is_still_there(storage_.touch_record(held)));
  }
  return {};
}

ApiResult<std::optional<TimePoint>> Registry::tag_touched(const std::string& repository,
                                                          const std::string& tag) {
  KILN_TRY_ASSIGN(const auto touched, storage_.record_touched(tag_key(repository, tag)));
  return touched;
}

ApiResult<std::optional<uint64_t>> Registry::awaited_size(const std::string& repository,
                                                          const BlobDigest& digest) {
  KILN_TRY_ASSIGN(const auto text,
                  storage_.record({repository, RecordKind::kAwaited, digest.component()}));
  if (!text) return std::optional<uint64_t>();
  KILN_TRY_ASSIGN(const int64_t size, parse_int(*text));
  return std::optional<uint64_t>(static_cast<uint64_t>(size));
}

ApiResult<std::optional<TimePoint>> Registry::manifest_touched(const std::string& repository,
                                                               const BlobDigest& digest) {
  KILN_TRY_ASSIGN(const auto touched, storage_.record_touched(manifest_key(repository, digest)));
  return touched;
}

ApiStatus Registry::keep_manifest(const std::string& repository, const BlobDigest& digest,
                                  TimePoint before) {
  const std::lock_guard lock(lock_of(repository));
  const RecordKey key = manifest_key(repository, digest);
  KILN_TRY_ASSIGN(const auto touched, storage_.record_touched(key));
  if (touched && *touched < before) KILN_TRY(is_still_there(storage_.touch_record(key)));
  return {};
}

ApiStatus Registry::delete_manifests_before(const std::string& repository, TimePoint before) {
  KILN_TRY_ASSIGN(const auto names, storage_.record_names(repository, RecordKind::kManifest, ""));
  for (const std::string& name : names) {
    KILN_TRY_ASSIGN(const auto touched,
                    storage_.record_touched({repository, RecordKind::kManifest, name}));
    const Result<BlobDigest> digest = BlobDigest::from_component(name);
    if (!touched || *touched >= before || !digest) continue;
    ApiStatus deleted = delete_manifest(repository, *digest);
    if (!deleted && deleted.error().status != 404) return deleted;  // 404: somebody else did
  }
  return {};
}

ApiResult<BlobDigest> Registry::digest_for(const std::string& reference,
                                           std::string_view text) const {
  if (is_tag(reference)) return BlobDigest::of(HashAlgorithm::kSha256, text);
  const Result<BlobDigest> wanted = BlobDigest::parse(reference);
  if (!wanted) return refuse(400, api::kDigestInvalid, wanted.error().message());
  BlobDigest found = BlobDigest::of(wanted->algorithm(), text);
  if (found != *wanted)
    return refuse(400, api::kDigestInvalid, "the manifest has the digest " + found.to_string());
  return found;
}

ApiResult<StoredManifest> Registry::put_manifest(const std::string& repository,
                                                 const std::string& reference,
                                                 std::string_view text,
                                                 std::string_view content_type, Contents contents) {
  KILN_TRY_ASSIGN(ManifestDocument document, parse_manifest_document(text, content_type));
  KILN_TRY_ASSIGN(const BlobDigest digest, digest_for(reference, text));
  const FoundManifest manifest{digest, document.media_type, text.size()};
  const Fence::Shared inside(fence_);
  const std::lock_guard lock(lock_of(repository));
  KILN_TRY(contents == Contents::kMustBeHere ? check_contents(repository, document)
                                             : await_contents(repository, document));
  const RecordKey key = manifest_key(repository, digest);
  KILN_TRY_ASSIGN(const auto known, storage_.record_touched(key));
  if (!known) KILN_TRY(quota_.add(repository, text.size()));
  Status stored = storage_.put_blob(digest, text);
  if (stored) stored = storage_.put_record(key, manifest_record(document, manifest.size));
  if (!stored) {
    if (!known) quota_.remove(repository, text.size());
    return tl::unexpected(ApiError(stored.error()));
  }
  KILN_TRY(record_referrer(repository, manifest, document));
  if (is_tag(reference))
    KILN_TRY(storage_.put_record(tag_key(repository, reference), digest.to_string()));
  return StoredManifest{digest, document.subject, std::move(document.warnings)};
}

ApiStatus Registry::delete_tag(const std::string& repository, const std::string& tag) {
  const std::lock_guard lock(lock_of(repository));
  KILN_TRY_ASSIGN(const auto there, storage_.record_touched(tag_key(repository, tag)));
  if (!there) return unknown_manifest(tag);
  KILN_TRY(storage_.erase_record(tag_key(repository, tag)));
  return {};
}

ApiStatus Registry::delete_manifest(const std::string& repository, const BlobDigest& digest) {
  {
    const std::lock_guard lock(lock_of(repository));
    KILN_TRY_ASSIGN(const auto record, storage_.record(manifest_key(repository, digest)));
    if (!record) return unknown_manifest(digest.to_string());
  }
  return delete_manifests(repository, {digest.to_string()});
}

// Tags first: none ever leads nowhere.
ApiStatus Registry::delete_manifests(const std::string& repository,
                                     const std::unordered_set<std::string>& digests) {
  if (digests.empty()) return {};
  const std::lock_guard lock(lock_of(repository));
  KILN_TRY_ASSIGN(const auto names, storage_.record_names(repository, RecordKind::kTag, ""));
  for (const std::string& tag : names) {
    KILN_TRY_ASSIGN(const auto tagged, storage_.record(tag_key(repository, tag)));
    if (tagged && digests.contains(*tagged))
      KILN_TRY(storage_.erase_record(tag_key(repository, tag)));
  }
  for (const std::string& text : digests) {
    KILN_TRY_ASSIGN(const BlobDigest digest, BlobDigest::parse(text));
    KILN_TRY_ASSIGN(const auto record, storage_.record(manifest_key(repository, digest)));
    if (record) KILN_TRY(drop_manifest(repository, digest, *record));
  }
  return {};
}

ApiStatus Registry::drop_manifest(const std::string& repository, const BlobDigest& digest,
                                  const std::string& record) {
  KILN_TRY_ASSIGN(const Json facts, Json::parse(record));
  if (const auto subject = BlobDigest::parse(facts["subject"].as_string()))
    KILN_TRY(storage_.erase_record(
        {repository, RecordKind::kReferrer, digest.component(), subject->component()}));
  KILN_TRY(storage_.erase_record(manifest_key(repository, digest)));
  quota_.remove(repository, facts["size"].as_uint());
  return {};
}

ApiResult<std::vector<std::string>> Registry::tags(const std::string& repository) {
  KILN_TRY_ASSIGN(const bool there, storage_.has_repository(repository));
  if (!there)
    return refuse(404, api::kNameUnknown, "there is no repository \"" + repository + "\"");
  KILN_TRY_ASSIGN(auto names, storage_.record_names(repository, RecordKind::kTag, ""));
  return names;
}

ApiResult<std::vector<std::string>> Registry::repositories() {
  KILN_TRY_ASSIGN(auto names, storage_.repositories());
  return names;
}

}  // namespace kiln::server
