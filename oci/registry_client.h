// One repository of one registry over the distribution specification's HTTP API. Reading ("Pull",
// "Content Discovery") is in registry_client.cc, writing ("Push", "Content Management") in
// registry_upload.cc. Redirects are followed without credentials for anyone but the registry; what
// is unavailable is asked for again three times; blobs resume where they broke off, both ways
// (SAFETY.md 4.1, 4.2).
#pragma once

#include "oci/descriptor.h"
#include "oci/reference.h"
#include "oci/registry_session.h"

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace kiln::oci {

/// Told the total of a blob's bytes so far.
using OnBytes = std::function<void(uint64_t)>;

/// A blob that can be sent: its bytes from any place on. A source that verifies them and finds them
/// damaged returns kDataLoss before it has handed out the last of them.
struct BlobContent {
  Descriptor blob;
  std::function<Result<std::unique_ptr<Source>>(uint64_t from)> open;
};

enum class UploadOutcome : uint8_t {
  kThere,    // nothing was sent
  kMounted,  // taken from another repository of the registry
  kSent,
};
struct Upload {
  UploadOutcome outcome = UploadOutcome::kSent;
  std::string from = {};  // of kMounted
};

/// Thread-safe.
class Repository {
 public:
  /// `rights` are what tokens are asked for. Errors as RegistrySession::open.
  static Result<std::unique_ptr<Repository>> open(const RegistryAccess& access,
                                                  const Reference& name, std::stop_token stop,
                                                  RegistryRights rights = RegistryRights::kPull);
  /// `name` as `mirror` ("host[:port][/prefix]") has it; it gets that host's credentials alone.
  static Result<std::unique_ptr<Repository>> open_mirror(const RegistryAccess& access,
                                                         const std::string& mirror,
                                                         const Reference& name,
                                                         std::stop_token stop);

  struct Document {
    Descriptor descriptor;  // digest and size are those of `text`
    std::string text;
  };
  /// A manifest or an index, 4 MiB at most, as the digest or else the tag of `name` has it.
  /// kNotFound; kUnauthenticated and kPermissionDenied with a hint; kDataLoss: not what the digest
  /// says.
  Result<Document> manifest(const Reference& name, std::stop_token stop);
  /// Writes the blob's bytes, exactly `blob.size` of them, to `to`; their digest is for the caller
  /// to check.
  Status blob(const Descriptor& blob, Sink& to, const OnBytes& on_bytes, std::stop_token stop);
  /// Whether the registry has it, of that size.
  Result<bool> has_blob(const Descriptor& blob, std::stop_token stop);
  Result<bool> has_manifest(const Digest& manifest, std::stop_token stop);
  /// All tags, sorted; at most 100,000. kDataLoss: something that is no tag is among them.
  Result<std::vector<std::string>> tags(std::stop_token stop);

  /// Brings the blob to the registry unless it is there. Each repository of `mount_from` (names on
  /// the same registry) is tried before bytes are sent. kDataLoss: the content is not what its
  /// digest says, or the registry has something else.
  Result<Upload> upload(const BlobContent& content, const std::vector<std::string>& mount_from,
                        const OnBytes& on_bytes, std::stop_token stop);
  /// Under its digest, or (`tag` not empty) under a name. What it refers to must be there.
  /// kDataLoss: the registry stored something else.
  Status put_manifest(const std::string& media_type, std::string_view text, const std::string& tag,
                      std::stop_token stop);
  /// kNotFound; kUnimplemented: the registry deletes nothing.
  Status remove_manifest(const Digest& manifest, std::stop_token stop);

 private:
  class BlobBody;
  explicit Repository(std::unique_ptr<RegistrySession> session) : session_(std::move(session)) {}
  Result<bool> has(const std::string& rest, const Digest& digest,
                   const std::optional<uint64_t>& bytes, const std::stop_token& stop);

  const std::unique_ptr<RegistrySession> session_;
};

}  // namespace kiln::oci
