#include "cache/server/transport.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <cerrno>
#include <vector>

namespace kiln::server {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kSendfileBytes = 1U << 20U;
constexpr size_t kCopyBytes = 64U << 10U;

template <class Stream>
asio::awaitable<size_t> read_from(Stream& stream, std::span<std::byte> buffer) {
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  const size_t n =
      co_await stream.async_read_some(asio::buffer(buffer.data(), buffer.size()), token);
  co_return error ? 0 : n;
}

template <class Stream>
asio::awaitable<bool> write_to(Stream& stream, std::string_view data, Transport& transport) {
  while (!data.empty()) {
    transport.deadline.in(transport.stall);
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    const size_t n =
        co_await stream.async_write_some(asio::buffer(data.data(), data.size()), token);
    if (error) co_return false;
    data.remove_prefix(n);
  }
  co_return true;
}

class PlainTransport : public Transport {
 public:
  explicit PlainTransport(tcp::socket socket) : Transport(socket), socket_(std::move(socket)) {}

  asio::awaitable<bool> handshake() override {
    error_code error;
    (void)socket_.native_non_blocking(true, error);
    co_return !error;
  }
  asio::awaitable<size_t> read_some(std::span<std::byte> buffer) override {
    return read_from(socket_, buffer);
  }
  asio::awaitable<bool> write(std::string_view data) override {
    return write_to(socket_, data, *this);
  }
  asio::awaitable<bool> send_file(const FileRange& file, asio::thread_pool& pool) override {
    auto offset = static_cast<off_t>(file.offset);
    const off_t end = offset + static_cast<off_t>(file.length);
    while (offset < end) {
      deadline.never();  // threads and disks are waited for, not the client
      int sent_errno = 0;
      const auto send = [&]() -> ssize_t {
        const auto left = std::min<uint64_t>(kSendfileBytes, static_cast<uint64_t>(end - offset));
        const ssize_t n = ::sendfile(fd_, file.fd.get(), &offset, left);
        sent_errno = errno;
        return n;
      };
      const ssize_t n = co_await on_pool(pool, send);
      if (n > 0 || (n < 0 && sent_errno == EINTR)) continue;
      if (n == 0 || sent_errno != EAGAIN) co_return false;  // the file is shorter: cut off
      deadline.in(stall);
      error_code error;
      auto token = asio::redirect_error(asio::use_awaitable, error);
      co_await socket_.async_wait(tcp::socket::wait_write, token);
      if (error) co_return false;
    }
    co_return true;
  }
  asio::awaitable<void> shutdown_send() override {
    error_code error;
    (void)socket_.shutdown(tcp::socket::shutdown_send, error);  // it may be gone already
    co_return;
  }
  std::string certificate_name() override { return {}; }

 private:
  tcp::socket socket_;
};

class TlsTransport : public Transport {
 public:
  TlsTransport(tcp::socket socket, std::shared_ptr<asio::ssl::context> context)
      : Transport(socket), context_(std::move(context)), stream_(std::move(socket), *context_) {}

  asio::awaitable<bool> handshake() override {
    error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await stream_.async_handshake(asio::ssl::stream_base::server, token);
    co_return !error;
  }
  asio::awaitable<size_t> read_some(std::span<std::byte> buffer) override {
    return read_from(stream_, buffer);
  }
  asio::awaitable<bool> write(std::string_view data) override {
    return write_to(stream_, data, *this);
  }
  asio::awaitable<bool> send_file(const FileRange& file, asio::thread_pool& pool) override {
    std::vector<char> buffer(std::min<uint64_t>(kCopyBytes, file.length));
    uint64_t offset = file.offset;
    const uint64_t end = offset + file.length;
    while (offset < end) {
      const auto read = [&]() -> ssize_t {
        const auto left = std::min<uint64_t>(buffer.size(), end - offset);
        return ::pread(file.fd.get(), buffer.data(), left, static_cast<off_t>(offset));
      };
      deadline.never();  // as above
      const ssize_t n = co_await on_pool(pool, read);
      if (n <= 0) co_return false;
      const std::string_view piece(buffer.data(), static_cast<size_t>(n));
      const bool written = co_await write_to(stream_, piece, *this);
      if (!written) co_return false;
      offset += static_cast<uint64_t>(n);
    }
    co_return true;
  }
  // Nothing: OpenSSL reads no more of a body once it has said goodbye, and what is unread resets
  // the connection. The answer has a length, and says that the connection ends with it.
  asio::awaitable<void> shutdown_send() override { co_return; }
  std::string certificate_name() override {
    X509* certificate = SSL_get1_peer_certificate(stream_.native_handle());
    if (certificate == nullptr) return {};
    std::array<char, 256> name{};
    const int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                                 name.data(), static_cast<int>(name.size()));
    X509_free(certificate);
    return length > 0 ? std::string(name.data(), static_cast<size_t>(length)) : std::string();
  }

 private:
  const std::shared_ptr<asio::ssl::context> context_;  // the server may have another one by now
  asio::ssl::stream<tcp::socket> stream_;
};

class OpenSslContext : public TlsContext {
 public:
  OpenSslContext()
      : context_(std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server)) {}
  Status load_files(const TlsFiles& files) {
    error_code error;
    const auto check = [&](const std::string& what, const std::string& file) -> Status {
      if (!error) return {};
      return fail(Code::kInvalidArgument, what + " \"" + file + "\": " + error.message());
    };
    (void)SSL_CTX_set_min_proto_version(context_->native_handle(), TLS1_2_VERSION);  // it is known
    context_->use_certificate_chain_file(files.certificate, error);
    KILN_TRY(check("TLS certificate", files.certificate));
    context_->use_private_key_file(files.key, asio::ssl::context::pem, error);
    KILN_TRY(check("TLS key", files.key));
    if (files.client_ca.empty()) return {};
    context_->load_verify_file(files.client_ca, error);
    KILN_TRY(check("client CA", files.client_ca));
    // Named in the handshake, so that a client with several certificates knows which one to show.
    SSL_CTX_set_client_CA_list(context_->native_handle(),
                               SSL_load_client_CA_file(files.client_ca.c_str()));
    const int strict = files.client_optional ? 0 : asio::ssl::verify_fail_if_no_peer_cert;
    context_->set_verify_mode(asio::ssl::verify_peer | strict, error);
    // Sessions of clients with certificates are not resumed in another context.
    constexpr std::array<unsigned char, 4> kSessionId = {'k', 'i', 'l', 'n'};
    if (SSL_CTX_set_session_id_context(context_->native_handle(), kSessionId.data(),
                                       kSessionId.size()) != 1)
      return fail(Code::kInternal, "TLS session context");
    return check("client CA", files.client_ca);
  }
  std::unique_ptr<Transport> transport(tcp::socket socket) override {
    return std::make_unique<TlsTransport>(std::move(socket), context_);
  }

 private:
  const std::shared_ptr<asio::ssl::context> context_;
};

}  // namespace

void Transport::abort() {
  (void)::shutdown(fd_, SHUT_RDWR);  // it may have ended by itself
}

std::unique_ptr<Transport> make_plain_transport(tcp::socket socket) {
  return std::make_unique<PlainTransport>(std::move(socket));
}

Result<std::unique_ptr<TlsContext>> TlsContext::load(const TlsFiles& files) {
  auto context = std::make_unique<OpenSslContext>();
  KILN_TRY(context->load_files(files));
  return context;
}

}  // namespace kiln::server
