#include "cache/server/s3_storage.h"

#include <algorithm>
#include <unordered_map>

#include "base/clock.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/strings.h"
#include "cache/server/names.h"
#include "cache/server/record_path.h"

namespace kiln::server {
namespace {

constexpr std::string_view kBucketMarker = "kiln-registry";
constexpr int64_t kBucketFormat = 1;
constexpr uint64_t kMaxMarkerObjectBytes = 1U << 20U;
constexpr size_t kCopiesAtOnce = 4;
constexpr auto kMaxClockSkew = std::chrono::minutes(5);
// Each time, a collection in another server took away what had just been made.
constexpr int kMaxRounds = 5;

// What is signed at another time is refused, from 15 minutes on by Amazon's.
Status check_clock(TimePoint theirs) {
  const TimePoint ours = Clock::system().now();
  const auto apart = ours > theirs ? ours - theirs : theirs - ours;
  if (apart <= kMaxClockSkew) return {};
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(apart).count();
  return tl::unexpected(
      Error(Code::kFailedPrecondition, "this machine's clock is " + std::to_string(minutes) +
                                           " minutes " + (ours > theirs ? "ahead of" : "behind") +
                                           " the object storage's")
          .hint("set this machine's clock (NTP), or the storage's: 5 minutes may be between them"));
}

tl::unexpected<Error> gone(const std::string& what) {
  return fail(Code::kNotFound, what + " is not in the object storage");
}
tl::unexpected<Error> no_registry(const std::string& where) {
  return tl::unexpected(Error(Code::kInvalidArgument, where + " is no registry's storage")
                            .hint("name the bucket and prefix that kiln serve was given"));
}
tl::unexpected<Error> taken_away(const std::string& what) {
  return fail(Code::kUnavailable, what + " was collected again and again");
}

}  // namespace

S3Storage::S3Storage(S3StorageOptions options, std::unique_ptr<S3Client> client)
    : options_(std::move(options)),
      client_(std::move(client)),
      sweeps_(*client_, options_.prefix, options_.sweeps),
      reading_(std::make_shared<S3Reading>(*client_, options_.log)) {}

Result<std::unique_ptr<S3Storage>> S3Storage::open(S3StorageOptions options) {
  if (!options.prefix.empty() && !options.prefix.ends_with('/')) options.prefix += '/';
  KILN_TRY_ASSIGN(auto client, S3Client::create(options.client));
  std::unique_ptr<S3Storage> storage(new S3Storage(std::move(options), std::move(client)));
  KILN_TRY(storage->check_marker());
  return storage;
}

// The first object of a registry is its marker, so who finds others and no marker is elsewhere.
Status S3Storage::check_marker() {
  const std::string marker = key(std::string(kBucketMarker));
  KILN_TRY_ASSIGN(const S3Listing found, client_->list_first(options_.prefix, 1));
  const Result<std::string> text = client_->get(marker, kMaxMarkerObjectBytes);
  if (!text && text.error().code() != Code::kNotFound) return tl::unexpected(text.error());
  const std::string where = quote("s3://" + options_.client.bucket + "/" + options_.prefix);
  KILN_TRY(check_clock(found.now));
  if (!text) {
    if (options_.absent == Absent::kRefuse) return no_registry(where);
    if (!found.objects.empty())
      return tl::unexpected(
          Error(Code::kFailedPrecondition, where + " holds something else")
              .hint("name an empty bucket, or a prefix in it: s3://BUCKET/PREFIX"));
    return client_->put(marker, "{\"format\":" + std::to_string(kBucketFormat) + "}\n");
  }
  const Result<Json> json = Json::parse(*text);
  const int64_t format = json ? (*json)["format"].as_int() : 0;
  if (format < 1) return fail(Code::kDataLoss, where + " has a damaged " + quote(kBucketMarker));
  if (format > kBucketFormat)
    return fail(Code::kFailedPrecondition, where + " is of format " + std::to_string(format) +
                                               ", this kiln knows formats up to " +
                                               std::to_string(kBucketFormat));
  return {};
}

std::string S3Storage::blob_key(const BlobDigest& digest) const {
  return key("blobs/" + std::string(server::to_string(digest.algorithm())) + "/" + digest.hex());
}

std::string S3Storage::marker_key(const BlobDigest& digest) const {
  return key("touched/" + digest.component());
}

Result<std::optional<uint64_t>> S3Storage::blob_size(const BlobDigest& digest) {
  KILN_TRY_ASSIGN(const auto head, client_->head(blob_key(digest)));
  return head ? std::optional(head->size) : std::nullopt;
}

Result<OpenBlob> S3Storage::open_blob(const BlobDigest& digest) {
  KILN_TRY_ASSIGN(const auto size, blob_size(digest));
  if (!size) return gone(digest.to_string());
  return OpenBlob{s3_bytes(reading_, blob_key(digest)), *size};
}

Status S3Storage::put_blob(const BlobDigest& digest, std::string_view data) {
  return publish_record(blob_key(digest), data, {blob_key(digest)});
}

// The order matters (s3_sweeps.h): write, look at the lists, look at the object.
Status S3Storage::publish_record(const std::string& record, std::string_view text,
                                 const std::vector<std::string>& keys) {
  for (int round = 0; round < kMaxRounds; ++round) {
    KILN_TRY(client_->put(record, text));
    KILN_TRY(sweeps_.waited_for(keys));
    KILN_TRY_ASSIGN(const auto there, client_->head(record));
    if (there) return {};
  }
  return taken_away(quote(record));
}

// Of what a push may be making again in the moment after.
Status S3Storage::take_away(const std::string& key) {
  KILN_TRY_ASSIGN(const S3Client::Removal removal, client_->remove_traced(key));
  if (removal == S3Client::Removal::kRepeated) sweeps_.removed_with_repetitions(key);
  return {};
}

Status S3Storage::remove_blob(const BlobDigest& digest) {
  KILN_TRY(take_away(blob_key(digest)));
  return client_->remove(marker_key(digest));
}

Status S3Storage::touch_blob(const BlobDigest& digest) {
  KILN_TRY(client_->put(marker_key(digest), ""));
  KILN_TRY(sweeps_.waited_for({blob_key(digest)}));
  KILN_TRY_ASSIGN(const auto there, client_->head(blob_key(digest)));
  if (there) return {};
  KILN_TRY(client_->remove(marker_key(digest)));
  return gone(digest.to_string());
}

Result<std::optional<TimePoint>> S3Storage::blob_touched(const BlobDigest& digest) {
  KILN_TRY_ASSIGN(const auto blob, client_->head(blob_key(digest)));
  if (!blob) return std::nullopt;
  KILN_TRY_ASSIGN(const auto marker, client_->head(marker_key(digest)));
  return std::optional(marker ? std::max(blob->modified, marker->modified) : blob->modified);
}

Status S3Storage::each_blob(const std::function<Status(const BlobEntry&)>& visit) {
  std::unordered_map<std::string, TimePoint> touched;
  const std::string markers = key("touched/"), blobs = key("blobs/");
  KILN_TRY_ASSIGN(const S3Listing marked, client_->list(markers));
  for (const S3Object& marker : marked.objects)
    touched.emplace(marker.key.substr(markers.size()), marker.modified);
  KILN_TRY_ASSIGN(const S3Listing listing, client_->list(blobs));
  for (const S3Object& object : listing.objects) {
    std::string name = object.key.substr(blobs.size());
    std::replace(name.begin(), name.end(), '/', ':');
    const Result<BlobDigest> digest = BlobDigest::parse(name);
    if (!digest) continue;  // not ours
    const auto marker = touched.find(digest->component());
    const TimePoint time =
        marker == touched.end() ? object.modified : std::max(object.modified, marker->second);
    KILN_TRY(visit({*digest, object.size, time}));
  }
  return {};
}

Result<std::unique_ptr<Collection>> S3Storage::begin_collection(TimePoint) {
  return sweeps_.begin();
}

Status S3Storage::probe() {
  return client_->probe(key(std::string(kBucketMarker)));
}

// One request copies so much at most; parts of what is larger can be copied at once.
Status S3Storage::copy_object(const std::string& from, const std::string& to, uint64_t size) {
  if (size <= options_.most_copied_bytes) return client_->copy(from, to);
  KILN_TRY_ASSIGN(const std::string multipart, client_->create_multipart(to));
  const uint64_t part = std::max<uint64_t>(options_.copied_part_bytes,
                                           (size + options_.max_parts - 1) / options_.max_parts);
  std::vector<std::string> tags((size + part - 1) / part);
  Status copied = for_each_at_once(tags.size(), kCopiesAtOnce, [&](size_t i) -> Status {
    const uint64_t offset = i * part;
    KILN_TRY_ASSIGN(tags[i], client_->copy_part(to, multipart, i + 1, from, offset,
                                                std::min(part, size - offset)));
    return {};
  });
  if (copied) copied = client_->complete_multipart(to, multipart, tags);
  if (copied) return {};
  (void)client_->abort_multipart(to, multipart);  // what is left the bucket's lifecycle rule ends
  if (copied.error().code() != Code::kNotFound) return copied;
  // A repetition of a call whose answer was lost finds that the upload is over.
  KILN_TRY_ASSIGN(const auto there, client_->head(to));
  return there && there->size == size ? Status() : copied;
}

// What cannot be copied stays: nobody else may have it.
Status S3Storage::quarantine_blob(const BlobDigest& digest) {
  KILN_TRY_ASSIGN(const auto size, blob_size(digest));
  if (size) KILN_TRY(copy_object(blob_key(digest), key("quarantine/" + digest.component()), *size));
  return remove_blob(digest);
}

// --- Records: a small object each.

Status S3Storage::put_record(const RecordKey& record, std::string_view text) {
  KILN_TRY_ASSIGN(const std::string path, record_path(record));
  const bool collected = record.kind == RecordKind::kBlob || record.kind == RecordKind::kAwaited;
  if (!collected) return client_->put(key(path), text);
  return publish_record(key(path), text, {key(path)});
}

Result<std::optional<std::string>> S3Storage::record(const RecordKey& record) {
  KILN_TRY_ASSIGN(const std::string path, record_path(record));
  Result<std::string> text = client_->get(key(path), kMaxRecordBytes);
  if (text) return std::optional<std::string>(*std::move(text));
  if (text.error().code() == Code::kNotFound) return std::nullopt;
  return tl::unexpected(text.error());
}

Status S3Storage::erase_record(const RecordKey& record) {
  KILN_TRY_ASSIGN(const std::string path, record_path(record));
  return take_away(key(path));
}

// A copy onto itself, which fails if it went: a touch makes nothing that was taken away. What keeps
// a blob is touched with it, and looked at after the lists.
Status S3Storage::touch_record(const RecordKey& record) {
  KILN_TRY_ASSIGN(const std::string path, record_path(record));
  KILN_TRY_ASSIGN(const auto seen, client_->head(key(path)));
  if (!seen) return gone(quote(path));
  const bool is_young = seen->modified + options_.young > seen->now;
  std::vector<std::string> keys = {key(path)};
  if (record.kind == RecordKind::kBlob) {
    KILN_TRY_ASSIGN(const BlobDigest digest, BlobDigest::from_component(record.name));
    keys.push_back(blob_key(digest));
    if (!is_young) KILN_TRY(client_->put(marker_key(digest), ""));
  }
  if (!is_young) KILN_TRY(client_->copy(key(path), key(path)));
  if (record.kind != RecordKind::kBlob && record.kind != RecordKind::kAwaited) return {};
  KILN_TRY(sweeps_.waited_for(keys));
  for (const std::string& each : keys) {
    KILN_TRY_ASSIGN(const auto there, client_->head(each));
    if (!there) return gone(quote(each));
  }
  return {};
}

Result<std::optional<TimePoint>> S3Storage::record_touched(const RecordKey& record) {
  KILN_TRY_ASSIGN(const std::string path, record_path(record));
  KILN_TRY_ASSIGN(const auto head, client_->head(key(path)));
  return head ? std::optional(head->modified) : std::nullopt;
}

// What is directly below "folder/": objects, or folders of objects.
Result<std::vector<std::string>> S3Storage::names_below(const std::string& folder, bool folders) {
  const std::string prefix = key(folder + "/");
  KILN_TRY_ASSIGN(const S3Listing listing, client_->list(prefix, "/"));
  std::vector<std::string> names;
  if (folders) {
    for (const std::string& name : listing.prefixes)
      names.push_back(name.substr(prefix.size(), name.size() - prefix.size() - 1));
  } else {
    for (const S3Object& object : listing.objects)
      names.push_back(object.key.substr(prefix.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::vector<std::string>> S3Storage::record_names(const std::string& repository,
                                                         RecordKind kind,
                                                         const std::string& group) {
  KILN_TRY_ASSIGN(const std::string folder, record_folder(repository, kind, group));
  return names_below(folder, false);
}

Result<std::vector<std::string>> S3Storage::referrer_groups(const std::string& repository) {
  KILN_TRY_ASSIGN(const std::string folder, repository_folder(repository));
  return names_below(folder + "/referrers", true);
}

Result<std::vector<std::string>> S3Storage::repositories() {
  KILN_TRY_ASSIGN(std::vector<std::string> names, names_below("repositories", true));
  for (std::string& name : names) name = repository_of_component(name);
  std::erase_if(names, [](const std::string& name) { return !is_repository_name(name); });
  std::sort(names.begin(), names.end());
  return names;
}

Result<bool> S3Storage::has_repository(const std::string& repository) {
  KILN_TRY_ASSIGN(const std::string folder, repository_folder(repository));
  KILN_TRY_ASSIGN(const S3Listing found, client_->list_first(key(folder + "/"), 1));
  return !found.objects.empty();
}

}  // namespace kiln::server
