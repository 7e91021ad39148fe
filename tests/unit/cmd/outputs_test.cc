#include "cmd/outputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::cmd {
namespace {

using testing::HasSubstr;

Result<OutputPlan> plan(const std::vector<std::string>& outputs, BuildOptions options = {}) {
  options.outputs = outputs;
  return plan_outputs(options);
}

struct GoodCase {
  std::vector<std::string> outputs;
  size_t exporters;
  bool to_stdout, image, layers;
};
class OutputFormTest : public testing::TestWithParam<GoodCase> {};
void PrintTo(const GoodCase& c, std::ostream* out) {
  for (const std::string& output : c.outputs) *out << output << ' ';
}

TEST_P(OutputFormTest, IsUnderstood) {
  const auto planned = plan(GetParam().outputs);
  ASSERT_TRUE(planned) << planned.error().to_string();
  EXPECT_EQ(planned->exporters.size(), GetParam().exporters);
  EXPECT_EQ(planned->writes_to_stdout, GetParam().to_stdout);
  EXPECT_EQ(planned->makes_image, GetParam().image);
  EXPECT_EQ(planned->pack_targets == PackTargets::kYes, GetParam().layers);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, OutputFormTest,
    testing::Values(
        GoodCase{{}, 1, false, true, true},  // the image store
        GoodCase{{"out"}, 1, false, false, false}, GoodCase{{"./a b"}, 1, false, false, false},
        GoodCase{{"-"}, 1, true, false, false},
        GoodCase{{"type=local,dest=out"}, 1, false, false, false},
        GoodCase{{"type=tar"}, 1, true, false, false},
        GoodCase{{"type=tar,dest=f"}, 1, false, false, false},
        GoodCase{{"type=oci,dest=f"}, 1, false, true, true},
        GoodCase{{"type=oci,dest=-"}, 1, true, true, true},
        GoodCase{{"type=oci,tar=false,dest=d"}, 1, false, true, true},
        GoodCase{{"type=docker,dest=f"}, 1, false, true, true},
        GoodCase{{"type=docker"}, 1, false, true, true},  // --load
        GoodCase{{"type=image"}, 1, false, true, true},
        GoodCase{{"type=registry,name=a"}, 1, false, true, true},
        GoodCase{{"type=image,name=r/a,push=true,push-by-digest=true,store=false,unpack=false"},
                 1,
                 false,
                 true,
                 true},
        GoodCase{{"type=image,dangling-name-prefix=p,name-canonical=true,registry.insecure=true"},
                 1,
                 false,
                 true,
                 true},
        GoodCase{{"type=image,\"name=a,b:1\""}, 1, false, true, true},
        GoodCase{{"type=oci,dest=f,compression=zstd,compression-level=22,oci-mediatypes=false"},
                 1,
                 false,
                 true,
                 true},
        GoodCase{{"TYPE=oci,Dest=f"}, 1, false, true, true},
        GoodCase{
            {"type=oci,dest=f,rewrite-timestamp=true,source-date-epoch=7"}, 1, false, true, true},
        GoodCase{{"type=local,dest=out,platform-split=false"}, 1, false, false, false},
        GoodCase{{"type=cacheonly"}, 0, false, false, false},
        GoodCase{{"type=image", "type=oci,dest=f", "out"}, 3, false, true, false}));

struct BadCase {
  std::vector<std::string> outputs;
  Code code;
  const char* message;
};
class BadOutputTest : public testing::TestWithParam<BadCase> {};
void PrintTo(const BadCase& c, std::ostream* out) {
  for (const std::string& output : c.outputs) *out << output << ' ';
}

TEST_P(BadOutputTest, IsRefusedWithWhatIsWrong) {
  const auto planned = plan(GetParam().outputs);
  ASSERT_FALSE(planned);
  EXPECT_EQ(to_string(planned.error().code()), to_string(GetParam().code));
  EXPECT_THAT(planned.error().message(), HasSubstr(GetParam().message));
}

constexpr Code kWrong = Code::kInvalidArgument;
INSTANTIATE_TEST_SUITE_P(
    Forms, BadOutputTest,
    testing::Values(
        BadCase{{"type=dokcer,dest=f"}, kWrong, "\"dokcer\" (did you mean docker?)"},
        BadCase{{"dest=f,compression=gzip"}, kWrong, "has no type"},
        BadCase{{"type=oci,dest=f,x"}, kWrong, "\"x\" is not KEY=VALUE"},
        BadCase{{"type=oci,dest=f,dest=g"}, kWrong, "\"dest\" is given twice"},
        BadCase{{"type=oci"}, kWrong, "type=oci needs dest="},
        BadCase{{"type=local"}, kWrong, "type=local needs dest="},
        BadCase{{"type=local,dest=-"}, kWrong, "cannot go to standard output"},
        BadCase{{"type=oci,dest=f,compresion=gzip"},
                kWrong,
                "unknown option \"compresion\" (did you mean compression?)"},
        BadCase{{"type=oci,dest=f,compression=gzp"}, kWrong, "gzp"},
        BadCase{
            {"type=oci,dest=f,compression=zstd,compression-level=23"}, kWrong, "expected 0 to 22"},
        BadCase{{"type=oci,dest=f,compression-level=x"}, kWrong, "expected 0 to 9"},
        BadCase{{"type=oci,dest=f,compression-level=10"}, kWrong, "expected 0 to 9"},
        BadCase{{"type=image,source-date-epoch=now"}, kWrong, "invalid SOURCE_DATE_EPOCH: \"now\""},
        BadCase{{"type=tar,platform-split=x"}, kWrong, "expected true or false"},
        BadCase{{"type=oci,dest=f,oci-mediatypes=maybe"}, kWrong, "expected true or false"},
        BadCase{{"type=image,name=UPPER"}, kWrong, "tag \"UPPER\""},
        BadCase{{"-", "type=oci,dest=-"}, kWrong, "two outputs go to \"-\""},
        BadCase{{"a", "type=local,dest=a"}, kWrong, "two outputs go to \"a\""},
        BadCase{{"type=docker,tar=false,dest=d"}, Code::kUnimplemented, "use type=oci,tar=false"},
        BadCase{{"type=registry"}, kWrong, "tag is needed when pushing to registry"},
        BadCase{{"type=image,push=true"}, kWrong, "tag is needed"},
        BadCase{{"type=image,name=a,push-by-digest=true"}, kWrong, "needs push=true"},
        BadCase{{"type=registry,name=a:1,push-by-digest=true"}, kWrong, "can't push tagged ref"},
        BadCase{{"type=image,name=a,store=false"}, kWrong, "keeps nothing"},
        BadCase{{"type=image,unpack=maybe"}, Code::kInvalidArgument, "unpack"},
        BadCase{{"type=image,dangling-name-prefix=A"}, kWrong, "dangling-name-prefix"},
        BadCase{{"type=oci,dest=f,push=true"}, Code::kUnimplemented, "\"push\" is not supported"},
        BadCase{{"\"unclosed"}, kWrong, ""}));

TEST(OutputsTest, LoadAddsTheImageStore) {
  BuildOptions options;
  options.load = true;
  EXPECT_EQ(plan({"out"}, options)->exporters.size(), 2U);
}

TEST(OutputsTest, TheFirstOutputWithLayersSaysHowTheyArePacked) {
  const auto planned = plan({"out", "type=oci,dest=f,compression=zstd", "type=image"});
  ASSERT_TRUE(planned);
  EXPECT_EQ(planned->compression.type, oci::Compression::kZstd);
}

TEST(OutputsTest, ATagThatIsNoNameIsRefused) {
  BuildOptions options;
  for (const char* tag : {"UPPER", "a b", "",
                          "a@sha256:"
                          "0123456789abcdef0123456789abcdef"
                          "0123456789abcdef0123456789abcdef"}) {
    options.tags = {tag};
    const auto planned = plan({}, options);
    EXPECT_FALSE(planned) << tag;
  }
}

TEST(OutputsTest, AnAnnotationNeedsAName) {
  BuildOptions options;
  options.annotations = {"novalue"};
  EXPECT_THAT(plan({}, options).error().message(), HasSubstr("not KEY=VALUE"));
}

}  // namespace
}  // namespace kiln::cmd
