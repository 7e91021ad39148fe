// Referrers of registry.h (distribution-spec, "Listing Referrers"): a record for each manifest that
// has a subject, with the descriptor that is listed.
#include <algorithm>

#include "cache/server/registry.h"

namespace kiln::server {
namespace {

// Annotations may make a descriptor as large as a manifest. An answer has as much of them, or one.
constexpr size_t kMaxListedBytes = kMaxManifestBytes;

}  // namespace

ApiStatus Registry::record_referrer(const std::string& repository, const FoundManifest& manifest,
                                    const ManifestDocument& document) {
  if (!document.subject) return {};
  Json descriptor = Json::object({{"mediaType", manifest.media_type},
                                  {"digest", manifest.digest.to_string()},
                                  {"size", manifest.size}});
  if (!document.artifact_type.empty()) descriptor.set("artifactType", document.artifact_type);
  if (document.annotations.is_object()) descriptor.set("annotations", document.annotations);
  KILN_TRY(storage_.put_record({repository, RecordKind::kReferrer, manifest.digest.component(),
                                document.subject->component()},
                               descriptor.dump()));
  return {};
}

ApiResult<Registry::Referrers> Registry::referrers(const std::string& repository,
                                                   const ReferrerQuery& query) {
  Referrers page;
  size_t bytes = 0;
  const std::string group = query.subject.component();
  KILN_TRY_ASSIGN(const auto names,
                  storage_.record_names(repository, RecordKind::kReferrer, group));
  for (const std::string& name : names) {
    const Result<BlobDigest> digest = BlobDigest::from_component(name);
    if (!digest || digest->to_string() <= query.after) continue;
    KILN_TRY_ASSIGN(const auto text,
                    storage_.record({repository, RecordKind::kReferrer, name, group}));
    if (!text) continue;  // it went meanwhile
    KILN_TRY_ASSIGN(Json descriptor, Json::parse(*text, {kMaxRecordBytes, kMaxManifestDepth}));
    if (query.artifact_type && descriptor["artifactType"].as_string() != *query.artifact_type)
      continue;
    const bool fits = page.descriptors.empty() || bytes + text->size() <= kMaxListedBytes;
    page.more = page.descriptors.size() >= query.at_most || !fits;
    if (page.more) return page;
    bytes += text->size();
    page.descriptors.push_back(std::move(descriptor));
  }
  return page;
}

}  // namespace kiln::server
