#include "solver/executor/own_capabilities.h"

#include <charconv>
#include <string>

#include "base/fs.h"
#include "base/strings.h"

namespace kiln {
namespace {

constexpr uint64_t kMaxStatusBytes = 1U << 20U;

uint64_t mask_after(std::string_view line, std::string_view key) {
  if (!line.starts_with(key)) return 0;
  const std::string_view digits = trim(line.substr(key.size()));
  uint64_t mask = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), mask, 16);
  return error == std::errc() && end == digits.data() + digits.size() ? mask : 0;
}

}  // namespace

uint64_t parse_capabilities(std::string_view proc_status) {
  uint64_t permitted = 0, bounding = 0;
  for (const std::string& line : split(proc_status, '\n')) {
    permitted |= mask_after(line, "CapPrm:");
    bounding |= mask_after(line, "CapBnd:");
  }
  return permitted & bounding;
}

uint64_t own_capabilities() {
  return parse_capabilities(read_file("/proc/self/status", kMaxStatusBytes).value_or(""));
}

}  // namespace kiln
