// Manifests of registry_api.h (distribution-spec, "Pulling manifests", "Pushing Manifests").
#include <algorithm>
#include <mutex>

#include "base/clock.h"
#include "base/io.h"
#include "base/strings.h"
#include "cache/entry_manifest.h"
#include "cache/server/entry_guard.h"
#include "cache/server/eviction.h"
#include "cache/server/names.h"
#include "cache/server/registry_api.h"

namespace kiln::server {
namespace {

// Without a header everything is; parameters ("q=0.5") say nothing about what can be read.
bool is_accepted(const Request& request, const std::string& type) {
  const std::vector<std::string> accepted = request.header_list("accept");
  return accepted.empty() ||
         std::any_of(accepted.begin(), accepted.end(), [&](const std::string& text) {
           const std::string_view range = trim(std::string_view(text).substr(0, text.find(';')));
           return range == "*/*" || range == "application/*" || equal_fold(range, type);
         });
}

ApiStatus check_reference(const std::string& reference) {
  if (is_tag(reference)) return {};
  if (reference.find(':') == std::string::npos)
    return refuse(400, api::kManifestInvalid, "\"" + reference + "\" is neither tag nor digest");
  KILN_TRY(parse_digest(reference));
  return {};
}

}  // namespace

RegistryApi::Answer RegistryApi::get_manifest(const Call& call) {
  const std::string& reference = call.route.rest;
  if (!check_reference(reference))
    return refuse(404, api::kManifestUnknown, "there is no manifest \"" + reference + "\"");
  if (is_mirrored(call)) KILN_TRY(mirror_->fetch_manifest(call.route.repository, reference));
  KILN_TRY_ASSIGN(const FoundManifest found,
                  registry_.find_manifest(call.route.repository, reference));
  if (!is_accepted(call.request, found.media_type))
    return refuse(
        404, api::kManifestUnknown,
        "the manifest is of type \"" + found.media_type + "\", which the request does not accept");
  // An entry of a build cache that is used stays.
  if (cache::is_entry_tag(reference))
    KILN_TRY(registry_.keep_manifest(call.route.repository, found.digest,
                                     Clock::system().now() - kNoteUseAfter));
  KILN_TRY_ASSIGN(OpenBlob blob, registry_.open_manifest(found));
  return content_response(call.request, std::move(blob), found.digest, found.media_type);
}

/// Collects a document and stores it.
class RegistryApi::ManifestReceiver : public BodyReceiver {
 public:
  ManifestReceiver(RegistryApi& api, const Call& call)
      : api_(api),
        registry_(api.registry_),
        repository_(call.route.repository),
        reference_(call.route.rest),
        type_(call.request.header("content-type").value_or("")) {}

  std::optional<Response> write(std::span<const std::byte> data) override {
    if (text_.size() + data.size() > kMaxManifestBytes)
      return error_response(
          ApiError(413, api::kManifestInvalid, "the manifest is larger than 4 MiB"));
    // Many at once, each slowly, would otherwise fill the memory.
    if (api_.documents_bytes_ += data.size();
        api_.documents_bytes_ > api_.limits_.max_documents_bytes) {
      api_.documents_bytes_ -= data.size();
      return error_response(ApiError(429, api::kTooManyRequests, "too many manifests at once"));
    }
    text_ += as_text(data);
    return std::nullopt;
  }

  ~ManifestReceiver() override { api_.documents_bytes_ -= text_.size(); }

  Response finish() override {
    std::unique_lock first_wins(registry_.entries_of(repository_), std::defer_lock);
    if (cache::is_entry_tag(reference_)) first_wins.lock();
    if (const ApiStatus stays = check_entry_stays(registry_, repository_, reference_, text_);
        !stays)
      return error_response(stays.error());
    const auto stored = registry_.put_manifest(repository_, reference_, text_, type_);
    if (!stored) return error_response(stored.error());
    const std::string digest = stored->digest.to_string();
    Response response{201,
                      {{"Location", "/v2/" + repository_ + "/manifests/" + digest},
                       {"Docker-Content-Digest", digest}},
                      {},
                      {}};
    if (stored->subject) response.headers.emplace_back("OCI-Subject", stored->subject->to_string());
    for (const std::string& warning : stored->warnings)
      response.headers.emplace_back("Warning", "299 - " + quote(warning));
    return response;
  }

 private:
  RegistryApi& api_;
  Registry& registry_;
  const std::string repository_, reference_, type_;
  std::string text_;
};

RegistryApi::Answer RegistryApi::put_manifest(const Call& call) {
  KILN_TRY(check_reference(call.route.rest));
  if (call.request.body_bytes.value_or(0) > kMaxManifestBytes)
    return refuse(413, api::kManifestInvalid, "the manifest is larger than 4 MiB");
  return std::make_unique<ManifestReceiver>(*this, call);
}

RegistryApi::Answer RegistryApi::delete_manifest(const Call& call) {
  const std::string& reference = call.route.rest;
  KILN_TRY(check_reference(reference));
  if (is_tag(reference)) {
    KILN_TRY(registry_.delete_tag(call.route.repository, reference));
  } else {
    KILN_TRY_ASSIGN(const BlobDigest digest, parse_digest(reference));
    KILN_TRY(registry_.delete_manifest(call.route.repository, digest));
  }
  return Response{202, {}, {}, {}};
}

}  // namespace kiln::server
