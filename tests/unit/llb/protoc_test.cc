// What kiln writes is read by protoc from the same .proto: the independent reader that is at hand.
#include "llb/codec.h"

#include "base/process.h"
#include "tests/unit/llb/sample_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::llb {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPathList = "/usr/local/bin:/usr/bin:/bin";

std::string decode_with_protoc(const std::string& bytes) {
  ProcessSpec spec;
  spec.argv = {"protoc", "--decode=pb.Definition", "--proto_path=" KILN_SOURCE_DIR "/llb",
               "ops.proto"};
  spec.env = {std::string("PATH=") + kPathList};
  const auto run = run_captured(spec, bytes, 1U << 20U, {});
  if (!run) return run.error().to_string();
  return run->exit.ok() ? run->out : "protoc failed: " + run->err;
}

TEST(ProtocTest, DecodesADefinition) {
  if (!find_program("protoc", kPathList)) GTEST_SKIP() << "protoc is not here";
  const std::string text = decode_with_protoc(marshal_definition(sample_graph()));
  EXPECT_THAT(text, HasSubstr("key: \"llb.customname\""));
  EXPECT_THAT(text, HasSubstr("filename: \"Dockerfile\""));
  EXPECT_THAT(text, HasSubstr("memory_swap: -1"));
  EXPECT_THAT(text, HasSubstr("key: \"meta.ignorecache\""));
}

}  // namespace
}  // namespace kiln::llb
