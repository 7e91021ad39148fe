#include "cache/server/http_server.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "cache/server/http_connection.h"
#include "cache/server/transport.h"

namespace kiln::server {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kSweepPause = std::chrono::milliseconds(200);
constexpr auto kAcceptPause = std::chrono::milliseconds(100);
constexpr auto kAbortGrace = std::chrono::seconds(5);

// Signals are for the thread that started the server: its own threads block them all.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old_);  // cannot fail with a valid set
  }
  ~BlockedSignals() { (void)pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t old_{};
};

class AsioServer : public HttpServer {
 public:
  AsioServer(const HttpOptions& options, Handler& handler, Gauges& gauges)
      : options_(options),
        gauges_(gauges),
        pool_(options.disk_threads),
        shared_{options_, handler, gauges, pool_, draining_},
        acceptor_(context_),
        sweep_timer_(context_) {}
  ~AsioServer() override { stop(); }

  Status listen() {
    if (options_.tls) {
      KILN_TRY_ASSIGN(tls_, TlsContext::load(*options_.tls));
    }
    const std::string name = options_.host + ":" + std::to_string(options_.port);
    error_code error;
    tcp::resolver resolver(context_);
    const auto found = resolver.resolve(options_.host, std::to_string(options_.port),
                                        tcp::resolver::passive, error);
    if (error || found.empty())
      return fail(Code::kInvalidArgument, "resolve \"" + name + "\": " + error.message());
    const tcp::endpoint endpoint = found.begin()->endpoint();
    if (!error) (void)acceptor_.open(endpoint.protocol(), error);
    if (!error) (void)acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) (void)acceptor_.bind(endpoint, error);
    if (!error) (void)acceptor_.listen(tcp::acceptor::max_listen_connections, error);
    if (error) return fail(Code::kUnavailable, "listen on \"" + name + "\": " + error.message());
    port_ = acceptor_.local_endpoint(error).port();
    return {};
  }

  void run() {
    asio::co_spawn(context_, accept_all(), [](const std::exception_ptr&) {});
    asio::co_spawn(context_, sweep(), [](const std::exception_ptr&) {});
    for (size_t i = 0; i < options_.io_threads; ++i)
      threads_.emplace_back([this] { context_.run(); });
  }

  uint16_t port() const override { return port_; }

  Status replace_tls(const TlsFiles& files) override {
    if (!options_.tls) return fail(Code::kFailedPrecondition, "the server speaks no TLS");
    KILN_TRY_ASSIGN(std::unique_ptr<TlsContext> loaded, TlsContext::load(files));
    const std::lock_guard lock(mutex_);
    tls_ = std::move(loaded);
    return {};
  }

  void stop() override {
    if (stopped_) return;
    stopped_ = true;
    draining_ = true;
    asio::post(context_, [this] {
      error_code error;
      (void)acceptor_.close(error);  // nothing to do about it
    });
    for_each([](Connection& connection) { connection.stop_if_idle(); });
    if (!wait_until_empty(options_.stop_grace)) {
      for_each([](Connection& connection) { connection.abort(); });
      (void)wait_until_empty(kAbortGrace);
    }
    context_.stop();
    for (std::jthread& thread : threads_) thread.join();
    pool_.join();
    const std::lock_guard lock(mutex_);
    connections_.clear();  // sockets end before their context does
  }

 private:
  asio::awaitable<void> accept_all() {
    while (!draining_) {
      error_code error;
      auto token = asio::redirect_error(asio::use_awaitable, error);
      tcp::socket socket(asio::make_strand(context_));
      co_await acceptor_.async_accept(socket, token);
      if (draining_) co_return;
      if (error) {  // no descriptors left, mostly: they come back
        asio::steady_timer pause(context_, kAcceptPause);
        auto pause_token = asio::redirect_error(asio::use_awaitable, error);
        co_await pause.async_wait(pause_token);
        continue;
      }
      take(std::move(socket));
    }
  }

  void take(tcp::socket socket) {
    error_code error;
    const tcp::endpoint peer = socket.remote_endpoint(error);
    if (error) return;                                    // it went already
    (void)socket.set_option(tcp::no_delay(true), error);  // a wish
    const std::string address = peer.address().to_string(error);
    const auto executor = socket.get_executor();
    std::shared_ptr<Connection> connection;
    {
      const std::lock_guard lock(mutex_);
      size_t& of_client = clients_[address];
      if (connections_.size() >= options_.max_connections ||
          of_client >= options_.max_connections_per_client) {
        if (of_client == 0) clients_.erase(address);
        ++gauges_.refused_connections;
        return;
      }
      ++of_client;
      auto transport =
          tls_ ? tls_->transport(std::move(socket)) : make_plain_transport(std::move(socket));
      connection = std::make_shared<Connection>(std::move(transport), shared_, address);
      connections_.emplace(connection.get(), connection);
    }
    ++gauges_.connections;
    asio::co_spawn(executor, connection->serve(),
                   [this, connection](const std::exception_ptr&) { forget(*connection); });
  }

  void forget(Connection& connection) {
    --gauges_.connections;
    const std::lock_guard lock(mutex_);
    const auto client = clients_.find(connection.peer());
    if (--client->second == 0) clients_.erase(client);
    connections_.erase(&connection);
    if (connections_.empty()) empty_.notify_all();
  }

  // One timer for all connections: those that showed no progress for too long are ended.
  asio::awaitable<void> sweep() {
    while (true) {
      error_code error;
      sweep_timer_.expires_after(kSweepPause);
      auto token = asio::redirect_error(asio::use_awaitable, error);
      co_await sweep_timer_.async_wait(token);
      for_each([this](Connection& connection) {
        if (!connection.is_overdue()) return;
        ++gauges_.timeouts;
        connection.abort();
      });
    }
  }

  template <class F>
  void for_each(const F& visit) {
    const std::lock_guard lock(mutex_);
    for (auto& [key, connection] : connections_) visit(*connection);
  }

  bool wait_until_empty(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return empty_.wait_for(lock, time, [&] { return connections_.empty(); });
  }

  const HttpOptions options_;
  Gauges& gauges_;
  std::atomic<bool> draining_{false};
  asio::thread_pool pool_;
  Connection::Shared shared_;

  std::mutex mutex_;  // of these four
  std::unique_ptr<TlsContext> tls_;
  std::condition_variable empty_;
  std::map<Connection*, std::shared_ptr<Connection>> connections_;
  std::map<std::string, size_t> clients_;

  asio::io_context context_;  // after what its coroutines use
  tcp::acceptor acceptor_;
  asio::steady_timer sweep_timer_;
  uint16_t port_ = 0;
  bool stopped_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpOptions& options, Handler& handler,
                                                      Gauges& gauges) {
  const BlockedSignals blocked;
  auto server = std::make_unique<AsioServer>(options, handler, gauges);
  KILN_TRY(server->listen());
  server->run();
  return server;
}

}  // namespace kiln::server
