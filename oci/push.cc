#include "oci/push.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "oci/image.h"
#include "oci/parallel.h"

namespace kiln::oci {
namespace {

bool names_digest(const std::vector<Descriptor>& blobs, const Digest& digest) {
  return std::ranges::any_of(blobs, [&](const Descriptor& blob) { return blob.digest == digest; });
}

}  // namespace

bool is_foreign_layer(std::string_view type) {
  return type.find(".nondistributable.") != std::string_view::npos ||
         type.find(".foreign.") != std::string_view::npos;
}

BlobContent blob_content(ContentStore& content, const Descriptor& blob, VerifiedBy verified) {
  const auto open = [&content, digest = blob.digest,
                     verified](uint64_t from) -> Result<std::unique_ptr<Source>> {
    const bool trusted = verified == VerifiedBy::kReceiver || content.is_known(digest);
    if (from == 0 && !trusted) return content.open(digest);
    KILN_TRY_ASSIGN(Fd fd, content.open_fd(digest));
    if (::lseek(fd.get(), static_cast<off_t>(from), SEEK_SET) < 0) {
      return fail_errno("read", digest.to_string());
    }
    return std::make_unique<FdSource>(std::move(fd), digest.to_string());
  };
  return {blob, open};
}

Result<BlobOrigins> blob_origins(ImageStore& images, ContentStore& content,
                                 const std::string& domain) {
  std::map<Digest, std::set<std::string>> found;
  KILN_TRY_ASSIGN(const std::vector<StoredImage> stored, images.list());
  for (const StoredImage& image : stored) {
    const auto name = Reference::parse(image.name);
    if (!name || name->domain != domain) continue;
    const auto blobs = reachable_blobs(content, image.descriptor);
    if (!blobs) continue;  // an image that cannot be read is no origin
    for (const Digest& blob : *blobs) found[blob].insert(name->path);
  }
  BlobOrigins origins;
  for (const auto& [blob, paths] : found) origins[blob].assign(paths.begin(), paths.end());
  return origins;
}

Result<std::unique_ptr<ImagePush>> ImagePush::open(const RegistryAccess& access,
                                                   ContentStore& content, Request request,
                                                   std::stop_token stop) {
  auto to = Repository::open(access, request.repository, stop, RegistryRights::kPush);
  if (!to) {
    return tl::unexpected(to.error().wrap("push " + quote(request.repository.name())));
  }
  std::unique_ptr<ImagePush> push(new ImagePush(content, std::move(request), *std::move(to)));
  const Status collected = push->collect(push->request_.image, 0);
  if (!collected) return tl::unexpected(push->wrapped(collected.error()));
  return push;
}

Error ImagePush::wrapped(const Error& error) const {
  return error.wrap("push " + quote(request_.repository.name()));
}

Status ImagePush::collect(const Descriptor& document, int depth) {
  if (depth > kMaxIndexNesting) {
    return fail(Code::kInvalidArgument, "its indexes are nested too deeply");
  }
  KILN_TRY_ASSIGN(std::string text, read_blob(content_, document.digest, kMaxDocumentBytes));
  if (is_index(document.media_type)) {
    KILN_TRY_ASSIGN(const Index index, parse_index(text));
    for (const Descriptor& entry : index.manifests) {
      KILN_TRY_ASSIGN(const auto size, content_.size(entry.digest));
      if (size) {
        KILN_TRY(collect(entry, depth + 1));
      } else {
        missing_.push_back(entry);
      }
    }
  } else {
    KILN_TRY(collect_manifest(text));
  }
  const bool known = std::ranges::any_of(documents_, [&](const Document& other) {
    return other.descriptor.digest == document.digest;
  });
  if (!known) documents_.push_back({document, std::move(text)});
  return {};
}

Status ImagePush::collect_manifest(const std::string& text) {
  KILN_TRY_ASSIGN(const Manifest manifest, parse_manifest(text));
  std::vector<Descriptor> all = manifest.layers;
  all.push_back(manifest.config);
  for (const Descriptor& blob : all) {
    if (is_foreign_layer(blob.media_type) || names_digest(blobs_, blob.digest)) continue;
    KILN_TRY_ASSIGN(const auto size, content_.size(blob.digest));
    if (!size) {
      return tl::unexpected(
          Error(Code::kNotFound, "blob " + blob.digest.to_string() + " of it is not here")
              .hint("pull or build the image again"));
    }
    if (*size != blob.size) {
      return fail(Code::kDataLoss, "blob " + blob.digest.to_string() + " has " +
                                       std::to_string(*size) + " bytes, its manifest says " +
                                       std::to_string(blob.size));
    }
    blobs_.push_back(blob);
  }
  return {};
}

Status ImagePush::check_missing(const std::stop_token& stop) {
  for (const Descriptor& manifest : missing_) {
    KILN_TRY_ASSIGN(const bool there, to_->has_manifest(manifest.digest, stop));
    if (there) continue;
    const std::string what =
        manifest.platform ? manifest.platform->to_string() : manifest.digest.to_string();
    return tl::unexpected(
        Error(Code::kFailedPrecondition, "its manifest for " + what + " is neither here nor there")
            .hint("push what is here with --platform, or pull the rest first"));
  }
  return {};
}

// A refusal may mean that the blob here is not what its digest says.
Error ImagePush::with_damage(const Digest& blob, const Error& refusal) const {
  const bool suspicious = refusal.code() == Code::kInternal || refusal.code() == Code::kDataLoss;
  if (!suspicious) return refusal;
  return damage_of(content_, blob).value_or(refusal);
}

Status ImagePush::send(const PushEvents& events, std::stop_token stop) {
  const auto send_one = [&](size_t i) -> Status {
    const Descriptor& blob = blobs_[i];
    const OnBytes on_bytes = [&](uint64_t done) {
      if (events.on_transfer) events.on_transfer(blob, done);
    };
    const auto origins = request_.origins.find(blob.digest);
    static const std::vector<std::string> kNone;
    const BlobContent content = blob_content(content_, blob, VerifiedBy::kReceiver);
    const auto how = to_->upload(
        content, origins != request_.origins.end() ? origins->second : kNone, on_bytes, stop);
    if (!how) return tl::unexpected(with_damage(blob.digest, how.error()));
    if (events.on_done) events.on_done(blob, *how);
    return {};
  };
  const auto send_all = [&]() -> Status {
    KILN_TRY(check_missing(stop));
    KILN_TRY(for_each_blob(blobs_.size(), send_one));
    for (const Document& document : documents_) {
      KILN_TRY(to_->put_manifest(document.descriptor.media_type, document.text, "", stop));
    }
    return {};
  };
  const Status sent = send_all();
  if (!sent) return tl::unexpected(wrapped(sent.error()));
  return {};
}

Status ImagePush::tag(const std::string& tag, std::stop_token stop) {
  const Document& image = documents_.back();
  const Status tagged = to_->put_manifest(image.descriptor.media_type, image.text, tag, stop);
  if (!tagged) return tl::unexpected(wrapped(tagged.error()));
  return {};
}

}  // namespace kiln::oci
