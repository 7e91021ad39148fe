#include "cache/kiln_transport.h"

#include "cache/cache_protocol.h"
#include "oci/base64.h"

namespace kiln::cache {
namespace {

constexpr uint64_t kAnswerLimit = 64U << 20U;

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
  KILN_TRY_ASSIGN(call.url, to->at("").resolve(std::string(protocol::kRoot) + "/" + what));
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
  std::vector<std::optional<std::string>> entries(keys.size());
  if (keys.empty()) return entries;
  Json request = Json::object();
  request.set(protocol::kRepository, reference_.path);
  request.set(protocol::kTag, reference_.tag);
  Json wanted = Json::array();
  for (const CacheKey& key : keys) wanted.push_back(key.digest.hex());
  request.set(protocol::kKeys, std::move(wanted));
  KILN_TRY_ASSIGN(const Json answer, ask("lookup", request, stop));
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::string& text = answer[protocol::kEntries][keys[i].digest.hex()].as_string();
    if (!text.empty()) entries[i] = oci::decode_base64(text);
  }
  return entries;
}

Status KilnTransport::publish(std::span<const Publication> publications, std::stop_token stop) {
  if (!publications.empty()) KILN_TRY(registry_->upload_config(stop));
  for (size_t from = 0; from < publications.size(); from += protocol::kMaxPublications) {
    Json request = Json::object();
    request.set(protocol::kRepository, reference_.path);
    request.set(protocol::kTag, reference_.tag);
    Json entries = Json::array();
    for (const Publication& one : publications.subspan(
             from, std::min(protocol::kMaxPublications, publications.size() - from))) {
      Json entry = Json::object();
      entry.set(protocol::kKey, one.key.digest.hex());
      entry.set(protocol::kEntry, oci::encode_base64(one.entry));
      Json blobs = Json::array();
      for (const oci::Descriptor& blob : one.blobs) blobs.push_back(to_json(blob));
      entry.set(protocol::kBlobs, std::move(blobs));
      entries.push_back(std::move(entry));
    }
    request.set(protocol::kEntries, std::move(entries));
    KILN_TRY(ask("publish", request, stop));
  }
  return {};
}

}  // namespace kiln::cache
