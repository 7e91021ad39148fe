#include "tests/unit/frontend/convert_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::frontend {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ConvertCopyTest, SetsTheFlagsThatCopyMeans) {
  const Converted c("FROM alpine\nCOPY a /b\n");
  llb::CopyAction expected;
  expected.src = "/a";
  expected.dest = "/b";
  expected.follow_symlink = expected.dir_copy_contents = expected.create_dest_path = true;
  expected.allow_wildcard = expected.allow_empty_wildcard = true;
  EXPECT_EQ(c.copy(), expected);
  const llb::FileAction& action = c.op<llb::FileOp>().actions[0];
  EXPECT_EQ(action.input, 0);
  EXPECT_EQ(action.secondary_input, 1);
  EXPECT_EQ(action.output, 0);
  EXPECT_EQ(c.history().back(), "COPY a /b # buildkit");
}

TEST(ConvertCopyTest, UnpacksLocalArchivesWithAddUnlessTold) {
  EXPECT_TRUE(Converted("FROM alpine\nADD a.tar /\n").copy().attempt_unpack);
  EXPECT_FALSE(Converted("FROM alpine\nADD --unpack=false a.tar /\n").copy().attempt_unpack);
}

struct PathCase {
  std::string workdir, source, destination, src, dest;
};
class CopyPathTest : public ::testing::TestWithParam<PathCase> {};
TEST_P(CopyPathTest, CleansPathsAndKeepsWhatSaysDirectory) {
  const PathCase& p = GetParam();
  const Converted c("FROM alpine\nWORKDIR " + p.workdir + "\nCOPY " + p.source + " " +
                    p.destination + "\n");
  const size_t file_op = p.workdir == "/" ? 0 : 1;
  EXPECT_EQ(c.copy(file_op).src, p.src);
  EXPECT_EQ(c.copy(file_op).dest, p.dest);
}
INSTANTIATE_TEST_SUITE_P(Paths, CopyPathTest,
                         ::testing::Values(PathCase{"/w", "a", ".", "/a", "/w/"},
                                           PathCase{"/w", "a", "./", "/a", "/w/"},
                                           PathCase{"/w", "a", "b", "/a", "/w/b"},
                                           PathCase{"/w", "a/", "b/", "/a", "/w/b/"},
                                           PathCase{"/w", "/../x", "/y/.", "/x", "/y/."},
                                           PathCase{"/w", ".", "../z", "/", "/z"},
                                           PathCase{"/", "a", ".", "/a", "/"},
                                           PathCase{"/", "a", "/", "/a", "/"}));

TEST(ConvertCopyTest, ChainsSeveralSources) {
  const Converted c("FROM alpine\nCOPY a b /d/\n");
  const auto& actions = c.op<llb::FileOp>().actions;
  ASSERT_EQ(actions.size(), 2U);
  EXPECT_EQ(actions[0].output, llb::kNoIndex);
  EXPECT_EQ(actions[1].input, 2);
  EXPECT_EQ(actions[1].secondary_input, 1);
  EXPECT_EQ(c.op<llb::SourceOp>(1).attrs.at("local.followpaths"), R"(["a","b"])");
}

TEST(ConvertCopyTest, TransfersTheWholeContextIfAnyCopyDoes) {
  const Converted c("FROM alpine\nCOPY a /\nCOPY . /x\n", [](FrontendRequest& r) {
    r.context.exclude_patterns = {".git", "!x"};
  });
  const auto& attrs = c.op<llb::SourceOp>(1).attrs;
  EXPECT_FALSE(attrs.contains("local.followpaths"));
  EXPECT_EQ(attrs.at("local.excludepatterns"), R"([".git","!x"])");
  EXPECT_EQ(attrs.at("local.sharedkeyhint"), "context");
  EXPECT_EQ(c.count<llb::SourceOp>(), 2U);
}

TEST(ConvertCopyTest, ExpandsVariablesButNotFromAndExclude) {
  const Converted c("FROM alpine\nENV D=/dir U=5\nCOPY --chown=$U --exclude=$X a$D $D/\n");
  EXPECT_EQ(c.copy().src, "/a/dir");
  EXPECT_EQ(c.copy().dest, "/dir/");
  EXPECT_EQ(c.copy().owner->user->id, 5U);
  EXPECT_THAT(c.copy().exclude_patterns, ElementsAre("$X"));
  EXPECT_EQ(c.history().back(), "COPY --chown=5 a/dir /dir/ # buildkit");
}

TEST(ConvertCopyTest, LooksOwnersUpByNameInTheStage) {
  const Converted c("FROM alpine\nCOPY --chown=app:root a /\n");
  EXPECT_EQ(c.copy().owner->user, (llb::UserRef{std::nullopt, "app", 0}));
  EXPECT_EQ(c.copy().owner->group->id, 0U);
}

