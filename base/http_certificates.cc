#include "base/http_certificates.h"

#include <dlfcn.h>
#include <openssl/ssl.h>

#include <type_traits>

namespace kiln::internal {
namespace {

void drop_kept_offer(void* parent, void* kept, CRYPTO_EX_DATA* data, int index, long argument,
                     void* pointer);

// The functions of libcurl's OpenSSL.
struct OpenSslApi {
  decltype(&::CRYPTO_get_ex_new_index) get_ex_new_index;
  decltype(&::SSL_CTX_set_ex_data) ctx_set_ex_data;
  decltype(&::SSL_CTX_set_cert_cb) ctx_set_cert_cb;
  decltype(&::SSL_get0_peer_CA_list) get0_peer_ca_list;
  decltype(&::SSL_certs_clear) certs_clear;
  decltype(&::SSL_use_certificate_chain_file) use_certificate_chain_file;
  decltype(&::SSL_use_PrivateKey_file) use_private_key_file;
  decltype(&::SSL_get_certificate) get_certificate;
  decltype(&::SSL_ctrl) ctrl;
  decltype(&::X509_get_issuer_name) get_issuer_name;
  decltype(&::X509_NAME_cmp) name_cmp;
  decltype(&::OPENSSL_sk_num) sk_num;
  decltype(&::OPENSSL_sk_value) sk_value;
  int offer_index = -1;

  /// nullptr: libcurl has another TLS library.
  static const OpenSslApi* get(const CurlApi& curl);
};

OpenSslApi load_openssl(void* library) {
  OpenSslApi api{};
  const auto find = [library](const char* name, auto& function) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(
        ::dlsym(library, name));  // looks into what libcurl is linked with, too
    return function != nullptr;
  };
  const bool complete =
      find("CRYPTO_get_ex_new_index", api.get_ex_new_index) &&
      find("SSL_CTX_set_ex_data", api.ctx_set_ex_data) &&
      find("SSL_CTX_set_cert_cb", api.ctx_set_cert_cb) &&
      find("SSL_get0_peer_CA_list", api.get0_peer_ca_list) &&
      find("SSL_certs_clear", api.certs_clear) &&
      find("SSL_use_certificate_chain_file", api.use_certificate_chain_file) &&
      find("SSL_use_PrivateKey_file", api.use_private_key_file) &&
      find("SSL_get_certificate", api.get_certificate) && find("SSL_ctrl", api.ctrl) &&
      find("X509_get_issuer_name", api.get_issuer_name) && find("X509_NAME_cmp", api.name_cmp) &&
      find("OPENSSL_sk_num", api.sk_num) && find("OPENSSL_sk_value", api.sk_value);
  if (complete)
    api.offer_index = api.get_ex_new_index(CRYPTO_EX_INDEX_SSL_CTX, 0, nullptr, nullptr, nullptr,
                                           &drop_kept_offer);
  return api;
}

const OpenSslApi* OpenSslApi::get(const CurlApi& curl) {
  static const OpenSslApi kApi = load_openssl(curl.library);
  return kApi.offer_index < 0 ? nullptr : &kApi;
}

template <class Stack>
const OPENSSL_STACK* stack(const Stack* typed) {
  return reinterpret_cast<const OPENSSL_STACK*>(typed);
}

/// In one handshake, when the server has asked for a certificate.
class CertificateChoice {
 public:
  CertificateChoice(const OpenSslApi& api, SSL* ssl, CertificateOffer& offer)
      : api_(api), ssl_(ssl), offer_(offer), issuers_(api.get0_peer_ca_list(ssl)) {}

  /// False: a file cannot be used.
  bool make() const {
    if (issuers_ == nullptr || api_.sk_num(stack(issuers_)) <= 0) return true;  // the first is set
    for (const ClientCertificate& certificate : offer_.certificates()) {
      if (!use(certificate)) return false;
      if (is_wanted()) return true;
    }
    return use(offer_.certificates().front());
  }

 private:
  bool use(const ClientCertificate& certificate) const {
    api_.certs_clear(ssl_);
    if (api_.use_certificate_chain_file(ssl_, certificate.certificate_file.c_str()) != 1)
      return refuse(certificate.certificate_file);
    if (api_.use_private_key_file(ssl_, certificate.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
      return refuse(certificate.key_file);
    return true;
  }
  bool refuse(const std::string& file) const {
    offer_.note_unusable(file);
    return false;
  }

  /// Of what is set.
  bool is_wanted() const {
    if (is_issued_as_wanted(api_.get_certificate(ssl_))) return true;
    STACK_OF(X509)* chain = nullptr;
    (void)api_.ctrl(ssl_, SSL_CTRL_GET_CHAIN_CERTS, 0, static_cast<void*>(&chain));  // or none
    for (int i = 0; chain != nullptr && i < api_.sk_num(stack(chain)); ++i)
      if (is_issued_as_wanted(static_cast<X509*>(api_.sk_value(stack(chain), i)))) return true;
    return false;
  }
  bool is_issued_as_wanted(const X509* certificate) const {
    const X509_NAME* const issuer = api_.get_issuer_name(certificate);
    for (int i = 0; i < api_.sk_num(stack(issuers_)); ++i)
      if (api_.name_cmp(issuer, static_cast<X509_NAME*>(api_.sk_value(stack(issuers_), i))) == 0)
        return true;
    return false;
  }

  const OpenSslApi& api_;
  SSL* const ssl_;
  CertificateOffer& offer_;
  const STACK_OF(X509_NAME) * const issuers_;
};

/// What an SSL_CTX keeps: connections, and a later question on one, outlive the request.
struct KeptOffer {
  const OpenSslApi& api;
  const std::shared_ptr<CertificateOffer> offer;
};

void drop_kept_offer(void* /*parent*/, void* kept, CRYPTO_EX_DATA* /*data*/, int /*index*/,
                     long /*argument*/, void* /*pointer*/) {
  const std::unique_ptr<KeptOffer> dropped(static_cast<KeptOffer*>(kept));  // null: it has none
}

int on_certificate_request(SSL* ssl, void* kept) {
  const auto* offer = static_cast<const KeptOffer*>(kept);
  return CertificateChoice(offer->api, ssl, *offer->offer).make() ? 1 : 0;
}

}  // namespace

Status CertificateOffer::check(const CurlApi& api) {
  if (OpenSslApi::get(api) != nullptr) return {};
  return tl::unexpected(
      Error(Code::kFailedPrecondition, "libcurl cannot choose among several client certificates")
          .hint("install a libcurl with OpenSSL (libcurl4), or name one keypair"));
}

Status CertificateOffer::make(const std::shared_ptr<CertificateOffer>& offer, const CurlApi& curl,
                              void* ssl_ctx) {
  const OpenSslApi* const api = OpenSslApi::get(curl);
  KILN_CHECK(api != nullptr);  // check()
  auto* const context = static_cast<SSL_CTX*>(ssl_ctx);
  auto kept = std::make_unique<KeptOffer>(KeptOffer{*api, offer});
  if (api->ctx_set_ex_data(context, api->offer_index, kept.get()) != 1)
    return fail(Code::kResourceExhausted, "out of memory");
  api->ctx_set_cert_cb(context, &on_certificate_request, kept.release());
  return {};
}

}  // namespace kiln::internal
