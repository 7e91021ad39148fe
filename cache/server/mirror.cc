#include "cache/server/mirror.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/strings.h"
#include "cache/server/names.h"
#include "oci/base64.h"

namespace kiln::server {
namespace {

constexpr uint64_t kMaxPasswordBytes = 4096;
constexpr size_t kMaxOpenRepositories = 256;
constexpr auto kTouchAfter = std::chrono::hours(1);

// Credentials as Docker's file has them, which is what the client reads.
Result<oci::CredentialStore> read_credentials(const std::vector<Upstream>& upstreams) {
  Json auths = Json::object();
  for (const Upstream& upstream : upstreams) {
    if (upstream.username.empty()) continue;
    KILN_TRY_ASSIGN(const std::string text, read_file(upstream.password_file, kMaxPasswordBytes));
    const std::string pair = upstream.username + ":" + std::string(trim(text));
    auths.set(oci::credential_key(upstream.remote),
              Json::object({{"auth", oci::encode_base64(pair)}}));
  }
  return oci::CredentialStore::parse(Json::object({{"auths", std::move(auths)}}).dump());
}

/// Bytes of a download into an upload of ours.
class UploadSink : public Sink {
 public:
  explicit UploadSink(UploadWriter& writer) : writer_(writer) {}
  Status write(std::span<const std::byte> data) override { return writer_.write(data); }

