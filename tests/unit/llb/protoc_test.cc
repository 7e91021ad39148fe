// What kiln writes is read by protoc from the same .proto: the independent reader that is at hand.
#include "llb/codec.h"
#include "tests/unit/llb/sample_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace kiln::llb {
namespace {

using ::testing::HasSubstr;

std::string decode_with_protoc(const std::string& bytes) {
  char dir[] = "/tmp/kiln-protoc-XXXXXX";
  KILN_CHECK(mkdtemp(dir) != nullptr);
  const std::string base = dir;
  std::ofstream(base + "/in") << bytes;
  const std::string command = "protoc --decode=pb.Definition --proto_path=" KILN_SOURCE_DIR
                              "/llb ops.proto <" +
                              base + "/in >" + base + "/out 2>&1";
  const int status = std::system(command.c_str());  // NOLINT: a test of an outside tool
  std::ostringstream text;
  text << std::ifstream(base + "/out").rdbuf();
  std::system(("rm -r " + base).c_str());  // NOLINT
  return status == 0 ? text.str() : "protoc failed: " + text.str();
}

TEST(ProtocTest, DecodesADefinition) {
  if (std::system("protoc --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "protoc is not here";
  const std::string text = decode_with_protoc(marshal_definition(sample_graph()));
  EXPECT_THAT(text, HasSubstr("key: \"llb.customname\""));
  EXPECT_THAT(text, HasSubstr("filename: \"Dockerfile\""));
  EXPECT_THAT(text, HasSubstr("memory_swap: -1"));
  EXPECT_THAT(text, HasSubstr("key: \"meta.ignorecache\""));
}

}  // namespace
}  // namespace kiln::llb
