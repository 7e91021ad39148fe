#include "llb/codec.h"

#include "base/strings.h"
#include "tests/unit/llb/sample_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::llb {
namespace {

using ::testing::HasSubstr;

std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (unsigned char c : bytes) {
    out += kDigits[c >> 4];
    out += kDigits[c & 15];
  }
  return out;
}

// ---- known answers: worked out by hand from the field numbers ----

TEST(MarshalOpTest, WritesAnImageSourceAsBuildKitDoes) {
  const SourceOp op{"docker-image://a", {{"b", "2"}, {"a", "1"}}};
  // 1a: field 3 (source), 0a: identifier, 12: attrs entries in key order, 52: field 10 (platform),
  // 5a 00: field 11 (constraints), empty.
  EXPECT_EQ(hex(marshal_op(op, {}, Platform{"linux", "amd64", ""})),
            "1a22"
            "0a10"
            "646f636b65722d696d6167653a2f2f61"
            "1206"
            "0a0161"
            "120131"
            "1206"
            "0a0162"
            "120132"
            "520e"
            "0a05616d643634"
            "12056c696e7578"
            "5a00");
}

// What `buildctl debug dump-llb` prints for FROM alpine on linux/amd64.
TEST(MarshalOpTest, GivesTheDigestThatBuildKitGives) {
  const SourceOp op{"docker-image://docker.io/library/alpine:latest", {}};
  EXPECT_EQ(Digest::of(marshal_op(op, {}, Platform{"linux", "amd64", ""})).hex(),
            "665ba8b2cdc0cb0200e2a42a6b3c0f8f684089f4cd1b81494fbb9805879120f7");
}

TEST(MarshalOpTest, WritesScratchAndNoOutputAsMinusOne) {
  const FileOp op{{{kNoIndex, kNoIndex, 0, MkDirAction{"/a", 0755, true, {}, -1}}}};
  const std::string minus_one = "ffffffffffffffffff01";
  EXPECT_EQ(hex(marshal_op(op, {}, std::nullopt)),
            "222e"  // field 4 (file), 46 bytes
            "122c"  // action
            "08" +
                minus_one +         // input
                "10" + minus_one +  // secondaryInput
                "3214"
                "0a022f61"  // mkdir: path
                "10ed03"
                "1801"  // mode 0755, makeParents
                "28" +
                minus_one +  // timestamp; output 0 is not written
                "5a00");
}

TEST(MarshalOpTest, WritesInputsFirst) {
  const InputDigest input{Digest::of(std::string_view("x")), 1};
  const std::string bytes = marshal_op(DiffOp{kNoIndex, 0}, {&input, 1}, std::nullopt);
  EXPECT_EQ(hex(bytes).substr(0, 8), "0a4b0a47");  // Input, digest of 71 characters
  EXPECT_THAT(hex(bytes), HasSubstr("1001"
                                    "3a0f"
                                    "0a0b08ffffffffffffffffff01"
                                    "1200"
                                    "5a00"));
}

TEST(MarshalOpTest, IsTheDigestOfTheVertex) {
  const Graph graph = sample_graph();
  for (const Vertex& vertex : graph.vertices()) {
    std::vector<InputDigest> inputs;
    for (const Output& in : vertex.inputs)
      inputs.push_back({graph.vertex(in.vertex).digest, in.index});
    EXPECT_EQ(vertex.digest, Digest::of(marshal_op(vertex.op, inputs, vertex.platform)));
  }
}

// ---- round trips ----

