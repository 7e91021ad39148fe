// testdata/llb/<case>/Dockerfile against expected.json (the graph) and config.json (the image).
// KILN_ACCEPT=1 rewrites.
#include "llb/codec.h"
#include "llb/dump.h"
#include "tests/unit/frontend/convert_support.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace kiln::frontend {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void expect_golden(const fs::path& path, const std::string& actual) {
  if (std::getenv("KILN_ACCEPT") != nullptr) std::ofstream(path) << actual;
  EXPECT_EQ(read(path), actual) << path;
}

std::vector<std::string> cases() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(KILN_SOURCE_DIR "/testdata/llb")) {
    out.push_back(entry.path().filename());
  }
  std::sort(out.begin(), out.end());
  return out;
}

class GoldenTest : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenTest, GivesTheGraphAndTheConfig) {
  const fs::path dir = fs::path(KILN_SOURCE_DIR "/testdata/llb") / GetParam();
  const Converted c(read(dir / "Dockerfile"), [](FrontendRequest& request) {
    request.named_contexts["docs"] = {ContextRef::Kind::kLocal, "docs", {}};
    request.context.exclude_patterns = {".git"};
  });
  expect_golden(dir / "expected.json", llb::dump_json(c.result().graph));
  expect_golden(dir / "config.json", c.document().dump_pretty() + "\n");
  const auto back = llb::unmarshal_definition(llb::marshal_definition(c.result().graph));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(llb::dump_json(*back), llb::dump_json(c.result().graph));
}

INSTANTIATE_TEST_SUITE_P(Testdata, GoldenTest, ::testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace kiln::frontend
