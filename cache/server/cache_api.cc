#include "cache/server/cache_api.h"

#include <algorithm>

#include "base/clock.h"
#include "base/strings.h"
#include "cache/cache_protocol.h"
#include "cache/entry.h"
#include "cache/entry_manifest.h"
#include "cache/server/entry_guard.h"
#include "cache/server/eviction.h"
#include "cache/server/names.h"
#include "oci/base64.h"

namespace kiln::server {
namespace {

namespace protocol = cache::protocol;

constexpr size_t kMaxBodiesBytes = 32U << 20U;  // of all requests on the way, together
constexpr std::string_view kBadRequest = "CACHE_REQUEST_INVALID";

tl::unexpected<ApiError> bad(const std::string& why) {
  return refuse(400, kBadRequest, why);
}

ApiResult<CacheKey> key_of(const Json& text) {
  const Result<Digest> digest = Digest::parse("sha256:" + text.as_string());
  if (!digest) return bad("\"" + printable(text.as_string()) + "\" is no key");
  return CacheKey{*digest};
}

ApiResult<cache::Publication> publication_of(const Json& json) {
  KILN_TRY_ASSIGN(const CacheKey key, key_of(json[protocol::kKey]));
  const auto entry = oci::decode_base64(json[protocol::kEntry].as_string());
  if (!entry || !cache::decode_entry(key, *entry))
    return bad("the entry of " + key.digest.hex() + " is not one of this key");
  cache::Publication publication{key, *entry, {}};
  for (const Json& blob : json[protocol::kBlobs].elements()) {
    const auto descriptor = oci::descriptor_from_json(blob);
    if (!descriptor) return bad("a blob of " + key.digest.hex() + " is no descriptor");
    publication.blobs.push_back(*descriptor);
  }
  return publication;
}

}  // namespace

/// Collects a request of somebody who may make it, and answers it.
class CacheApi::Receiver : public BodyReceiver {
 public:
  Receiver(CacheApi& api, std::string what, Place place, const Principal& who)
      : api_(api), what_(std::move(what)), place_(std::move(place)), who_(who) {}
  ~Receiver() override { api_.bodies_bytes_ -= text_.size(); }

  std::optional<Response> write(std::span<const std::byte> data) override {
    if (text_.size() + data.size() > protocol::kMaxBodyBytes)
      return error_response(ApiError(413, kBadRequest, "the request is larger than 4 MiB"));
    // Many at once, each slowly, would otherwise fill the memory.
    if (api_.bodies_bytes_ += data.size(); api_.bodies_bytes_ > kMaxBodiesBytes) {
      api_.bodies_bytes_ -= data.size();
      return error_response(ApiError(429, api::kTooManyRequests, "too many requests at once"));
    }
    text_ += as_text(data);
    return std::nullopt;
  }
  Response finish() override {
    const Result<Json> request = Json::parse(text_, {protocol::kMaxBodyBytes, 8});
    if (!request) return error_response(ApiError(400, kBadRequest, request.error().message()));
    const ApiResult<Json> answer =
        what_ == "lookup" ? api_.lookup(place_, *request) : api_.publish(place_, *request, who_);
    return answer ? json_response(*answer) : error_response(answer.error());
  }

