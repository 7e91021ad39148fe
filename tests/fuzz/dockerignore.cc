// Any bytes as an ignore file. What it says of a path must not depend on how it is asked: alone, or
// with what is known of the parents as a walk does.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/dockerignore.h"
#include "tests/fuzz/fuzz.h"

namespace kiln::fuzz {
namespace {

constexpr std::array<std::string_view, 3> kPaths = {"a/b/c/d", "src/main.cc", ".git/x-1/[y]*"};

void check_walk(const PatternMatcher& patterns, std::string_view path) {
  PatternMatcher::Parents parents;
  for (size_t end = path.find('/');; end = path.find('/', end + 1)) {
    const std::string_view part = path.substr(0, end);
    const PatternMatcher::Match match = patterns.match(part, parents);
    KILN_CHECK(match.excluded == patterns.matches(part));
    KILN_CHECK(match.excluded == patterns.match_file(part, parents));
    parents = match.self;
    if (end == std::string_view::npos) return;
  }
}

}  // namespace
}  // namespace kiln::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view text = kiln::fuzz::view(bytes, size);
  const auto patterns = kiln::dockerfile::parse_dockerignore(text, ".dockerignore");
  if (!patterns) {
    KILN_CHECK(patterns.error().to_string().starts_with(".dockerignore: "));
    return 0;
  }
  for (const std::string_view path : kiln::fuzz::kPaths) kiln::fuzz::check_walk(*patterns, path);
  return 0;
}
