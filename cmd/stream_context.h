// Standard input as a build context: a tar, compressed or not, or a bare Dockerfile.
#pragma once

#include "base/io.h"
#include "base/result.h"

#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>

namespace kiln::cmd {

/// All of standard input. kResourceExhausted beyond `limit_bytes`.
Result<std::string> read_stdin(uint64_t limit_bytes);

/// Standard input is unpacked into `directory` (existing, empty) if it is an archive, else returned
/// as the text of a Dockerfile; "" for an archive, and `is_archive` says so. Its content decides.
/// An archive is never held in memory; what SAFETY.md 1.2 lists is refused (kInvalidArgument).
struct StreamContext {
  bool is_archive = false;
  std::string dockerfile;
};
Result<StreamContext> read_stream(const std::string& directory, std::stop_token stop);

/// What looks_like_archive() needs of a stream: its first 512 bytes, or all of a shorter one.
Result<std::string> read_head(Source& from);
/// True if `head`, the first 512 bytes or all of a shorter stream, begins an archive: compressed,
/// or a tar header whose checksum fits, or a tar's end.
bool looks_like_archive(std::string_view head);

}  // namespace kiln::cmd