 private:
  UploadWriter& writer_;
};

}  // namespace

/// One fetch that several may wait for.
struct Mirror::Flight {
  std::mutex mutex;
  std::condition_variable over;
  std::optional<ApiStatus> result;
};

/// A place among the calls that may wait at once.
class Mirror::Waiting {
 public:
  explicit Waiting(Mirror& mirror)
      : fits(++mirror.waiting_ <= mirror.max_waiting_), mirror_(mirror) {}
  ~Waiting() { --mirror_.waiting_; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  static tl::unexpected<ApiError> refusal() {
    return refuse(429, api::kTooManyRequests, "too much is being fetched: ask again in a while");
  }
  const bool fits;

 private:
  Mirror& mirror_;
};

Mirror::Mirror(std::vector<Upstream> upstreams, Registry& registry, size_t max_waiting,
               std::function<void(std::string_view)> log)
    : upstreams_(std::move(upstreams)),
      registry_(registry),
      max_waiting_(max_waiting),
      log_(std::move(log)),
      http_(HttpClient::create(std::string("kiln/") + KILN_VERSION)) {}

Result<std::unique_ptr<Mirror>> Mirror::create(std::vector<Upstream> upstreams, Registry& registry,
                                               size_t max_waiting,
                                               std::function<void(std::string_view)> log) {
  KILN_TRY_ASSIGN(oci::CredentialStore credentials, read_credentials(upstreams));
  std::unique_ptr<Mirror> mirror(
      new Mirror(std::move(upstreams), registry, max_waiting, std::move(log)));
  mirror->credentials_ = std::move(credentials);
  for (const Upstream& upstream : mirror->upstreams_)
    KILN_TRY(oci::Reference::parse(upstream.remote + "/name"));
  return mirror;
}

const Upstream* Mirror::upstream_of(const std::string& repository) const {
  const Upstream* best = nullptr;
  for (const Upstream& upstream : upstreams_) {
    const bool covered = upstream.prefix.empty() || repository.starts_with(upstream.prefix + "/");
    if (covered && (best == nullptr || upstream.prefix.size() > best->prefix.size()))
      best = &upstream;
  }
  return best;
}

Result<oci::Reference> Mirror::place_of(const std::string& repository,
                                        const std::string& reference) const {
  const Upstream& upstream = *upstream_of(repository);
  std::string name = repository;
  if (!upstream.prefix.empty()) name = name.substr(upstream.prefix.size() + 1);
  return oci::Reference::parse(upstream.remote + "/" + name + (is_tag(reference) ? ":" : "@") +
                               reference);
}

Result<std::shared_ptr<oci::Repository>> Mirror::open(const std::string& repository) {
  {
    auto open = repositories_.lock();
    if (const auto found = open->find(repository); found != open->end()) return found->second;
  }
  KILN_TRY_ASSIGN(const oci::Reference place, place_of(repository, "latest"));
  // Clients of ours wait meanwhile, and ask again themselves.
  oci::RegistryAccess access{http_.get(), &credentials_};
  access.first_pause = std::chrono::milliseconds(100);
  access.repetitions = 1;
  KILN_TRY_ASSIGN(std::shared_ptr<oci::Repository> opened,
                  oci::Repository::open(access, place, stop_.get_token()));
  auto open = repositories_.lock();
  if (open->size() >= kMaxOpenRepositories) open->clear();  // those in use live on
  return (*open)[repository] = std::move(opened);
}

// Whoever comes second waits for the first, and has its result.
ApiStatus Mirror::once(const std::string& key, const std::function<ApiStatus()>& fetch) {
  const Waiting waiting(*this);
  if (!waiting.fits) return Waiting::refusal();
  bool mine = false;
  std::shared_ptr<Flight> flight;
  {
    auto flights = flights_.lock();
    std::shared_ptr<Flight>& slot = (*flights)[key];
    mine = slot == nullptr;
    if (mine) slot = std::make_shared<Flight>();
    flight = slot;
  }
  if (mine) {
    ApiStatus result = fetch();
    flights_.lock()->erase(key);
    const std::lock_guard lock(flight->mutex);
    flight->result = std::move(result);
    flight->over.notify_all();
  }
  std::unique_lock lock(flight->mutex);
  flight->over.wait(lock, [&] { return flight->result.has_value(); });
  return *flight->result;
}

ApiError Mirror::refused(const Error& error, const std::string& repository) {
  ApiError answer(502, api::kUnknown,
                  "the registry that " + quote(repository) + " mirrors gave no answer");
  answer.log = error.message();
  return answer;
}

ApiStatus Mirror::fetch_manifest(const std::string& repository, const std::string& reference) {
  const Upstream& upstream = *upstream_of(repository);
  const auto found = registry_.find_manifest(repository, reference);
  if (!found && found.error().status != 404) return tl::unexpected(found.error());
  if (found) {
    const TimePoint now = Clock::system().now();
    KILN_TRY(registry_.keep_manifest(repository, found->digest, now - kTouchAfter));
    if (!is_tag(reference)) return {};
    KILN_TRY_ASSIGN(const auto asked, registry_.tag_touched(repository, reference));
    if (asked && *asked > now - upstream.refresh) return {};
  }
  return once(repository + " " + reference,
              [&] { return download_manifest(repository, reference, found.has_value()); });
}

ApiStatus Mirror::download_manifest(const std::string& repository, const std::string& reference,
                                    bool have_old) {
  const Result<oci::Reference> place = place_of(repository, reference);
  if (!place) return refuse(404, api::kManifestUnknown, place.error().message());
  const auto upstream = open(repository);
  const auto document = upstream ? (*upstream)->manifest(*place, stop_.get_token())
                                 : tl::unexpected(upstream.error());
  if (!document) {
    const Code code = document.error().code();
    // The last that was there is better than nothing, unless the other registry says that it is
    // not.
    const bool gone = code == Code::kNotFound || code == Code::kPermissionDenied ||
                      code == Code::kUnauthenticated;
    if (have_old && !gone) {
      if (log_) log_("mirror: " + document.error().message());
      return {};
    }
    if (gone && have_old && is_tag(reference))
      KILN_TRY(registry_.delete_tag(repository, reference));
    if (gone) return refuse(404, api::kManifestUnknown, "there is no manifest " + reference);
    return tl::unexpected(refused(document.error(), repository));
  }
  KILN_TRY(registry_.put_manifest(repository, reference, document->text,
                                  document->descriptor.media_type, Registry::Contents::kComeLater));
  return {};
}

ApiStatus Mirror::fetch_blob(const std::string& repository, const BlobDigest& digest) {
  if (registry_.blob_size(repository, digest, Registry::Keep::kNo)) return {};
  KILN_TRY_ASSIGN(const auto size, registry_.awaited_size(repository, digest));
  if (!size) return {};  // no manifest of it told of this blob
  return once(repository + " " + digest.to_string(),
              [&] { return download_blob(repository, digest, *size); });
}

ApiStatus Mirror::download_blob(const std::string& repository, const BlobDigest& digest,
                                uint64_t size) {
  const Result<Digest> sha256 = Digest::parse(digest.to_string());
  if (!sha256) return {};  // the client knows no other
  const auto upstream = open(repository);
  if (!upstream) return tl::unexpected(refused(upstream.error(), repository));
  KILN_TRY_ASSIGN(const std::string id, registry_.start_upload(repository));
  Status fetched;
  {
    KILN_TRY_ASSIGN(const auto writer, registry_.append(repository, id, digest.algorithm()));
    UploadSink sink(*writer);
    fetched = (*upstream)->blob({"", *sha256, size, {}, {}}, sink, {}, stop_.get_token());
  }
  if (!fetched) {
    (void)registry_.drop_upload(repository, id);  // or it expires
    if (fetched.error().code() == Code::kNotFound) return {};
    return tl::unexpected(refused(fetched.error(), repository));
  }
  return registry_.commit_upload(repository, id, digest);
}

ApiResult<std::vector<std::string>> Mirror::tags(const std::string& repository) {
  const Waiting waiting(*this);
  if (!waiting.fits) return Waiting::refusal();
  const auto upstream = open(repository);
  const auto tags =
      upstream ? (*upstream)->tags(stop_.get_token()) : tl::unexpected(upstream.error());
  if (tags) return *tags;
  if (log_) log_("mirror: " + tags.error().message());
  return registry_.tags(repository);
}

Status Mirror::expire(TimePoint now) {
  const auto repositories = registry_.repositories();
  if (!repositories) return fail(Code::kInternal, repositories.error().log);
  for (const std::string& repository : *repositories) {
    const Upstream* upstream = upstream_of(repository);
    if (upstream == nullptr) continue;
    const ApiStatus done = registry_.delete_manifests_before(repository, now - upstream->keep);
    if (!done) return fail(Code::kInternal, done.error().message + " " + done.error().log);
  }
  return {};
}

}  // namespace kiln::server
