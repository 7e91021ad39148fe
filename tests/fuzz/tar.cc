// Any bytes as an uncompressed tar. Entries that are let through stay below the root.
#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "base/io.h"
#include "oci/tar.h"
#include "tests/fuzz/fuzz.h"

namespace kiln::fuzz {
namespace {

constexpr int kMaxReads = 256;  // of one file: a few bytes can claim a sparse file of 8 EiB

void read_all(oci::TarReader& reader) {
  std::array<std::byte, 4096> buffer;
  for (;;) {
    const auto entry = reader.next();
    if (!entry || !*entry) return;
    KILN_CHECK(RelPath::strict((*entry)->path.str()));
    for (int i = 0; i < kMaxReads; ++i) {
      const Result<size_t> got = reader.read(buffer);
      if (!got || *got == 0) break;
      KILN_CHECK(*got <= buffer.size());
    }
  }
}

}  // namespace
}  // namespace kiln::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  auto reader = kiln::oci::TarReader::open(
      std::make_unique<kiln::StringSource>(std::string(kiln::fuzz::view(bytes, size))));
  if (reader) kiln::fuzz::read_all(**reader);
  return 0;
}
