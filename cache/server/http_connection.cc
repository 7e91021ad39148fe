#include "cache/server/http_connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <ctime>

#include "base/strings.h"
#include "cache/server/api_error.h"

namespace kiln::server {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

constexpr size_t kHeadReadBytes = 4U << 10U;
constexpr size_t kBodyChunkBytes = 64U << 10U;
// What a client may still send after an early answer, so that it reads that answer.
constexpr uint64_t kMaxLingerBytes = 4U << 20U;
constexpr auto kMaxLinger = std::chrono::seconds(5);

// g++ 12 destroys temporaries in an operand of co_await twice: what is not trivial to destroy gets
// a name first.

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  struct tm parts {};
  std::array<char, 64> text{};
  (void)::gmtime_r(&now, &parts);  // fails for years that do not fit an int
  const size_t length =
      std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text.data(), length};
}

// A value from a request may stand in a response: no line of its own may come of it.
std::string header_text(const std::string& value) {
  std::string text = value;
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return text;
}

std::string head_of(const Response& response, bool keep) {
  std::string head = "HTTP/1.1 " + std::to_string(response.status) + " " +
                     std::string(reason_of(response.status)) + "\r\nDate: " + http_date() + "\r\n";
  for (const auto& [name, value] : response.headers)
    head += name + ": " + header_text(value) + "\r\n";
  if (response.status != 204 && response.status != 304)
    head += "Content-Length: " + std::to_string(response.body_bytes()) + "\r\n";
  head += keep ? "\r\n" : "Connection: close\r\n\r\n";
  return head;
}

Response plain_error(int status, std::string message) {
  return error_response(ApiError(status, api::kUnknown, std::move(message)));
}

}  // namespace

/// The bytes of a connection, and the request that is being taken from them.
class Connection::Input {
 public:
  using Parser = http::request_parser<http::buffer_body>;
  Input(Transport& from, const HttpOptions& limits) : transport(from), options(limits) {}

  asio::awaitable<bool> read_more(size_t at_most) {
    const auto space = buffer.prepare(at_most);
    const size_t n = co_await transport.read_some(
        std::span(static_cast<std::byte*>(space.data()), space.size()));
    buffer.commit(n);
    co_return n > 0;
  }

  /// 0: a head is there. -1: the connection ended. Otherwise the status of a refusal.
  asio::awaitable<int> read_head(std::atomic<bool>& idle) {
    parser.emplace();
    parser->header_limit(static_cast<uint32_t>(options.max_header_bytes));
    parser->body_limit(UINT64_MAX);  // receivers have limits of their own
    transport.deadline.in(options.idle_timeout);
    while (true) {
      if (buffer.size() > 0) {
        if (idle.exchange(false)) transport.deadline.in(options.header_timeout);
        error_code error;
        const size_t used = parser->put(buffer.data(), error);
        buffer.consume(used);
        head_bytes += used;
        if (parser->is_header_done()) break;
        if (error && error != http::error::need_more) {
          problem = error.message();
          co_return error == http::error::header_limit ? 431 : 400;
        }
        if (head_bytes + buffer.size() > options.max_header_bytes) co_return 431;
      }
      const bool more = co_await read_more(kHeadReadBytes);
      if (!more) co_return -1;
    }
    head_bytes = 0;
    left = parser->content_length() ? *parser->content_length() : 0;
    co_return check_framing();
  }

  std::optional<Request> request() const {
    const auto& message = parser->get();
    const auto view = [](boost::beast::string_view text) {
      return std::string_view(text.data(), text.size());
    };
    const std::string_view target = view(message.target());
    const size_t question = target.find('?');
    std::optional<std::string> path = percent_decode(target.substr(0, question));
    if (!path || !path->starts_with('/')) return std::nullopt;
    Request request{std::string(view(message.method_string())), *std::move(path), ""};
    if (question != std::string_view::npos) request.query = target.substr(question + 1);
    for (const auto& field : message)
      request.headers.emplace_back(to_lower(view(field.name_string())), view(field.value()));
    request.body_bytes = left;
    if (parser->chunked()) request.body_bytes.reset();
    return request;
  }

  bool is_chunked() const { return parser->chunked(); }
  bool is_body_over() const { return is_chunked() ? parser->is_done() : left == 0; }