TEST(ConvertCopyTest, TakesModesInDigitsAndInWords) {
  EXPECT_EQ(Converted("FROM alpine\nCOPY --chmod=0750 a /\n").copy().mode, 0750);
  const Converted c("FROM alpine\nCOPY --chmod=u=rwX,go=rX a /\n");
  EXPECT_EQ(c.copy().mode, -1);
  EXPECT_EQ(c.copy().mode_str, "u=rwX,go=rX");
  EXPECT_THAT(error_of("FROM alpine\nCOPY --chmod=64a a /\n"),
              HasSubstr("Dockerfile:2: invalid chmod parameter: '64a'. it should be octal string "
                        "and between 0 and 07777"));
}

TEST(ConvertCopyTest, MakesALinkOfItsOwnLayerAndAMerge) {
  const Converted c("FROM alpine\nCOPY --link a /b\n");
  EXPECT_THAT(c.steps(),
              ElementsAre(::testing::StartsWith("[1/2] FROM"), "[internal] load build context",
                          "[2/2] COPY --link a /b", "[2/2] LINK COPY --link a /b"));
  EXPECT_EQ(c.op<llb::FileOp>().actions[0].input, llb::kNoIndex);
  EXPECT_EQ(c.op<llb::MergeOp>().inputs, (std::vector<int>{0, 1}));
}

TEST(ConvertCopyTest, NeedsNoMergeForALinkOnScratch) {
  EXPECT_EQ(Converted("FROM scratch\nCOPY --link a /b\n").count<llb::MergeOp>(), 0U);
}

TEST(ConvertCopyTest, CopiesPlainlyWhereALinkCannotKnowTheStage) {
  EXPECT_EQ(Converted("FROM alpine\nCOPY --link --chmod=0644 a /\n").count<llb::MergeOp>(), 0U);
  EXPECT_EQ(Converted("FROM alpine\nCOPY --link --chown=app a /\n").count<llb::MergeOp>(), 0U);
  EXPECT_EQ(Converted("FROM alpine\nCOPY --link --chown=5:6 a /\n").count<llb::MergeOp>(), 1U);
}

TEST(ConvertCopyTest, KeepsParentsFromThePivotOn) {
  const Converted c("FROM alpine\nCOPY --parents a/./b/c.txt x/**/*.md /d/\n");
  EXPECT_EQ(c.copy(0, 0).src, "/a");
  EXPECT_THAT(c.copy(0, 0).include_patterns, ElementsAre("b/c.txt"));
  EXPECT_THAT(c.copy(0, 0).required_paths, ElementsAre("/a/b/c.txt"));
  EXPECT_EQ(c.copy(0, 1).src, "/");
  EXPECT_THAT(c.copy(0, 1).include_patterns, ElementsAre("x/**/*.md"));
  EXPECT_TRUE(c.copy(0, 1).required_paths.empty());
}

TEST(ConvertCopyTest, WritesHeredocsAsFiles) {
  const Converted c("FROM alpine\nENV V=1\nCOPY <<A <<\"B\" /d/\nv=$V \"q\"\nA\nv=$V\nB\n");
  const auto content = [&c](size_t n) {
    return std::get<llb::MkFileAction>(c.op<llb::FileOp>(n).actions[0].action).data;
  };
  EXPECT_EQ(content(0), "v=1 \"q\"\n");
  EXPECT_EQ(content(1), "v=$V\n");
  EXPECT_EQ(c.copy(2, 1).src, "/B");
  EXPECT_FALSE(c.copy(2, 1).follow_symlink);
  EXPECT_EQ(c.count<llb::SourceOp>(), 1U);  // no build context
  EXPECT_EQ(c.history().back(), "COPY <<A <<B /d/ # buildkit");
}

TEST(ConvertAddTest, FetchesUrls) {
  const std::string sum = "sha256:" + std::string(64, '1');
  const Converted c("FROM alpine\nADD --checksum=" + sum +
                    " --chmod=755 https://example.com/a/tool.tgz?x=1 /bin/\n");
  const auto& source = c.op<llb::SourceOp>(1);
  EXPECT_EQ(source.identifier, "https://example.com/a/tool.tgz?x=1");
  EXPECT_EQ(source.attrs.at("http.filename"), "tool.tgz");
  EXPECT_EQ(source.attrs.at("http.checksum"), sum);
  EXPECT_EQ(c.copy().src, "/tool.tgz");
  EXPECT_EQ(c.copy().mode, 0755);
  EXPECT_FALSE(c.copy().attempt_unpack);
  EXPECT_FALSE(c.copy().allow_wildcard);
  EXPECT_TRUE(
      Converted("FROM alpine\nADD --unpack=true https://e.com/a.tgz /\n").copy().attempt_unpack);
}

TEST(ConvertAddTest, FetchesGitRepositories) {
  const Converted c("FROM alpine\nADD --keep-git-dir=true git@example.com:o/r.git#v1:sub /src\n");
  const auto& source = c.op<llb::SourceOp>(1);
  EXPECT_EQ(source.identifier, "git://example.com/o/r.git#v1:sub");
  EXPECT_EQ(source.attrs.at("git.fullurl"), "git@example.com:o/r.git");
  EXPECT_EQ(source.attrs.at("git.keepgitdir"), "true");
  EXPECT_EQ(source.attrs.at("git.mountsshsock"), "default");
  EXPECT_EQ(c.copy().src, "/");
  EXPECT_FALSE(c.copy().dir_copy_contents);
}

