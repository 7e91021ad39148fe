// Any bytes as a pb.Definition, and as one op of a whole one: a mutated op has another digest, so
// that nothing would refer to it. What is accepted can be written, read back, and is then the same.
#include <string>
#include <string_view>

#include "base/digest.h"
#include "llb/codec.h"
#include "tests/fuzz/fuzz.h"

namespace kiln::fuzz {
namespace {

void check_definition(std::string_view bytes) {
  const Result<llb::Graph> graph = llb::unmarshal_definition(bytes);
  if (!graph) return;
  const std::string written = llb::marshal_definition(*graph);
  const Result<llb::Graph> again = llb::unmarshal_definition(written);
  KILN_CHECK(again);
  KILN_CHECK(llb::marshal_definition(*again) == written);
}

// A field of protobuf's wire format that holds bytes.
std::string field(unsigned number, std::string_view bytes) {
  std::string out(1, static_cast<char>(number << 3U | 2U));
  size_t rest = bytes.size();
  for (; rest >= 0x80; rest >>= 7U) out.push_back(static_cast<char>((rest & 0x7FU) | 0x80U));
  out.push_back(static_cast<char>(rest));
  return out.append(bytes);
}

// Ops of the seeds read from this one: its digest is in them.
std::string base_op() {
  return field(3, field(1, "docker-image://docker.io/library/a:1"));
}

std::string definition_around(std::string_view op) {
  const std::string terminal = field(1, field(1, Digest::of(op).to_string()));
  return field(1, base_op()) + field(1, op) + field(1, terminal);
}

}  // namespace
}  // namespace kiln::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  kiln::fuzz::check_definition(kiln::fuzz::view(bytes, size));
  kiln::fuzz::check_definition(kiln::fuzz::definition_around(kiln::fuzz::view(bytes, size)));
  return 0;
}
