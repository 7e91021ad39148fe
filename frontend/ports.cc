#include "frontend/ports.h"

#include "base/strings.h"

#include <cstdint>
#include <string_view>

#include <arpa/inet.h>

namespace kiln::frontend {
namespace {

struct Range {
  uint32_t first = 0, last = 0;
};

Result<uint32_t> parse_port(const std::string& text) {
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  const Result<int64_t> value = digits && text.size() <= 10 ? parse_int(text) : Result<int64_t>(-1);
  if (!value || *value < 0 || *value > UINT16_MAX)
    return fail(Code::kInvalidArgument, "not a port");
  return static_cast<uint32_t>(*value);
}

Result<Range> parse_range(const std::string& text) {
  const std::vector<std::string> ends = split(text, '-');
  if (ends.size() > 2) return fail(Code::kInvalidArgument, "not a range");
  Range range;
  KILN_TRY_ASSIGN(range.first, parse_port(ends.front()));
  KILN_TRY_ASSIGN(range.last, parse_port(ends.back()));
  if (range.last < range.first) return fail(Code::kInvalidArgument, "range ends before it starts");
  return range;
}

bool is_ip(std::string text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  unsigned char buffer[16];
  return inet_pton(AF_INET, text.c_str(), buffer) == 1 ||
         inet_pton(AF_INET6, text.c_str(), buffer) == 1;
}

Status check_host(const std::string& ip, const std::string& host, const std::string& port,
                  const Range& range) {
  if (!ip.empty() && !is_ip(ip)) return fail(Code::kInvalidArgument, "invalid IP address: " + ip);
  if (host.empty()) return {};
  const Result<Range> mapped = parse_range(host);
  if (!mapped) return fail(Code::kInvalidArgument, "invalid hostPort: " + host);
  if (range.first != range.last && mapped->last - mapped->first != range.last - range.first) {
    return fail(Code::kInvalidArgument,
                "invalid ranges specified for container and host Ports: " + port + " and " + host);
  }
  return {};
}

Status append_ports(const std::string& spec, std::vector<std::string>& out) {
  std::vector<std::string> parts = split(spec, ':');
  const std::string last = parts.back();
  const size_t slash = last.find('/');
  const std::string port = last.substr(0, slash);
  std::string proto = slash == std::string::npos ? "" : to_lower(last.substr(slash + 1));
  if (port.empty()) {
    return fail(Code::kInvalidArgument, "no port specified: " + spec + "<empty>");
  }
  if (proto.empty()) proto = "tcp";
  if (proto != "tcp" && proto != "udp" && proto != "sctp") {
    return tl::unexpected(
        Error(Code::kInvalidArgument, "invalid proto: " + proto).hint("use tcp, udp or sctp"));
  }
  const Result<Range> range = parse_range(port);
  if (!range) return fail(Code::kInvalidArgument, "invalid containerPort: " + port);
  parts.pop_back();
  const std::string host = parts.empty() ? "" : parts.back();
  if (!parts.empty()) parts.pop_back();
  KILN_TRY(check_host(join(parts, ":"), host, port, *range));
  for (uint32_t p = range->first; p <= range->last; ++p) {
    out.push_back(std::to_string(p) + "/" + proto);
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> parse_ports(const std::vector<std::string>& specs) {
  std::vector<std::string> out;
  for (const std::string& spec : specs) KILN_TRY(append_ports(spec, out));
  return out;
}

}  // namespace kiln::frontend
