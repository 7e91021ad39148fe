// Images from the content store into registries.
#pragma once

#include "oci/content_store.h"
#include "oci/image_store.h"
#include "oci/registry_client.h"
#include "oci/transfer.h"

#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace kiln::oci {

/// Repositories ("library/base") of one registry by the blobs that are known to be in them.
using BlobOrigins = std::map<Digest, std::vector<std::string>>;

/// What the names of local images say: an image that is called HOST/PATH came from there or went
/// there. For mounts, so that being wrong costs a request.
Result<BlobOrigins> blob_origins(ImageStore& images, ContentStore& content,
                                 const std::string& domain);

/// Layers that nobody may hand on: their URLs say where they are.
bool is_foreign_layer(std::string_view type);

/// Who finds out that a blob is damaged. kReceiver: for a registry, which publishes nothing under a
/// digest that it has not verified (distribution-spec, "Pushing blobs"); hashing the bytes once
/// more before they leave would take a fifth of a push. What it refuses is looked into:
/// damage_of().
enum class VerifiedBy : uint8_t { kSender, kReceiver };

/// A blob of the store as it can be sent: by kSender from its start verified to its end; what goes
/// on where it broke off is verified by the receiver. Borrows the store.
BlobContent blob_content(ContentStore& content, const Descriptor& blob,
                         VerifiedBy verified = VerifiedBy::kSender);

struct PushEvents {
  OnTransfer on_transfer;  // bytes of a blob sent so far
  std::function<void(const Descriptor& blob, const Upload& how)> on_done;  // from several threads
};

/// One image on its way to one repository. In two steps, so that several names appear only after
/// everything that any of them needs is there.
class ImagePush {
 public:
  struct Request {
    Descriptor image;      // index or manifest, in the content store
    Reference repository;  // its tag and digest do not matter here
    BlobOrigins origins = {};
  };
  /// Borrows all but the request. kNotFound: content of the image is not here.
  static Result<std::unique_ptr<ImagePush>> open(const RegistryAccess& access,
                                                 ContentStore& content, Request request,
                                                 std::stop_token stop);

  /// Layers and configs, four at a time, those that are there not again; then the manifests under
  /// their digests, what refers to others after them. With an index whose manifests are not all
  /// here, those that are missing must be in the repository already: kFailedPrecondition.
  Status send(const PushEvents& events, std::stop_token stop);
  /// Gives the image a name, after send(). "" : by its digest alone, which send() has done.
  Status tag(const std::string& tag, std::stop_token stop);

 private:
  struct Document {
    Descriptor descriptor;
    std::string text;
  };
  ImagePush(ContentStore& content, Request request, std::unique_ptr<Repository> to)
      : content_(content), request_(std::move(request)), to_(std::move(to)) {}
  Status collect(const Descriptor& document, int depth);
  Status collect_manifest(const std::string& text);
  Status check_missing(const std::stop_token& stop);
  Error wrapped(const Error& error) const;
  Error with_damage(const Digest& blob, const Error& refusal) const;

  ContentStore& content_;
  const Request request_;
  const std::unique_ptr<Repository> to_;
  std::vector<Descriptor> blobs_;    // each once
  std::vector<Document> documents_;  // what refers to others after them; the image last
  std::vector<Descriptor> missing_;  // manifests of an index that are not here
};

}  // namespace kiln::oci
