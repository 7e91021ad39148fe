// One connection of http_server.h: reads requests one after the other and answers them.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/server/transport.h"

namespace kiln::server {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// What all connections of a server have in common.
  struct Shared {
    const HttpOptions& options;
    Handler& handler;
    Gauges& gauges;
    asio::thread_pool& pool;
    const std::atomic<bool>& draining;
  };
  Connection(std::unique_ptr<Transport> transport, const Shared& shared, std::string peer);

  asio::awaitable<void> serve();
  const std::string& peer() const { return peer_; }
  // From any thread.
  bool is_overdue() const { return transport_->deadline.is_over(); }
  void abort() { transport_->abort(); }
  void stop_if_idle() {
    if (idle_) abort();
  }

 private:
  class Input;     // bytes read and not used yet, and the parser's place in them
  struct Outcome;  // of a body: an early answer, or whether all came
  asio::awaitable<bool> exchange(Input& input);
  asio::awaitable<Outcome> receive(Input& input, BodyReceiver& receiver, uint64_t& received);
  asio::awaitable<bool> answer(const Request& request, const Response& response, bool keep);
  asio::awaitable<bool> send_stream(const StreamedBody& body);
  asio::awaitable<void> linger(Input& input);
  void report(Request request, int status, uint64_t in_bytes, uint64_t out_bytes);

  const Shared& shared_;
  const std::string peer_;
  std::unique_ptr<Transport> transport_;
  std::atomic<bool> idle_{true};
};

}  // namespace kiln::server
