// One connection's bytes, plain or through TLS, as coroutines of Boost.Asio. Only transport.cc and
// http_server.cc include this: Asio takes many seconds to compile.
#pragma once

// First: Asio uses <utility> and does not include it.
#include "cache/server/http_message.h"
#include "cache/server/http_server.h"

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace kiln::server {

namespace asio = boost::asio;

/// When a connection that shows no progress is given up. Thread-safe.
class Deadline {
 public:
  using Time = std::chrono::steady_clock;
  void in(std::chrono::milliseconds time) { at_ = (Time::now() + time).time_since_epoch().count(); }
  void never() { at_ = INT64_MAX; }
  bool is_over() const { return Time::now().time_since_epoch().count() > at_; }

 private:
  std::atomic<int64_t> at_{INT64_MAX};
};

/// Runs `work` on a thread that may block, and comes back.
template <class F>
asio::awaitable<std::invoke_result_t<F>> on_pool(asio::thread_pool& pool, F work) {
  using R = std::invoke_result_t<F>;
  auto task = [work = std::move(work)]() mutable -> asio::awaitable<R> { co_return work(); };
  co_return co_await asio::co_spawn(pool.get_executor(), std::move(task), asio::use_awaitable);
}

class Transport {
 public:
  virtual ~Transport() = default;
  virtual asio::awaitable<bool> handshake() = 0;
  /// 0: the end, or an error.
  virtual asio::awaitable<size_t> read_some(std::span<std::byte> buffer) = 0;
  // False: the client went away. Both renew `deadline` whenever something went out, and it does not
  // run while it is this side that is waited for.
  virtual asio::awaitable<bool> write(std::string_view data) = 0;
  virtual asio::awaitable<bool> send_file(const FileRange& file, asio::thread_pool& pool) = 0;
  /// Tells the client, where that can be told without reading less, that nothing more comes.
  virtual asio::awaitable<void> shutdown_send() = 0;
  virtual std::string certificate_name() = 0;  // of a verified client certificate; "": none
  /// Ends whatever is going on, from any thread. The descriptor stays until the destructor: another
  /// thread may be using it.
  void abort();

  Deadline deadline;
  std::chrono::milliseconds stall{60000};

 protected:
  explicit Transport(asio::ip::tcp::socket& socket) : fd_(socket.native_handle()) {}
  const int fd_;
};

std::unique_ptr<Transport> make_plain_transport(asio::ip::tcp::socket socket);

/// Certificates and what is asked of clients.
class TlsContext {
 public:
  static Result<std::unique_ptr<TlsContext>> load(const TlsFiles& files);
  virtual ~TlsContext() = default;
  virtual std::unique_ptr<Transport> transport(asio::ip::tcp::socket socket) = 0;  // may outlive it
};

}  // namespace kiln::server