TEST(ConvertAddTest, ShowsNoCredentialsOfUrls) {
  const Converted c("FROM alpine\nADD https://me:secret@e.com/a https://b@e.com/c /d/\n");
  EXPECT_EQ(c.history().back(), "ADD https://e.com/a https://e.com/c /d/ # buildkit");
  for (const llb::Vertex& vertex : c.result().graph.vertices()) {
    EXPECT_THAT(vertex.meta.name, ::testing::Not(HasSubstr("secret")));
    for (const auto& [key, value] : vertex.meta.description) {
      EXPECT_THAT(value, ::testing::Not(HasSubstr("secret")));
    }
  }
}

TEST(ConvertCopyTest, RefusesRemoteSourcesAndMisplacedChecksums) {
  EXPECT_THAT(error_of("FROM alpine\nCOPY https://e.com/a /\n"),
              HasSubstr("source can't be a URL for COPY"));
  EXPECT_THAT(error_of("FROM alpine\nCOPY https://e.com/a.git /\n"),
              HasSubstr("source can't be a git ref for COPY"));
  EXPECT_THAT(error_of("FROM alpine\nADD --checksum=sha256:" + std::string(64, '1') + " a /\n"),
              HasSubstr("checksum requires HTTP(S) or Git sources"));
}

TEST(ConvertWorkdirTest, MakesADirectoryThatBelongsToTheUser) {
  const Converted c("FROM app:1\nWORKDIR a/../b\n");
  const auto& mkdir = std::get<llb::MkDirAction>(c.op<llb::FileOp>().actions[0].action);
  EXPECT_EQ(mkdir.path, "/srv/b");
  EXPECT_EQ(mkdir.mode, 0755);
  EXPECT_TRUE(mkdir.make_parents);
  EXPECT_EQ(mkdir.owner->user, (llb::UserRef{std::nullopt, "app", 0}));
  EXPECT_EQ(c.config()["WorkingDir"].as_string(), "/srv/b");
  EXPECT_EQ(c.history().back(), "WORKDIR /srv/b");
  EXPECT_FALSE(c.document()["history"].elements().back()["empty_layer"].as_bool());
}

TEST(ConvertWorkdirTest, MakesNothingOfTheRoot) {
  const Converted c("FROM alpine\nWORKDIR /\n");
  EXPECT_EQ(c.count<llb::FileOp>(), 0U);
  EXPECT_TRUE(c.document()["history"].elements().back()["empty_layer"].as_bool());
}

TEST(ConvertEpochTest, DatesWhatIsCreated) {
  const Converted c("FROM alpine\nWORKDIR /w\nCOPY a /\n", [](FrontendRequest& r) {
    r.build_args = {{"SOURCE_DATE_EPOCH", "1577836800"}};
  });
  EXPECT_EQ(c.copy(1).timestamp, 1577836800'000000000);
  EXPECT_EQ(c.result().source_date_epoch, 1577836800);
  EXPECT_EQ(c.document()["history"].elements().back()["created"].as_string(),
            "2020-01-01T00:00:00Z");
}

TEST(ConvertEpochTest, ComesFromTheArgumentBeforeTheFileAndIsNotTakenFromAStage) {
  EXPECT_EQ(Converted("ARG SOURCE_DATE_EPOCH=5\nFROM alpine\n").result().source_date_epoch, 5);
  EXPECT_EQ(Converted("FROM alpine\nARG SOURCE_DATE_EPOCH=5\n").result().source_date_epoch,
            std::nullopt);
  const auto given = [](FrontendRequest& r) { r.build_args = {{"SOURCE_DATE_EPOCH", "7"}}; };
  EXPECT_EQ(Converted("ARG SOURCE_DATE_EPOCH=5\nFROM alpine\n", given).result().source_date_epoch,
            7);
  const auto empty = [](FrontendRequest& r) { r.build_args = {{"SOURCE_DATE_EPOCH", ""}}; };
  EXPECT_EQ(Converted("ARG SOURCE_DATE_EPOCH=5\nFROM alpine\n", empty).result().source_date_epoch,
            std::nullopt);
}

TEST(ConvertEpochTest, WhatIsNoNumberIsRefused) {
  const auto error = [](const std::string& value) {
    return error_of("FROM alpine AS stage\n", [&value](FrontendRequest& r) {
      r.build_args = {{"SOURCE_DATE_EPOCH", value}};
    });
  };
  for (const char* value : {"abc", "-1", "1.5", "9223372037", "12 "})
    EXPECT_THAT(error(value), HasSubstr("invalid SOURCE_DATE_EPOCH: " + std::string(value)));
  EXPECT_THAT(error("stagee"), HasSubstr("(did you mean stage?)"));
  EXPECT_THAT(error("stage"), HasSubstr("SOURCE_DATE_EPOCH stage must use FROM scratch"));
  EXPECT_THAT(error("context"), HasSubstr("the time of that source is not known here"));
}

}  // namespace
}  // namespace kiln::frontend
