#include "oci/transfer.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/strings.h"
#include "oci/image.h"
#include "oci/image_hosts.h"
#include "oci/parallel.h"

namespace kiln::oci {
namespace {

class Pull {
 public:
  Pull(ImageHosts& from, ContentStore& content, const Lease& lease, const PullEvents& events,
       PullExtent extent, std::stop_token stop)
      : from_(from),
        content_(content),
        lease_(lease),
        events_(events),
        extent_(extent),
        stop_(std::move(stop)) {}

  Result<Descriptor> run(const Reference& name, const Platform& platform) {
    KILN_TRY_ASSIGN(const Repository::Document root, from_.manifest(name, stop_));
    std::vector<Repository::Document> documents{root};
    while (is_index(documents.back().descriptor.media_type)) {
      if (documents.size() > kMaxIndexNesting) {
        return fail(Code::kInvalidArgument, "its indexes are nested too deeply");
      }
      KILN_TRY_ASSIGN(auto below, manifest_for(documents.back(), name, platform));
      documents.push_back(std::move(below));
    }
    if (!is_manifest(documents.back().descriptor.media_type)) {
      return fail(Code::kUnimplemented,
                  "it is a " + quote(documents.back().descriptor.media_type) + ", not an image");
    }
    KILN_TRY(blobs_of(documents.back()));
    // Innermost first: what is visible names nothing that is not here.
    for (auto document = documents.rbegin(); document != documents.rend(); ++document) {
      KILN_TRY(write_blob(content_, lease_, document->text));
    }
    return root.descriptor;
  }

 private:
  Result<Repository::Document> manifest_for(const Repository::Document& outer,
                                            const Reference& name, const Platform& platform) {
    KILN_TRY_ASSIGN(const Index index, parse_index(outer.text));
    const Descriptor* entry = select_platform(index, platform);
    if (entry == nullptr) return tl::unexpected(no_platform(index, platform));
    Reference pinned = name;
    pinned.digest = entry->digest;
    KILN_TRY_ASSIGN(const bool here, content_.touch(entry->digest, lease_));
    if (!here) return from_.manifest(pinned, stop_);
    KILN_TRY_ASSIGN(std::string text, read_blob(content_, entry->digest, 4U << 20U));
    return Repository::Document{*entry, std::move(text)};
  }

  static Error no_platform(const Index& index, const Platform& platform) {
    std::set<std::string> there;
    for (const Descriptor& entry : index.manifests) {
      if (entry.platform && entry.platform->os != "unknown")
        there.insert(entry.platform->to_string());
    }
    const std::vector<std::string> list(there.begin(), there.end());
    return Error(Code::kNotFound,
                 "no match for platform in manifest: " + platform.to_string() + " not found")
        .hint(list.empty() ? "the index names no platforms"
                           : "the image is there for " + join(list, ", "));
  }

  Status blobs_of(const Repository::Document& document) {
    KILN_TRY_ASSIGN(const Manifest manifest, parse_manifest(document.text));
    if (manifest.config.size > kMaxConfigBytes) {
      return fail(Code::kResourceExhausted, "its config is larger than 8 MiB");
    }
    std::vector<Descriptor> blobs{manifest.config};
    for (const Descriptor& layer : manifest.layers) {
      if (!is_layer(layer.media_type)) {
        return fail(Code::kUnimplemented, "it has a layer of type " + quote(layer.media_type));
      }
      // A layer may occur twice (empty ones do).
      if (extent_ == PullExtent::kImage && std::ranges::none_of(blobs, [&](const Descriptor& d) {
            return d.digest == layer.digest;
          })) {
        blobs.push_back(layer);
      }
    }
    return for_each_blob(blobs.size(), [&](size_t i) { return fetch(blobs[i]); });
  }

  Status fetch(const Descriptor& blob) {
    KILN_TRY_ASSIGN(const bool here, content_.touch(blob.digest, lease_));
    if (here) return done(blob, Arrival::kHere);
    const auto on_bytes = [&](uint64_t done) {
      if (events_.on_transfer) events_.on_transfer(blob, done);
    };
    KILN_TRY(from_.fetch(blob, content_, lease_, on_bytes, stop_));
    return done(blob, Arrival::kFetched);
  }

  Status done(const Descriptor& blob, Arrival how) const {
    if (events_.on_done) events_.on_done(blob, how);
    return {};
  }

  ImageHosts& from_;
  ContentStore& content_;
  const Lease& lease_;
  const PullEvents& events_;
  const PullExtent extent_;
  std::stop_token stop_;
};

}  // namespace

Result<Descriptor> pull_image(const RegistryAccess& access, ContentStore& content,
                              const Lease& lease, const Reference& name, const Platform& platform,
                              const PullEvents& events, std::stop_token stop, PullExtent extent) {
  const auto wrap = [&](const Error& error) {
    return tl::unexpected(error.wrap("pull \"" + name.familiar() + "\""));
  };
  const auto hosts = ImageHosts::open(access, name, stop);
  if (!hosts) return wrap(hosts.error());
  auto pulled = Pull(**hosts, content, lease, events, extent, std::move(stop)).run(name, platform);
  if (!pulled) return wrap(pulled.error());
  return pulled;
}

}  // namespace kiln::oci
