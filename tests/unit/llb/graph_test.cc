#include "llb/graph.h"

#include "llb/dump.h"
#include "tests/unit/llb/sample_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::llb {
namespace {

using ::testing::HasSubstr;

SourceOp local(const std::string& name) {
  return SourceOp{"local://" + name, {}};
}

TEST(GraphBuilderTest, ReturnsAnEqualVertexAndJoinsItsMetadata) {
  GraphBuilder builder;
  Meta first;
  first.name = "first";
  first.where = {{"f", 1, 1}};
  Meta second;
  second.name = "second";
  second.ignore_cache = true;
  second.where = {{"f", 1, 1}, {"f", 2, 2}};
  const Output a = builder.add(local("a"), {}, std::nullopt, first);
  EXPECT_EQ(a, builder.add(local("a"), {}, std::nullopt, second));
  const Meta& meta = builder.vertex(a.vertex).meta;
  EXPECT_EQ(meta.name, "first");
  EXPECT_TRUE(meta.ignore_cache);
  EXPECT_EQ(meta.where.size(), 2U);
}

TEST(GraphBuilderTest, DropsWhatNoTargetNeedsAndRenumbers) {
  GraphBuilder builder;
  builder.add(local("unused"), {}, std::nullopt, {});
  const Output a = builder.add(local("a"), {}, std::nullopt, {});
  const Output b = builder.add(DiffOp{kNoIndex, 0}, {a}, std::nullopt, {});
  builder.add(local("late"), {}, std::nullopt, {});
  const Graph graph = std::move(builder).build({b});
  ASSERT_EQ(graph.vertices().size(), 2U);
  EXPECT_EQ(graph.targets()[0].vertex, 1U);
  EXPECT_EQ(graph.vertex(1).inputs, std::vector<Output>{Output{0}});
}

TEST(GraphBuilderTest, TellsPlatformsApart) {
  GraphBuilder builder;
  const SourceOp image{"docker-image://a", {}};
  const Output amd64 = builder.add(image, {}, Platform{"linux", "amd64", ""}, {});
  EXPECT_NE(amd64, builder.add(image, {}, Platform{"linux", "arm64", ""}, {}));
}

TEST(JoinGraphsTest, KeepsAllTargetsInOrderAndSharedVerticesOnce) {
  std::vector<Graph> graphs;
  for (const char* architecture : {"amd64", "arm64"}) {
    GraphBuilder builder;
    const Output shared = builder.add(local("shared"), {}, std::nullopt, {});
    const Output own =
        builder.add(SourceOp{"docker-image://a", {}}, {}, Platform{"linux", architecture, ""}, {});
    const Output top = builder.add(MergeOp{{0, 1}}, {shared, own}, std::nullopt, {});
    builder.add_file({"Dockerfile", "FROM a"});
    graphs.push_back(std::move(builder).build({top}));
  }
  graphs.insert(graphs.begin() + 1, GraphBuilder().build({}));  // scratch has no target
  const Graph joined = join_graphs(graphs);
  ASSERT_EQ(joined.vertices().size(), 5U);
  EXPECT_EQ(joined.files().size(), 1U);
  ASSERT_EQ(joined.targets().size(), 2U);
  const Vertex& first = joined.vertex(joined.targets()[0].vertex);
  const Vertex& second = joined.vertex(joined.targets()[1].vertex);
  EXPECT_EQ(first.inputs[0], second.inputs[0]);
  EXPECT_NE(first.inputs[1], second.inputs[1]);
}

TEST(DumpTest, PrintsEveryVertexAsJson) {
  const std::string json = dump_json(sample_graph());
  EXPECT_THAT(json, HasSubstr("\"identifier\": \"local://context\""));
  EXPECT_THAT(json, HasSubstr("\"llb.customname\": \"RUN make\""));
  EXPECT_THAT(json, HasSubstr("\"exec.mount.cache.sharing\": true"));
}

TEST(DumpTest, PrintsDotWithQuotedLabels) {
  GraphBuilder builder;
  Meta meta;
  meta.name = "RUN echo \"hi\"";
  const Output a = builder.add(local("a"), {}, std::nullopt, meta);
  const std::string dot = dump_dot(std::move(builder).build({a}));
  EXPECT_THAT(dot, HasSubstr("v0 [label=\"RUN echo \\\"hi\\\"\" shape=ellipse];"));
  EXPECT_THAT(dot, HasSubstr("v0 -> result;"));
}

}  // namespace
}  // namespace kiln::llb