  /// Up to a chunk of the body; fewer bytes only at its end (of the connection: `broken`).
  asio::awaitable<size_t> read_body(std::span<std::byte> chunk) {
    size_t filled = 0;
    while (filled < chunk.size() && !is_body_over() && !broken) {
      transport.deadline.in(options.stall_timeout);
      if (is_chunked())
        filled += co_await read_encoded(chunk.subspan(filled));
      else
        filled += co_await read_counted(chunk.subspan(filled));
    }
    co_return filled;
  }

  Transport& transport;
  const HttpOptions& options;
  boost::beast::flat_buffer buffer;
  std::optional<Parser> parser;
  size_t head_bytes = 0;
  uint64_t left = 0;       // of a body whose length is known
  bool broken = false;     // no more of the body comes
  bool malformed = false;  // because it cannot be told what of it is
  std::string problem = "its target is no path";

 private:
  // RFC 9112, 3.2 and 6.1. The parser takes the body of other codings for empty, so that its bytes
  // would be the next request; whoever passed this one on may have seen another body or host.
  int check_framing() {
    const auto& message = parser->get();
    const size_t codings = message.count(http::field::transfer_encoding);
    if (codings > 1 ||
        (codings == 1 &&
         !equal_fold(message[http::field::transfer_encoding].to_string(), "chunked"))) {
      problem = "bodies come with a length, or with Transfer-Encoding: chunked";
      return 501;
    }
    const bool is_old = message.version() < 11;
    if (is_old ? codings > 0 : message.count(http::field::host) != 1) {
      problem = is_old ? "HTTP/1.0 has no chunks" : "it names no host, or several";
      return 400;
    }
    return 0;
  }

  asio::awaitable<size_t> read_counted(std::span<std::byte> to) {
    to = to.first(std::min<uint64_t>(to.size(), left));
    size_t n = std::min(buffer.size(), to.size());
    if (n > 0) {
      std::copy_n(static_cast<const std::byte*>(buffer.data().data()), n, to.data());
      buffer.consume(n);
    } else {
      n = co_await transport.read_some(to);
      broken = n == 0;
    }
    left -= n;
    co_return n;
  }

  asio::awaitable<size_t> read_encoded(std::span<std::byte> to) {
    auto& body = parser->get().body();
    body.data = to.data();
    body.size = to.size();
    body.more = true;
    error_code error;
    buffer.consume(parser->put(buffer.data(), error));
    const size_t n = to.size() - body.size;
    const bool starved = error == http::error::need_more ||
                         (!error && n == 0 && !parser->is_done() && buffer.size() == 0);
    // What the parser leaves is the line before a chunk, or what follows the last one: it sets no
    // limit to those itself.
    malformed = starved ? buffer.size() > options.max_header_bytes
                        : error && error != http::error::need_buffer;
    broken = malformed;
    if (starved && !malformed) broken = !co_await read_more(kBodyChunkBytes);
    co_return n;
  }
};

struct Connection::Outcome {
  std::optional<Response> response;  // nothing: the client went away
};

Connection::Connection(std::unique_ptr<Transport> transport, const Shared& shared, std::string peer)
    : shared_(shared), peer_(std::move(peer)), transport_(std::move(transport)) {
  transport_->stall = shared_.options.stall_timeout;
  transport_->deadline.in(shared_.options.header_timeout);
}

asio::awaitable<void> Connection::serve() {
  const std::shared_ptr<Connection> self = shared_from_this();
  const bool ready = co_await transport_->handshake();
  if (!ready) co_return;
  Input input(*transport_, shared_.options);
  while (true) {
    const bool keep = co_await exchange(input);
    if (!keep) co_return;
    idle_ = true;
    if (shared_.draining) co_return;
  }
}

