// Small text tools that several layers need.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// The candidate with the smallest Levenshtein distance to `word` (case-insensitive) if that is <
/// 3; "" if there is none or if `word` is "" or a candidate. Ties: what begins alike, the first.
std::string closest_match(std::string_view word, std::span<const std::string> candidates);
/// " (did you mean X?)" or "".
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

std::string to_lower(std::string_view text);  // ASCII
std::string to_upper(std::string_view text);
std::string_view trim(std::string_view text);  // ASCII white space on both ends
std::vector<std::string> split(std::string_view text,
                               char separator);  // keeps empty fields; "" gives one empty field
std::string join(std::span<const std::string> parts, std::string_view separator);
bool equal_fold(std::string_view a, std::string_view b);  // ASCII
/// Go's strconv.Quote: double-quoted, non-printing and non-UTF-8 bytes escaped.
std::string quote(std::string_view text);
/// Control bytes (but \n and \t if `keep_lines`) as \xNN: what may reach a terminal (SAFETY.md 5).
enum class KeepLines : uint8_t { kNo, kYes };
std::string printable(std::string_view text, KeepLines keep_lines = KeepLines::kNo);
/// `text` with what stands before "@" in the authority of every URL in it left out: for messages,
/// names and records (SAFETY.md 5).
std::string without_credentials(std::string_view text);
/// "512", "64k", "2MiB", "1.5g": binary units as docker's go-units RAMInBytes. kInvalidArgument.
Result<uint64_t> parse_ram_bytes(std::string_view text);
Result<int64_t> parse_int(std::string_view text);  // decimal, whole string
std::string human_bytes(uint64_t bytes);  // "12.3kB", "4.5MB": decimal units, as docker prints
/// Go's encoding/csv for one record: quotes, doubled quotes. kInvalidArgument.
Result<std::vector<std::string>> parse_csv(std::string_view line);

}  // namespace kiln
