#include "tests/fakes/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <mutex>
#include <thread>

#include "base/fd.h"
#include "base/strings.h"

namespace kiln::fake {
namespace {

constexpr size_t kMaxRequestBytes = 64U << 20U;
constexpr std::string_view kHeaderEnd = "\r\n\r\n";

std::optional<std::string> find_header(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers)
    if (equal_fold(key, name)) return value;
  return std::nullopt;
}

size_t parse_size(std::string_view text, int base) {
  size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

// One client. Reads requests and writes responses; every wait also ends when the server stops.
class Connection {
 public:
  Connection(Fd socket, int stop_fd) : socket_(std::move(socket)), stop_fd_(stop_fd) {}

  std::optional<Request> read_request();
  /// False: the connection is over.
  bool write_response(const Request& request, const Response& response);

 private:
  bool wait_readable() const;
  bool read_more();
  bool read_until(size_t bytes);
  bool read_chunked(std::string& body);
  std::string take(size_t bytes);
  bool send_all(std::string_view data) const;
  void end_with(Fault fault);

  Fd socket_;
  int stop_fd_;
  std::string buffer_;  // received, not yet used
};

bool Connection::wait_readable() const {
  std::array<pollfd, 2> fds = {pollfd{socket_.get(), POLLIN, 0}, pollfd{stop_fd_, POLLIN, 0}};
  while (::poll(fds.data(), fds.size(), -1) < 0 && errno == EINTR) {
  }
  return fds[1].revents == 0;
}

bool Connection::read_more() {
  std::array<char, 65536> chunk{};
  if (!wait_readable() || buffer_.size() > kMaxRequestBytes) return false;
  const ssize_t n = ::recv(socket_.get(), chunk.data(), chunk.size(), 0);
  if (n <= 0) return false;
  buffer_.append(chunk.data(), static_cast<size_t>(n));
  return true;
}

bool Connection::read_until(size_t bytes) {
  while (buffer_.size() < bytes)
    if (!read_more()) return false;
  return true;
}

std::string Connection::take(size_t bytes) {
  std::string data = buffer_.substr(0, bytes);
  buffer_.erase(0, bytes);
  return data;
}

bool Connection::read_chunked(std::string& body) {
  for (;;) {
    size_t line_end = 0;
    while ((line_end = buffer_.find("\r\n")) == std::string::npos)
      if (!read_more()) return false;
    const size_t bytes = parse_size(take(line_end + 2), 16);
    if (!read_until(bytes + 2)) return false;
    body.append(take(bytes));
    (void)take(
        2);  // the line end after each chunk, and after the last one: trailers are not supported
    if (bytes == 0) return true;
  }
}

std::optional<Request> Connection::read_request() {
  size_t end = 0;
  while ((end = buffer_.find(kHeaderEnd)) == std::string::npos)
    if (!read_more()) return std::nullopt;
  const std::vector<std::string> lines = split(take(end + kHeaderEnd.size()), '\n');
  const std::vector<std::string> words = split(trim(lines[0]), ' ');
  if (words.size() != 3) return std::nullopt;
  Request request;
  request.method = words[0];
  request.target = words[1];
  request.path = request.target.substr(0, request.target.find('?'));
  if (request.path.size() < request.target.size())
    request.query = request.target.substr(request.path.size() + 1);
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::string_view line = trim(lines[i]);
    if (const size_t colon = line.find(':'); colon != std::string_view::npos)
      request.headers.emplace_back(to_lower(line.substr(0, colon)), trim(line.substr(colon + 1)));
  }
  if (request.header("expect") && !send_all("HTTP/1.1 100 Continue\r\n\r\n")) return std::nullopt;
  if (request.header("transfer-encoding"))
    return read_chunked(request.body) ? std::optional(request) : std::nullopt;
  const size_t length = parse_size(request.header("content-length").value_or("0"), 10);
  if (!read_until(length)) return std::nullopt;
  request.body = take(length);
  return request;
}

bool Connection::send_all(std::string_view data) const {
  while (!data.empty()) {
    const ssize_t n = ::send(socket_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    data.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void Connection::end_with(Fault fault) {
  if (fault == Fault::kReset) {
    const linger now{1, 0};  // close(2) then sends RST
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  if (fault == Fault::kStall)
    while (read_more()) buffer_.clear();
  socket_.reset();
}

bool Connection::write_response(const Request& request, const Response& response) {
  if (response.raw) {
    (void)send_all(*response.raw);  // the connection ends either way
    return false;
  }
  std::string text = "HTTP/1.1 " + std::to_string(response.status) + " Fake\r\n";
  for (const auto& [name, value] : response.headers) text += name + ": " + value + "\r\n";
  const bool framed = find_header(response.headers, "content-length") ||
                      find_header(response.headers, "transfer-encoding");
  if (!framed && response.status != 204 && response.status != 304)
    text += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
  text += "\r\n";
  const bool faulty = response.fault != Fault::kNone;
  if (request.method != "HEAD")
    text += faulty ? response.body.substr(0, response.fault_after) : response.body;
  if (faulty && response.silent) text.clear();
  const bool sent = send_all(text);
  if (faulty) end_with(response.fault);
  return sent && !faulty;
}

}  // namespace

std::optional<std::string> Request::header(std::string_view lower_case_name) const {
  return find_header(headers, lower_case_name);
}

struct HttpServer::State {
  Handler handler;
  Fd listener;
  Fd stop;  // readable once the server stops; nobody reads it
  uint16_t port = 0;
  std::thread acceptor;
  std::vector<std::thread> clients;  // acceptor thread only, until it has ended
  mutable std::mutex mutex;          // protects requests
  std::vector<Request> requests;

  void accept_loop();
  void serve(Fd socket, size_t number);
};

void HttpServer::State::serve(Fd socket, size_t number) {
  Connection connection(std::move(socket), stop.get());
  while (std::optional<Request> request = connection.read_request()) {
    request->connection = number;
    {
      const std::lock_guard<std::mutex> lock(mutex);
      requests.push_back(*request);
    }
    if (!connection.write_response(*request, handler(*request))) return;
  }
}

void HttpServer::State::accept_loop() {
  for (;;) {
    std::array<pollfd, 2> fds = {pollfd{listener.get(), POLLIN, 0}, pollfd{stop.get(), POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[1].revents != 0) return;
    Fd socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket.valid()) continue;
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const size_t number = clients.size() + 1;
    clients.emplace_back(
        [this, number, owned = std::move(socket)]() mutable { serve(std::move(owned), number); });
  }
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {
  state_->acceptor = std::thread([s = state_.get()] { s->accept_loop(); });
}

HttpServer::~HttpServer() {
  (void)::eventfd_write(state_->stop.get(), 1);  // an eventfd at 0 always takes a 1
  state_->acceptor.join();
  for (std::thread& client : state_->clients) client.join();
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(Handler handler) {
  auto state = std::make_unique<State>();
  state->handler = std::move(handler);
  state->stop = Fd(::eventfd(0, EFD_CLOEXEC));
  state->listener = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // The sockets API takes every family through this one pointer type.
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  const int listener = state->listener.get();
  if (!state->stop.valid() || ::bind(listener, generic, length) != 0 ||
      ::listen(listener, SOMAXCONN) != 0 || ::getsockname(listener, generic, &length) != 0)
    return fail_errno("listen on loopback", "");
  state->port = ntohs(address.sin_port);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

uint16_t HttpServer::port() const {
  return state_->port;
}

std::string HttpServer::host() const {
  return "127.0.0.1:" + std::to_string(state_->port);
}

std::string HttpServer::url(std::string_view path) const {
  return "http://" + host() + std::string(path);
}

std::vector<Request> HttpServer::requests() const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return state_->requests;
}

size_t HttpServer::count(std::string_view method, std::string_view path) const {
  const std::lock_guard<std::mutex> lock(state_->mutex);
  return static_cast<size_t>(std::count_if(
      state_->requests.begin(), state_->requests.end(),
      [&](const Request& request) { return request.method == method && request.path == path; }));
}

}  // namespace kiln::fake
