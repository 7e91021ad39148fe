// Which of several client certificates a server is shown. libcurl takes one; the OpenSSL below it
// asks when the server has said whose certificates it takes. OpenSSL is reached through libcurl's
// library: what kiln is linked with is another copy, and has no TLS. Only http_*.cc may include
// this.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/curl_api.h"
#include "base/guarded.h"
#include "base/http_client.h"

namespace kiln::internal {

/// For the transfers of one request. Thread-safe.
class CertificateOffer {
 public:
  explicit CertificateOffer(std::span<const ClientCertificate> certificates)
      : certificates_(certificates.begin(), certificates.end()) {}

  /// kFailedPrecondition: libcurl uses another library than OpenSSL.
  static Status check(const CurlApi& api);
  /// Makes connections of `ssl_ctx` (libcurl's SSL_CTX) show the first certificate with an issuer,
  /// its own or one of its chain's, that the server names; the first of all if there is none. The
  /// context keeps the offer. After check().
  static Status make(const std::shared_ptr<CertificateOffer>& offer, const CurlApi& api,
                     void* ssl_ctx);
  const std::vector<ClientCertificate>& certificates() const { return certificates_; }
  /// Of a handshake that failed: the file that could not be used; "": there was none.
  std::string unusable() { return *unusable_.lock(); }
  void note_unusable(const std::string& file) { *unusable_.lock() = file; }

 private:
  const std::vector<ClientCertificate> certificates_;
  Guarded<std::string> unusable_;
};

}  // namespace kiln::internal
