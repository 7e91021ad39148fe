// testdata/ast/<case>/Dockerfile against expected.json: what `kiln debug ast` prints. KILN_ACCEPT=1
// rewrites.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "frontend/ast.h"
#include "frontend/parser.h"

namespace kiln::dockerfile {
namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(KILN_SOURCE_DIR) + "/testdata/ast")) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Errors, if there are any, follow the array: a case may be about them.
std::string rendered(const std::string& text) {
  const Parsed parsed = parse(text, "Dockerfile");
  std::string out = ast_json(parsed.ast);
  for (const Error& error : parsed.errors) out += "error: " + error.to_string() + "\n";
  return out;
}

class AstGoldenTest : public testing::TestWithParam<std::string> {};

TEST_P(AstGoldenTest, PrintsTheExpectedTree) {
  const auto folder = std::filesystem::path(KILN_SOURCE_DIR) / "testdata/ast" / GetParam();
  const std::string actual = rendered(read(folder / "Dockerfile"));
  if (std::getenv("KILN_ACCEPT") != nullptr) {
    std::ofstream(folder / "expected.json", std::ios::binary) << actual;
    return;
  }
  EXPECT_EQ(actual, read(folder / "expected.json"));
}

INSTANTIATE_TEST_SUITE_P(Cases, AstGoldenTest, testing::ValuesIn(case_names()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace kiln::dockerfile
