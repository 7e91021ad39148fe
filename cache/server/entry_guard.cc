#include "cache/server/entry_guard.h"

#include "cache/claim.h"
#include "cache/entry.h"
#include "cache/entry_manifest.h"

namespace kiln::server {
namespace {

constexpr int kUnavailableStatus = 503;

}  // namespace

bool same_entry(const std::string& a, const std::string& b) {
  const auto one = cache::decode_claim(a), other = cache::decode_claim(b);
  return one && other && one->entry == other->entry;
}

ApiStatus check_entry_stays(Registry& registry, const std::string& repository,
                            const std::string& tag, std::string_view manifest) {
  if (!cache::is_entry_tag(tag)) return {};
  const auto found = registry.find_manifest(repository, tag);
  const auto text = found ? registry.manifest_text(*found) : tl::unexpected(found.error());
  // What is there may be sound, and can be read later.
  if (!text && text.error().status == kUnavailableStatus) return tl::unexpected(text.error());
  if (!text) return {};
  const auto entry = cache::entry_in_manifest(*text);
  KILN_TRY_ASSIGN(const Digest key, Digest::parse("sha256:" + tag.substr(tag.size() - 64)));
  if (!entry || !cache::decode_entry(CacheKey{key}, *entry)) return {};
  const auto replacement = cache::entry_in_manifest(manifest);
  if (replacement && same_entry(*entry, *replacement)) return {};
  return refuse(409, api::kDenied,
                "\"" + tag + "\" is an entry of a build cache: the first one stays");
}

}  // namespace kiln::server
