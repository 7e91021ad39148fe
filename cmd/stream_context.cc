#include "cmd/stream_context.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "oci/compression.h"
#include "oci/tar.h"
#include "snapshotter/layer_apply.h"

#include <algorithm>
#include <memory>

namespace kiln::cmd {
namespace {

constexpr size_t kTarBlock = 512;
constexpr size_t kChecksumAt = 148, kChecksumEnd = 156;
constexpr uint64_t kStreamedDockerfileLimit = 64U << 20U;

Result<std::unique_ptr<Source>> open_stdin() {
  Fd input(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!input.valid()) return fail_errno("read", "standard input");
  return std::make_unique<FdSource>(std::move(input), "standard input");
}

// The field is octal digits, perhaps after blanks, up to a NUL or a blank.
bool checksum_fits(std::string_view block) {
  uint64_t sum = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    const bool in_field = i >= kChecksumAt && i < kChecksumEnd;
    sum += in_field ? ' ' : static_cast<unsigned char>(block[i]);
  }
  uint64_t stored = 0;
  bool any = false;
  for (const char c : block.substr(kChecksumAt, kChecksumEnd - kChecksumAt)) {
    if (c >= '0' && c <= '7') {
      stored = stored * 8 + static_cast<uint64_t>(c - '0');
      any = true;
    } else if (any || c != ' ') {
      break;
    }
  }
  return any && stored == sum;
}

Status unpack(std::unique_ptr<Source> from, const std::string& directory, std::stop_token stop) {
  KILN_TRY_ASSIGN(const Root root, Root::open(directory));
  KILN_TRY_ASSIGN(std::unique_ptr<Source> tar, oci::decompress(std::move(from)));
  KILN_TRY_ASSIGN(const std::unique_ptr<oci::TarReader> reader,
                  oci::TarReader::open(std::move(tar)));
  ApplyOptions apply;
  apply.mode = ApplyMode::kArchive;
  return apply_layer(*reader, root, apply, std::move(stop)).map([](uint64_t) {});
}

}  // namespace

bool looks_like_archive(std::string_view head) {
  if (oci::detect_compression(as_bytes(head.substr(0, 6))) != oci::Detected::kNone) return true;
  if (head.size() < kTarBlock) return false;
  const std::string_view block = head.substr(0, kTarBlock);
  return block.find_first_not_of('\0') == std::string_view::npos || checksum_fits(block);
}

Result<std::string> read_head(Source& from) {
  std::string head(kTarBlock, '\0');
  size_t size = 0;
  while (size < head.size()) {
    KILN_TRY_ASSIGN(
        const size_t count,
        from.read(std::as_writable_bytes(std::span(head.data() + size, head.size() - size))));
    if (count == 0) break;
    size += count;
  }
  head.resize(size);
  return head;
}

Result<std::string> read_stdin(uint64_t limit_bytes) {
  KILN_TRY_ASSIGN(const std::unique_ptr<Source> input, open_stdin());
  return read_all(*input, limit_bytes, "standard input");
}

Result<StreamContext> read_stream(const std::string& directory, std::stop_token stop) {
  KILN_TRY_ASSIGN(std::unique_ptr<Source> input, open_stdin());
  KILN_TRY_ASSIGN(const std::string head, read_head(*input));
  StreamContext context;
  context.is_archive = looks_like_archive(head);
  auto whole = std::make_unique<PrefixedSource>(as_bytes(head), std::move(input));
  if (!context.is_archive) {
    KILN_TRY_ASSIGN(context.dockerfile,
                    read_all(*whole, kStreamedDockerfileLimit, "standard input"));
    return context;
  }
  const Status unpacked = unpack(std::move(whole), directory, std::move(stop));
  if (!unpacked)
    return tl::unexpected(unpacked.error().wrap("unpack the context from standard input"));
  return context;
}

}  // namespace kiln::cmd