 private:
  CacheApi& api_;
  const std::string what_;
  const Place place_;
  const Principal who_;
  std::string text_;
};

Started CacheApi::start(const Request& request, const Principal& who) {
  const std::string what =
      request.path.substr(std::min(protocol::kRoot.size() + 1, request.path.size()));
  if (what != "lookup" && what != "publish")
    return error_response(ApiError(404, kBadRequest, "there is no " + printable(request.path)));
  if (request.method != "POST")
    return error_response(ApiError(405, api::kUnsupported, "it is asked by POST"));
  const ApiResult<Place> place = place_of(request);
  if (!place) return error_response(place.error());
  if (const ApiStatus allowed = authorize(what, *place, who); !allowed)
    return error_response(allowed.error());
  return std::make_unique<Receiver>(*this, what, *place, who);
}

ApiResult<CacheApi::Place> CacheApi::place_of(const Request& request) {
  Place place{request.parameter(protocol::kRepository).value_or(""),
              request.parameter(protocol::kTag).value_or("")};
  if (!is_repository_name(place.repository))
    return refuse(400, api::kNameInvalid, quote(place.repository) + " is no repository's name");
  if (!is_tag(place.tag) || place.tag.size() > cache::kMaxCacheTag)
    return bad(quote(place.tag) + " is no tag of at most " + std::to_string(cache::kMaxCacheTag) +
               " characters");
  return place;
}

ApiStatus CacheApi::authorize(const std::string& what, const Place& place,
                              const Principal& who) const {
  const Action action = what == "lookup" ? Action::kPull : Action::kPush;
  if (who.may(action, place.repository)) {
    if (action == Action::kPull || mirror_ == nullptr || !mirror_->covers(place.repository))
      return {};
    return refuse(405, api::kUnsupported,
                  quote(place.repository) + " mirrors another registry: nobody publishes there");
  }
  if (who.is_anonymous()) return refuse(401, api::kUnauthorized, "authentication is required");
  return refuse(403, api::kDenied, "access to " + quote(place.repository) + " is denied");
}

ApiResult<std::optional<std::string>> CacheApi::manifest(const Place& place,
                                                         const std::string& tag) {
  const auto found = registry_.find_manifest(place.repository, tag);
  if (!found && found.error().status == 404) return std::nullopt;
  if (!found) return tl::unexpected(found.error());
  ApiResult<std::string> text = registry_.manifest_text(*found);
  if (!text && text.error().status == 404) return std::nullopt;  // damage; who builds makes it anew
  if (!text) return tl::unexpected(text.error());
  // What is looked up is what eviction leaves alone.
  KILN_TRY(registry_.keep_manifest(place.repository, found->digest,
                                   Clock::system().now() - kNoteUseAfter));
  return *std::move(text);
}

ApiResult<Json> CacheApi::lookup(const Place& place, const Json& request) {
  const Json::Array& keys = request[protocol::kKeys].elements();
  if (keys.size() > protocol::kMaxKeys)
    return bad("a lookup has at most " + std::to_string(protocol::kMaxKeys) + " keys");
  Json entries = Json::object(), more = Json::array();
  size_t bytes = 0;
  for (const Json& text : keys) {
    KILN_TRY_ASSIGN(const CacheKey key, key_of(text));
    if (bytes >= protocol::kMaxAnswerBytes) {
      more.push_back(text);
      continue;
    }
    KILN_TRY_ASSIGN(const auto stored, manifest(place, cache::entry_tag(place.tag, key)));
    if (!stored) continue;
    const auto entry = cache::entry_in_manifest(*stored);
    if (!entry) continue;
    std::string encoded = oci::encode_base64(*entry);
    bytes += encoded.size();
    entries.set(key.digest.hex(), std::move(encoded));
  }
  Json answer = Json::object();
  answer.set(protocol::kEntries, std::move(entries));
  answer.set(protocol::kMore, std::move(more));
  return answer;
}

ApiResult<Json> CacheApi::publish(const Place& place, const Json& request, const Principal& who) {
  const Json::Array& entries = request[protocol::kEntries].elements();
  if (entries.size() > protocol::kMaxPublications)
    return bad("a request publishes at most " + std::to_string(protocol::kMaxPublications) +
               " entries");
  std::vector<cache::Publication> publications;
  for (const Json& entry : entries) {
    KILN_TRY_ASSIGN(cache::Publication publication, publication_of(entry));
    publications.push_back(std::move(publication));
  }
  int64_t kept = 0;
  for (const cache::Publication& publication : publications) {
    KILN_TRY_ASSIGN(const bool was_there, publish_one(place, publication, who));
    kept += was_there ? 1 : 0;
  }
  Json answer = Json::object();
  answer.set(protocol::kKept, kept);
  return answer;
}

ApiResult<bool> CacheApi::publish_one(const Place& place, const cache::Publication& publication,
                                      const Principal& who) {
  const std::string tag = cache::entry_tag(place.tag, publication.key);
  const std::lock_guard hold(registry_.entries_of(place.repository));
  KILN_TRY_ASSIGN(const auto stored, manifest(place, tag));
  if (stored) {
    const auto entry = cache::entry_in_manifest(*stored);
    if (entry && cache::decode_entry(publication.key, *entry)) {
      if (!same_entry(*entry, publication.entry) && log_)
        log_("cache " + place.repository + ": \"" + printable(who.name()) +
             "\" has another result for " + publication.key.digest.hex() + ", the first one stays");
      return true;
    }
  }
  KILN_TRY(registry_.put_manifest(place.repository, tag, cache::entry_manifest(publication),
                                  oci::media_type::kManifest));
  return false;
}

}  // namespace kiln::server
