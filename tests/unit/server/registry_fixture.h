// A registry on a directory of its own, asked without a network or through one: the answers must be
// the same.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/guarded.h"
#include "base/http_client.h"
#include "base/json.h"
#include "cache/server/directory_storage.h"
#include "cache/server/service.h"

namespace kiln::server {

struct Reply {
  int status = 0;
  Headers headers;  // names in lower case
  std::string body;
  std::string header(std::string_view lower_case_name) const;
  std::string code() const;  // of the first error in the body; "": none
};

struct Ask {
  std::string method, target;
  std::string body = {};
  Headers headers = {};
};

/// What every test of the API starts from.
class TestRegistry {
 public:
  /// `storage`: null: a directory of its own.
  explicit TestRegistry(ServerConfig config = open_to_all(),
                        std::unique_ptr<BlobStorage> storage = nullptr);
  static ServerConfig open_to_all();
  Reply ask(const Ask& ask) const;  // straight to the service
  Registry& registry() { return *registry_; }
  const Mirror* mirror() const { return mirror_.get(); }  // null: none
  Service& service() { return *service_; }
  Metrics& metrics() { return metrics_; }
  BlobStorage& storage() { return *storage_; }
  std::string path(const std::string& name) const { return dir_.path() + "/" + name; }
  std::vector<std::string> audit() const { return *lines_.lock(); }  // what was written so far

 private:
  TempDir dir_;
  mutable Guarded<std::vector<std::string>> lines_;
  std::unique_ptr<BlobStorage> storage_;
  Metrics metrics_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Mirror> mirror_;
  std::unique_ptr<Service> service_;
};

std::string digest_of(std::string_view bytes);  // SHA-256
/// Writes a certificate of 127.0.0.1 that signed itself or was signed by `issuer`, and its key,
/// with openssl(1).
void make_certificate(const std::string& certificate, const std::string& key,
                      const std::string& common_name,
                      const std::optional<ClientCertificate>& issuer = {});
/// An image manifest of these blobs; the first is the config.
std::string manifest_of(const std::vector<std::string>& blobs, Json extra = Json::object());
inline const std::string kManifestType = "application/vnd.oci.image.manifest.v1+json";
inline const std::string kIndexType = "application/vnd.oci.image.index.v1+json";

}  // namespace kiln::server