asio::awaitable<bool> Connection::exchange(Input& input) {
  const int refused = co_await input.read_head(idle_);
  if (refused < 0) co_return false;
  std::optional<Request> request;
  if (refused == 0) request = input.request();
  if (!request) {
    const Response response =
        plain_error(refused == 0 ? 400 : refused, "the request cannot be read: " + input.problem);
    const Request unreadable{"GET", "/", ""};
    (void)co_await answer(unreadable, response, false);  // it may be gone already
    co_await linger(input);
    co_return false;
  }
  request->peer = peer_;
  request->certificate_name = transport_->certificate_name();
  transport_->deadline.never();
  ++shared_.gauges.requests;
  uint64_t received = 0;
  Started started;
  if (std::optional<Response> at_once = shared_.handler.answer_at_once(*request))
    started = *std::move(at_once);
  else
    started = co_await on_pool(shared_.pool, [&] { return shared_.handler.start(*request); });
  Outcome outcome;
  if (auto* receiver = std::get_if<std::unique_ptr<BodyReceiver>>(&started)) {
    bool ready = true;
    if (equal_fold(request->header("expect").value_or(""), "100-continue"))
      ready = co_await transport_->write("HTTP/1.1 100 Continue\r\n\r\n");
    if (ready) outcome = co_await receive(input, **receiver, received);
    co_await on_pool(shared_.pool, [&] {
      receiver->reset();
      return true;
    });
  } else {
    outcome.response = std::move(std::get<Response>(started));
  }
  --shared_.gauges.requests;
  if (!outcome.response) {
    report(std::move(*request), 0, received, 0);
    co_return false;
  }
  const bool keep = input.is_body_over() && input.parser->get().keep_alive() && !shared_.draining;
  const bool sent = co_await answer(*request, *outcome.response, keep);
  const bool unread = !input.is_body_over();
  report(std::move(*request), outcome.response->status, received,
         sent ? outcome.response->body_bytes() : 0);
  if (unread && sent) co_await linger(input);
  co_return keep&& sent;
}

asio::awaitable<Connection::Outcome> Connection::receive(Input& input, BodyReceiver& receiver,
                                                         uint64_t& received) {
  Outcome outcome;
  std::vector<std::byte> chunk(
      std::min<uint64_t>(kBodyChunkBytes, input.is_chunked() ? kBodyChunkBytes : input.left));
  while (!input.is_body_over() && !input.broken) {
    const size_t n = co_await input.read_body(chunk);
    received += n;
    transport_->deadline.never();
    if (n == 0) continue;
    // Of a body that broke off too: an upload goes on from there.
    std::optional<Response> early =
        co_await on_pool(shared_.pool, [&] { return receiver.write(std::span(chunk).first(n)); });
    outcome.response = std::move(early);
    if (outcome.response) co_return std::move(outcome);
  }
  if (input.malformed)
    outcome.response = plain_error(400, "the chunks of the body cannot be read");
  else if (!input.broken)
    outcome.response = co_await on_pool(shared_.pool, [&] { return receiver.finish(); });
  co_return std::move(outcome);
}

asio::awaitable<bool> Connection::answer(const Request& request, const Response& response,
                                         bool keep) {
  std::string head = head_of(response, keep);
  const auto* text = std::get_if<std::string>(&response.body);
  const bool has_body = request.method != "HEAD" && response.body_bytes() > 0;
  if (text != nullptr && has_body) head += *text;
  const bool sent = co_await transport_->write(head);
  if (!sent || text != nullptr || !has_body) co_return sent;
  if (const auto* file = std::get_if<FileRange>(&response.body))
    co_return co_await transport_->send_file(*file, shared_.pool);
  co_return co_await send_stream(std::get<StreamedBody>(response.body));
}

// The next piece is fetched when the last one is with the kernel: a slow client holds no thread.
asio::awaitable<bool> Connection::send_stream(const StreamedBody& body) {
  std::vector<std::byte> buffer(std::min<uint64_t>(kBodyChunkBytes, body.length));
  for (uint64_t left = body.length; left > 0;) {
    const std::span<std::byte> space =
        std::span(buffer).first(std::min<uint64_t>(buffer.size(), left));
    transport_->deadline.never();  // it is not the client that is waited for
    // The source has written down what went wrong with it; the client sees too few bytes.
    const size_t n = co_await on_pool(
        shared_.pool, [&]() -> size_t { return body.source->read(space).value_or(0); });
    if (n == 0) co_return false;
    const bool written = co_await transport_->write(as_text(std::span(buffer).first(n)));
    if (!written) co_return false;
    left -= n;
  }
  co_return true;
}

// Closing with unread bytes would reset the connection, and with it the answer.
asio::awaitable<void> Connection::linger(Input& input) {
  transport_->deadline.in(kMaxLinger);
  co_await transport_->shutdown_send();
  std::vector<std::byte> dropped(kHeadReadBytes * 4);
  for (uint64_t total = 0; total < kMaxLingerBytes;) {
    const size_t n = co_await input.transport.read_some(dropped);
    if (n == 0) co_return;
    total += n;
  }
}

void Connection::report(Request request, int status, uint64_t in_bytes, uint64_t out_bytes) {
  asio::post(shared_.pool,
             [&handler = shared_.handler, request = std::move(request), status, in_bytes,
              out_bytes] { handler.finished(request, status, in_bytes, out_bytes); });
}

}  // namespace kiln::server
