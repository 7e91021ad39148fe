#include "frontend/epoch_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/image_config_resolver.h"

namespace kiln::frontend {
namespace {

using ::testing::HasSubstr;

using Change = std::function<void(FrontendRequest&)>;

Result<std::optional<EpochSource>> source_in(const std::string& dockerfile,
                                             const Change& change = {}) {
  FrontendRequest request;
  request.dockerfile = dockerfile;
  if (change) change(request);
  FakeImages images;
  Result<std::optional<EpochSource>> source = epoch_source(request, images, {});
  EXPECT_TRUE(images.asked.empty());
  return source;
}

Change arg(const std::string& value) {
  return [value](FrontendRequest& r) { r.build_args.emplace_back("SOURCE_DATE_EPOCH", value); };
}

/// The identifier of the one source, "no time", or "none".
std::string found(const std::string& dockerfile, const Change& change = {}) {
  const auto source = source_in(dockerfile, change);
  if (!source) return source.error().message();
  if (!*source) return "none";
  if (!(*source)->graph) return "no time";
  const auto& vertices = (*source)->graph->vertices();
  EXPECT_EQ(vertices.size(), 1U);
  const auto& op = std::get<llb::SourceOp>(vertices.front().op);
  EXPECT_EQ(op.attrs.contains("http.checksum"), false);
  return op.identifier;
}

TEST(EpochSourceTest, NumbersAndNothingNameNoSource) {
  EXPECT_EQ(found("FROM a\n"), "none");
  EXPECT_EQ(found("FROM a\n", arg("1700000000")), "none");
  EXPECT_EQ(found("FROM a\n", arg("")), "none");
  EXPECT_EQ(found("ARG SOURCE_DATE_EPOCH=5\nFROM a\n"), "none");
  EXPECT_EQ(found("ARG SOURCE_DATE_EPOCH=context\nFROM a\n", arg("7")), "none");
  EXPECT_EQ(found("FROM a\nARG SOURCE_DATE_EPOCH=context\n"), "none") << "an ARG of a stage";
}

TEST(EpochSourceTest, TheContextIsASourceOfItsKind) {
  const auto context = [](ContextRef::Kind kind, const std::string& identifier) {
    return [=](FrontendRequest& r) {
      r.context = {kind, identifier, {}};
      r.build_args.emplace_back("SOURCE_DATE_EPOCH", "context");
    };
  };
  EXPECT_EQ(found("FROM a\n", context(ContextRef::Kind::kLocal, "context")), "no time");
  EXPECT_EQ(found("FROM a\n", context(ContextRef::Kind::kHttp, "https://h/c.tgz")),
            "https://h/c.tgz");
  EXPECT_EQ(found("FROM a\n", context(ContextRef::Kind::kGit, "https://h/r.git#v1")),
            "git://h/r.git#v1");
  EXPECT_EQ(found("ARG SOURCE_DATE_EPOCH=context\nFROM a\n"), "no time");
  EXPECT_THAT(found("FROM a\n", arg("Context")),
              HasSubstr("invalid SOURCE_DATE_EPOCH: Context (did you mean context?)"));
}

TEST(EpochSourceTest, ANamedContextComesBeforeAStage) {
  const auto named = [](FrontendRequest& r) {
    r.named_contexts["src"] = {ContextRef::Kind::kHttp, "https://h/n.tar", {}};
    r.named_contexts["img"] = {ContextRef::Kind::kImage, "alpine", {}};
  };
  const std::string file = "FROM scratch AS src\nADD https://h/s.tar /\nFROM scratch AS img\n";
  EXPECT_EQ(found("ARG SOURCE_DATE_EPOCH=src\n" + file, named), "https://h/n.tar");
  EXPECT_EQ(found("ARG SOURCE_DATE_EPOCH=src\n" + file), "https://h/s.tar");
  EXPECT_EQ(found("ARG SOURCE_DATE_EPOCH=SRC\n" + file), "https://h/s.tar") << "in any case";
  EXPECT_EQ(found("ARG SOURCE_DATE_EPOCH=img\n" + file, named), "no time");
}

TEST(EpochSourceTest, AStageIsOneRemoteAddWithItsArguments) {
  const std::string file =
      "ARG SOURCE_DATE_EPOCH=src\nARG HOST=h\n"
      "FROM scratch AS src\nARG HOST\nARG V=1 N=v$V\nADD https://$HOST/$N$TARGETARCH.tar /\n";
  const auto change = [](FrontendRequest& r) {
    r.platform = Platform{"linux", "arm64", ""};
    r.build_args.emplace_back("V", "2");
  };
  EXPECT_EQ(found(file, change), "https://h/v2arm64.tar");
  EXPECT_EQ(found("ARG SOURCE_DATE_EPOCH=s\nFROM scratch AS s\n"
                  "ADD --keep-git-dir --checksum=abc https://h/r.git#v1 /d\n"),
            "git://h/r.git#v1");
  const std::string sum = "sha256:" + std::string(64, 'a');
  const auto pinned = source_in(
      "ARG SOURCE_DATE_EPOCH=s\nFROM scratch AS s\n"
      "ADD --checksum=" +
      sum + " https://h/x /\n");
  ASSERT_TRUE(pinned && *pinned);
  EXPECT_EQ((*pinned)->checksum->to_string(), sum);
  EXPECT_EQ((*pinned)->file, "x");
}

TEST(EpochSourceTest, OtherStagesAreRefusedAtTheirPlace) {
  const std::string head = "ARG SOURCE_DATE_EPOCH=s\n";
  for (const auto& [stage, message] : std::vector<std::pair<std::string, std::string>>{
           {"FROM a AS s\nADD https://h/x /\n", "SOURCE_DATE_EPOCH stage must use FROM scratch"},
           {"FROM scratch AS s\n", "must contain exactly one remote ADD"},
           {"FROM scratch AS s\nADD https://h/x /\nADD https://h/y /\n",
            "must contain exactly one remote ADD"},
           {"FROM scratch AS s\nADD https://h/x https://h/y /\n",
            "must contain exactly one remote ADD source"},
           {"FROM scratch AS s\nADD x /\n", "must be a single HTTP(S) or Git ADD"},
           {"FROM scratch AS s\nADD https://h/x /\nCOPY . /\n",
            "does not meet source-only requirements: unsupported copy instruction"},
           {"FROM scratch AS s\nENV A=1\nADD https://h/x /\n", "unsupported env instruction"}}) {
    const auto source = source_in(head + stage);
    ASSERT_FALSE(source) << stage;
    EXPECT_THAT(source.error().message(), HasSubstr(message));
    ASSERT_TRUE(source.error().where().has_value()) << stage;
    EXPECT_EQ(source.error().where()->first_line, 2);
  }
}

}  // namespace
}  // namespace kiln::frontend
