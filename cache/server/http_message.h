// Requests and responses apart from any network: what a parser hands to the handlers and what they
// hand back. A body is not in the request: a handler that wants it returns a receiver, which is fed
// as the bytes arrive, so that no slow client occupies a thread.
#pragma once

#include "base/fd.h"
#include "base/io.h"
#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace kiln::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;
  std::string path;                        // percent-decoded
  std::string query;                       // as sent, without "?"
  Headers headers = {};                    // names in lower case
  std::optional<uint64_t> body_bytes = 0;  // nullopt: chunked, unknown
  std::string peer = {};                   // the address at the other end of the connection
  std::string certificate_name = {};       // common name of a verified client certificate; "": none
  std::string principal = {};              // who was authenticated; "": nobody
  std::string client = {};                 // the peer, or whom a trusted proxy names

  std::optional<std::string> header(std::string_view lower_case_name) const;  // the first
  /// All values of that header, split at commas, trimmed.
  std::vector<std::string> header_list(std::string_view lower_case_name) const;
  std::optional<std::string> parameter(std::string_view name) const;  // of the query, decoded
};

/// A part of an open file, sent without a copy where the connection allows it.
struct FileRange {
  Fd fd;
  uint64_t offset = 0;
  uint64_t length = 0;  // bytes
};

/// Bytes that are fetched while they are sent: pulled piece by piece, as the client takes them, on
/// threads that may block. An error, or too few bytes, cuts the connection.
struct StreamedBody {
  std::unique_ptr<Source> source;
  uint64_t length = 0;  // bytes
};

struct Response {
  int status = 200;
  Headers headers = {};  // without Content-Length, which follows from the body
  std::variant<std::string, FileRange, StreamedBody> body = {};  // not sent for HEAD
  std::string log = {};  // for the operator: what went wrong here
  uint64_t body_bytes() const;
};

/// Takes the body of one request, piece by piece, in order, on threads that may block. Destroyed
/// without finish(): the client went away.
class BodyReceiver {
 public:
  virtual ~BodyReceiver() = default;
  /// A response ends the exchange early; the rest of the body is of no interest.
  virtual std::optional<Response> write(std::span<const std::byte> data) = 0;
  virtual Response finish() = 0;  // the whole body was written
};

/// What a request leads to: an answer now, or after its body.
using Started = std::variant<Response, std::unique_ptr<BodyReceiver>>;

/// Thread-safe. Called when the head of a request is there; may block.
class Handler {
 public:
  virtual ~Handler() = default;
  /// What can be said without blocking, however long others are blocked; nullopt: ask start().
  virtual std::optional<Response> answer_at_once(Request&) { return std::nullopt; }
  /// May write down who asks.
  virtual Started start(Request& request) = 0;
  /// Told about every request when it is over: how many bytes came and went, and with which status.
  virtual void finished(const Request& request, int status, uint64_t in_bytes,
                        uint64_t out_bytes) = 0;
};

/// "%41" to "A"; nullopt for a broken escape or a NUL byte.
std::optional<std::string> percent_decode(std::string_view text);
/// All but unreserved characters as %XX.
std::string percent_encode(std::string_view text);
/// The reason phrase of a status: "Not Found".
std::string_view reason_of(int status);

/// What a Range header (RFC 9110, 14.1.2) asks of `size` bytes. Several ranges, other units and
/// nonsense count as no range at all, as the RFC allows.
struct WantedRange {
  enum class Kind : uint8_t { kAll, kPart, kUnsatisfiable } kind = Kind::kAll;
  uint64_t offset = 0, length = 0;  // of kPart
};
WantedRange wanted_range(std::string_view header, uint64_t size);

}  // namespace kiln::server