TEST(DefinitionTest, ComesBackAsItWas) {
  const Graph graph = sample_graph();
  const Result<Graph> back = unmarshal_definition(marshal_definition(graph));
  ASSERT_TRUE(back) << back.error().to_string();
  ASSERT_EQ(back->vertices().size(), graph.vertices().size());
  ASSERT_EQ(back->targets().size(), 1U);
  EXPECT_EQ(back->targets()[0], graph.targets()[0]);
  for (VertexId id = 0; id < graph.vertices().size(); ++id) {
    const Vertex& a = graph.vertex(id);
    const Vertex& b = back->vertex(id);
    EXPECT_EQ(a.op, b.op) << id;
    EXPECT_EQ(a.inputs, b.inputs) << id;
    EXPECT_EQ(a.platform, b.platform) << id;
    EXPECT_EQ(a.digest, b.digest) << id;
    EXPECT_EQ(a.meta.name, b.meta.name) << id;
    EXPECT_EQ(a.meta.description, b.meta.description) << id;
    EXPECT_EQ(a.meta.where, b.meta.where) << id;
    EXPECT_EQ(a.meta.ignore_cache, b.meta.ignore_cache) << id;
    EXPECT_EQ(a.meta.resources, b.meta.resources) << id;
  }
  ASSERT_EQ(back->files().size(), 1U);
  EXPECT_EQ(back->files()[0].data, graph.files()[0].data);
}

TEST(DefinitionTest, IsWrittenTheSameEachTime) {
  const std::string bytes = marshal_definition(sample_graph());
  EXPECT_EQ(bytes, marshal_definition(sample_graph()));
  EXPECT_EQ(bytes, marshal_definition(*unmarshal_definition(bytes)));
}

TEST(DefinitionTest, KeepsMetadataOutOfTheDigest) {
  GraphBuilder builder;
  Meta meta;
  meta.name = "one";
  meta.ignore_cache = true;
  const Output a = builder.add(SourceOp{"local://context", {}}, {}, std::nullopt, meta);
  const Output b = builder.add(SourceOp{"local://context", {}}, {}, std::nullopt, {});
  EXPECT_EQ(a, b);
}

TEST(DefinitionTest, IsEmptyForScratch) {
  EXPECT_EQ(marshal_definition(GraphBuilder().build({})), "");
}

// ---- hostile input ----

TEST(HostileDefinitionTest, EveryTruncationIsRefusedOrReadable) {
  const std::string bytes = marshal_definition(sample_graph());
  for (size_t length = 0; length < bytes.size(); ++length) {
    const Result<Graph> graph = unmarshal_definition(std::string_view(bytes).substr(0, length));
    if (!graph) {
      EXPECT_EQ(graph.error().code(), Code::kInvalidArgument) << length;
    }
  }
}

TEST(HostileDefinitionTest, EveryFlippedByteIsRefusedOrReadable) {
  const std::string bytes = marshal_definition(sample_graph());
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (unsigned char mask : {0x01, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ mask);
      const Result<Graph> graph = unmarshal_definition(damaged);
      if (!graph) {
        EXPECT_EQ(graph.error().code(), Code::kInvalidArgument) << i;
      }
    }
  }
}

/// Length-delimited field.
std::string field(int number, std::string_view value) {
  KILN_CHECK(value.size() < 128 * 128 && number < 16);
  std::string out(1, static_cast<char>(number << 3 | 2));
  if (value.size() >= 128) out += static_cast<char>((value.size() & 127) | 128);
  out += static_cast<char>(value.size() >= 128 ? value.size() >> 7 : value.size());
  return out + std::string(value);
}
std::string number(int field_number, int value) {
  return {static_cast<char>(field_number << 3), static_cast<char>(value)};
}
std::string input(std::string_view op, int index = 0) {
  return field(1, field(1, Digest::of(op).to_string()) + number(2, index));
}
std::string definition(const std::vector<std::string>& ops) {
  std::string out;
  for (const std::string& op : ops) out += field(1, op);
  return out;
}
std::string error_of(const std::string& bytes) {
  const Result<Graph> graph = unmarshal_definition(bytes);
  return graph ? "no error" : graph.error().to_string();
}

const std::string kSource = field(3, field(1, "local://context"));

