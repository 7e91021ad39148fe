#include "cache/server/open_storage.h"

#include <algorithm>

#include "base/fs.h"
#include "base/strings.h"
#include "cache/server/directory_storage.h"
#include "cache/server/s3_storage.h"

namespace kiln::server {
namespace {

constexpr std::string_view kBucketScheme = "s3://";
constexpr uint64_t kMaxCaBytes = 4U << 20U;
// A push and a collection may each take minutes, and a touch is left out within ten.
constexpr auto kLeastSharedGrace = std::chrono::hours(1);

bool is_bucket_name(std::string_view name) {
  return name.size() >= 3 && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
         });
}

// Components as a URL would keep them.
bool is_prefix(const std::string& prefix) {
  if (prefix.empty()) return true;
  const std::vector<std::string> parts = split(prefix, '/');
  return prefix.size() <= 256 && std::all_of(parts.begin(), parts.end(), [](const auto& part) {
           return !part.empty() && part != "." && part != ".." && printable(part) == part;
         });
}

Result<S3StorageOptions> bucket_options(const std::string& storage, const StorageFacts& facts) {
  std::string rest = storage.substr(kBucketScheme.size());
  while (rest.ends_with('/')) rest.pop_back();
  S3StorageOptions options;
  options.client.bucket = rest.substr(0, rest.find('/'));
  if (rest.size() > options.client.bucket.size())
    options.prefix = rest.substr(options.client.bucket.size() + 1);
  if (!is_bucket_name(options.client.bucket) || !is_prefix(options.prefix))
    return fail(Code::kInvalidArgument, quote(storage) + " is no bucket like s3://BUCKET/PREFIX");
  options.client.endpoint = facts.endpoint;
  if (!facts.region.empty()) options.client.region = facts.region;
  if (facts.addressing == "path") options.client.addressing = S3Options::Addressing::kPath;
  if (facts.addressing == "host") options.client.addressing = S3Options::Addressing::kHost;
  if (!facts.ca_file.empty()) {
    KILN_TRY_ASSIGN(options.client.ca_pem, read_file(facts.ca_file, kMaxCaBytes));
  }
  options.client.credentials = {facts.access_key_id, facts.secret_access_key, facts.session_token};
  return options;
}

}  // namespace

bool is_bucket(std::string_view storage) {
  return storage.starts_with(kBucketScheme);
}

Result<std::unique_ptr<BlobStorage>> open_storage(const std::string& storage,
                                                  const StorageFacts& facts,
                                                  std::function<void(std::string_view)> log,
                                                  Absent absent) {
  if (!is_bucket(storage)) {
    if (absent == Absent::kRefuse) {
      KILN_TRY_ASSIGN(const bool there, exists(storage + "/kiln-registry"));
      if (!there)
        return tl::unexpected(
            Error(Code::kInvalidArgument, quote(storage) + " is no registry's storage")
                .hint("name the directory that kiln serve was given as --storage"));
    }
    KILN_TRY_ASSIGN(auto directory, DirectoryStorage::open(storage));
    return directory;
  }
  KILN_TRY_ASSIGN(S3StorageOptions options, bucket_options(storage, facts));
  options.log = std::move(log);
  options.absent = absent;
  KILN_TRY_ASSIGN(auto bucket, S3Storage::open(std::move(options)));
  return bucket;
}

Status check_shared_settings(const ServerConfig& config) {
  if (config.collect_grace < kLeastSharedGrace)
    return tl::unexpected(
        Error(Code::kInvalidArgument, "the grace of [collect] is too short for object storage")
            .hint("several servers may write to it: set it to 1h at least"));
  if (config.upload_age < kLeastSharedGrace)
    return tl::unexpected(
        Error(Code::kInvalidArgument, "the upload_age of [collect] is too short for object storage")
            .hint("another server may be writing: set it to 1h at least"));
  return {};
}

}  // namespace kiln::server
