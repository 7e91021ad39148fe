#include "cache/kiln_transport.h"

#include <unordered_map>

#include "cache/cache_protocol.h"
#include "oci/base64.h"

namespace kiln::cache {
namespace {

// Entries in base64, with their keys.
constexpr uint64_t kAnswerLimit = 2 * protocol::kMaxAnswerBytes;
// Room for what stands around the entries.
constexpr size_t kBodyTarget = protocol::kMaxBodyBytes / 2;

Json publication_json(const Publication& publication) {
  Json entry = Json::object();
  entry.set(protocol::kKey, publication.key.digest.hex());
  entry.set(protocol::kEntry, oci::encode_base64(publication.entry));
  Json blobs = Json::array();
  for (const oci::Descriptor& blob : publication.blobs) blobs.push_back(to_json(blob));
  entry.set(protocol::kBlobs, std::move(blobs));
  return entry;
}

}  // namespace

Result<std::unique_ptr<KilnTransport>> KilnTransport::open(const oci::RegistryAccess& access,
                                                           const oci::Reference& reference,
                                                           RegistryTransport::Use use) {
  KILN_TRY_ASSIGN(auto registry, RegistryTransport::open(access, reference, use));
  return std::unique_ptr<KilnTransport>(
      new KilnTransport(access, reference, use, std::move(registry)));
}

// Two that find none at once open two, which is only a waste.
Result<std::shared_ptr<oci::RegistrySession>> KilnTransport::session(const std::stop_token& stop) {
  if (auto open = *session_.lock()) return open;
  const auto rights = use_ == RegistryTransport::Use::kWrite ? oci::RegistryRights::kPush
                                                             : oci::RegistryRights::kPull;
  KILN_TRY_ASSIGN(
      std::shared_ptr<oci::RegistrySession> opened,
      oci::RegistrySession::open(access_, {reference_.domain, reference_.path, {}}, rights, stop));
  *session_.lock() = opened;
  return opened;
}

Result<Json> KilnTransport::ask(const std::string& what, const Json& request,
                                const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const auto to, session(stop));
  const std::string text = request.dump();
  oci::RegistryCall call;
  call.method = "POST";
  // Names of repositories and tags have no character that a query would not take as it is.
  const std::string path = std::string(protocol::kRoot) + "/" + what + "?" +
                           std::string(protocol::kRepository) + "=" + reference_.path + "&" +
                           std::string(protocol::kTag) + "=" + reference_.tag;
  KILN_TRY_ASSIGN(call.url, to->at("").resolve(path));
  call.headers.emplace_back("Content-Type", "application/json");
  call.body = [&text]() -> Result<std::unique_ptr<Source>> {
    return std::make_unique<StringSource>(text);
  };
  call.body_bytes = text.size();
  oci::TextBody body(kAnswerLimit, "answer");
  KILN_TRY(to->attempts(
      [&](oci::RegistrySession::Attempt& attempt) -> Status {
        body.text.clear();
        KILN_TRY_ASSIGN(const oci::RegistryReply reply, to->send(call, body, stop));
        if (reply.response.status == 404)
          return tl::unexpected(Error(Code::kFailedPrecondition, "it is no kiln server")
                                    .hint("for another registry use type=registry"));
        return to->check(reply.response, body, attempt);
      },
      stop));
  return Json::parse(body.text, {kAnswerLimit, 8});
}

Result<std::vector<std::optional<std::string>>> KilnTransport::lookup(
    std::span<const CacheKey> keys, std::stop_token stop) {
  std::unordered_map<std::string, std::string> found;
  std::vector<std::string> wanted;
  for (const CacheKey& key : keys) wanted.push_back(key.digest.hex());
  while (!wanted.empty()) {
    Json request = Json::object();
    request.set(protocol::kKeys, Json::array_of(wanted));
    KILN_TRY_ASSIGN(const Json answer, ask("lookup", request, stop));
    for (const auto& [key, entry] : answer[protocol::kEntries].members())
      found.insert_or_assign(key, oci::decode_base64(entry.as_string()).value_or(""));
    std::vector<std::string> more = answer[protocol::kMore].strings();
    if (more.size() >= wanted.size()) return fail(Code::kUnavailable, "its answers do not get on");
    wanted = std::move(more);
  }
  std::vector<std::optional<std::string>> entries(keys.size());
  for (size_t i = 0; i < keys.size(); ++i)
    if (const auto entry = found.find(keys[i].digest.hex()); entry != found.end())
      entries[i] = entry->second;
  return entries;
}

// The server's own route keeps what is there: what replaces is put as a manifest of the registry.
Status KilnTransport::publish(std::span<const Publication> publications, std::stop_token stop) {
  std::vector<Publication> replacing, adding;
  for (const Publication& publication : publications)
    (publication.replaces ? replacing : adding).push_back(publication);
  KILN_TRY(registry_->publish(replacing, stop));
  return add(adding, stop);
}

Status KilnTransport::add(std::span<const Publication> publications, const std::stop_token& stop) {
  if (!publications.empty()) KILN_TRY(registry_->upload_config(stop));
  for (size_t next = 0; next < publications.size();) {
    Json entries = Json::array();
    size_t bytes = 0;
    do {
      Json entry = publication_json(publications[next++]);
      bytes += entry.dump().size();
      entries.push_back(std::move(entry));
    } while (next < publications.size() && bytes < kBodyTarget &&
             entries.elements().size() < protocol::kMaxPublications);
    Json request = Json::object();
    request.set(protocol::kEntries, std::move(entries));
    KILN_TRY(ask("publish", request, stop));
  }
  return {};
}

}  // namespace kiln::cache