TEST(HostileDefinitionTest, ReadsTheSmallestOne) {
  EXPECT_EQ(error_of(definition({kSource, input(kSource)})), "no error");
}
TEST(HostileDefinitionTest, ReadsEntriesInAnyOrderAndDropsTheUnneeded) {
  const std::string merge = input(kSource) + field(6, field(1, "") + field(1, ""));
  const std::string unused = field(3, field(1, "local://other"));
  const Result<Graph> graph =
      unmarshal_definition(definition({unused, merge, kSource, input(merge)}));
  ASSERT_TRUE(graph) << graph.error().to_string();
  EXPECT_EQ(graph->vertices().size(), 2U);
}
TEST(HostileDefinitionTest, KeepsTheDigestOfTheBytesReceived) {
  // Without the empty constraints that kiln writes: still this vertex's own digest.
  const Result<Graph> graph = unmarshal_definition(definition({kSource, input(kSource)}));
  ASSERT_TRUE(graph);
  EXPECT_EQ(graph->vertex(0).digest, Digest::of(kSource));
}
TEST(HostileDefinitionTest, RefusesLessThanTwoEntries) {
  EXPECT_THAT(error_of(definition({kSource})), HasSubstr("at least two entries"));
  EXPECT_THAT(error_of(""), HasSubstr("at least two entries"));
}
TEST(HostileDefinitionTest, RefusesATerminalWithAnOp) {
  EXPECT_THAT(error_of(definition({kSource, kSource})), HasSubstr("one input and no op"));
}
TEST(HostileDefinitionTest, RefusesAnInputThatIsNotThere) {
  EXPECT_THAT(error_of(definition({kSource, input("else")})), HasSubstr("not in the definition"));
}
TEST(HostileDefinitionTest, RefusesAnOutputThatIsNotThere) {
  EXPECT_THAT(error_of(definition({kSource, input(kSource, 1)})), HasSubstr("does not exist"));
}
TEST(HostileDefinitionTest, RefusesAnUnknownKindOfOp) {
  const std::string op = field(9, "");
  EXPECT_THAT(error_of(definition({op, input(op)})),
              HasSubstr("entry 0: op without a kind that kiln knows: Op has field 9"));
}
TEST(HostileDefinitionTest, RefusesAnUnknownFieldByName) {
  const std::string op = field(3, field(1, "local://context") + number(7, 1));
  EXPECT_THAT(error_of(definition({op, input(op)})),
              HasSubstr("source op: SourceOp has field 7, which kiln does not know"));
}
TEST(HostileDefinitionTest, RefusesANestedBuild) {
  const std::string op = field(5, "");
  EXPECT_THAT(error_of(definition({op, input(op)})), HasSubstr("BuildOp"));
}
TEST(HostileDefinitionTest, RefusesAMountOfAnInputThatIsNotThere) {
  const std::string meta = field(1, field(1, "true") + field(3, "/"));
  const std::string op = field(2, meta + field(2, number(1, 1) + field(3, "/")));
  EXPECT_THAT(error_of(definition({op, input(op)})),
              HasSubstr("exec op: mount \"/\": input 1 is out of range (0 available)"));
}
TEST(HostileDefinitionTest, RefusesAnUnknownMountType) {
  const std::string meta = field(1, field(1, "true") + field(3, "/"));
  const std::string op = field(2, meta + field(2, field(3, "/") + number(6, 5)));
  EXPECT_THAT(error_of(definition({op, input(op)})), HasSubstr("unknown mount type 5"));
}
TEST(HostileDefinitionTest, RefusesAnActionThatUsesItself) {
  const std::string action = number(1, 0) + field(7, field(1, "/a"));
  const std::string op = field(4, field(2, action));
  EXPECT_THAT(error_of(definition({op, input(op)})),
              HasSubstr("file op: action 0: input 0 is out of range"));
}
TEST(HostileDefinitionTest, RefusesTwoActionsWithOneOutput) {
  const std::string action = number(1, 0) + field(7, field(1, "/a"));
  const std::string op = input(kSource) + field(4, field(2, action) + field(2, action));
  EXPECT_THAT(error_of(definition({kSource, op, input(op)})), HasSubstr("the same output"));
}
TEST(HostileDefinitionTest, RefusesAHugeMessageUnread) {
  EXPECT_THAT(error_of(std::string((64U << 20U) + 1, '\0')), HasSubstr("larger than 64 MiB"));
}

}  // namespace
}  // namespace kiln::llb
