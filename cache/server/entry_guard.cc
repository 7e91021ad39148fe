#include "cache/server/entry_guard.h"

#include "cache/claim.h"
#include "cache/entry.h"
#include "cache/entry_manifest.h"

namespace kiln::server {

bool same_entry(const std::string& a, const std::string& b) {
  const auto one = cache::decode_claim(a), other = cache::decode_claim(b);
  return one && other && one->entry == other->entry;
}

ApiStatus check_entry_stays(Registry& registry, const std::string& repository,
                            const std::string& tag, std::string_view manifest) {
  if (!cache::is_entry_tag(tag)) return {};
  const auto found = registry.find_manifest(repository, tag);
  if (!found) return {};  // also what is wrong with the repository: storing says so
  KILN_TRY_ASSIGN(const std::string text, registry.manifest_text(*found));
  const auto entry = cache::entry_in_manifest(text);
  KILN_TRY_ASSIGN(const Digest key, Digest::parse("sha256:" + tag.substr(tag.size() - 64)));
  if (!entry || !cache::decode_entry(CacheKey{key}, *entry)) return {};
  const auto replacement = cache::entry_in_manifest(manifest);
  if (replacement && same_entry(*entry, *replacement)) return {};
  return refuse(409, api::kDenied,
                "\"" + tag + "\" is an entry of a build cache: the first one stays");
}

}  // namespace kiln::server
