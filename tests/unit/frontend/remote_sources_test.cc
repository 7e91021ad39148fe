#include "frontend/remote_sources.h"

#include <gtest/gtest.h>

#include "tests/unit/frontend/convert_support.h"

namespace kiln::frontend {
namespace {

using Kind = ContextRef::Kind;

TEST(RemoteSourcesTest, GitContextsHaveAShortFormForGithub) {
  struct Row {
    const char *text, *remote, *ref, *subdir;
  };
  for (const Row& row :
       {Row{"github.com/o/r", "https://github.com/o/r.git", "", ""},
        {"github.com/o/r.git", "https://github.com/o/r.git", "", ""},
        {"github.com/o/r#v1:sub", "https://github.com/o/r.git", "v1", "sub"},
        {"github.com/o/r?tag=v1", "https://github.com/o/r.git", "refs/tags/v1", ""},
        {"https://h/r.git#:a/../b", "https://h/r.git", "", "b"},
        {"git@h:r.git#x", "git@h:r.git", "x", ""}}) {
    const auto git = parse_git_context(row.text);
    ASSERT_TRUE(git && *git) << row.text;
    EXPECT_EQ((*git)->remote, row.remote);
    EXPECT_EQ((*git)->ref, row.ref);
    EXPECT_EQ((*git)->subdir, row.subdir);
  }
}

TEST(RemoteSourcesTest, DirectoriesAndDownloadsAreNoRepositories) {
  for (const char* text : {".", "dir", "./github.com/o/r", "https://h/a.tgz", "https://h/r.git/x",
                           "/abs/r.git", "c:\\x"}) {
    const auto git = parse_git_context(text);
    ASSERT_TRUE(git) << text;
    EXPECT_FALSE(*git) << text;
  }
}

TEST(RemoteSourcesTest, ADownloadIsCalledAfterItsPath) {
  struct Row {
    const char *url, *name;
  };
  for (const Row& row : {Row{"http://h/a/b.tgz?x=/y#z", "b.tgz"},
                         {"http://h/a/", "a"},
                         {"http://h", "__unnamed__"},
                         {"http://h/", "__unnamed__"},
                         {"http://h/?q=/x", "__unnamed__"},
                         {"http://h/..", "__unnamed__"}})
    EXPECT_EQ(url_file_name(row.url), row.name) << row.url;
}

TEST(RemoteSourcesTest, TheContextFetchedForTheDockerfileIsTheOneOfTheBuild) {
  for (const ContextRef& context : {ContextRef{Kind::kGit, "https://h/r.git#main:sub", {}},
                                    ContextRef{Kind::kHttp, "https://h/c.tgz", {}}}) {
    FrontendRequest request;
    request.context = context;
    const llb::Graph alone = remote_context_graph(request).value();
    const Converted whole("FROM scratch\nCOPY a /\n",
                          [&](FrontendRequest& r) { r.context = context; });
    for (size_t i = 0; i < alone.vertices().size(); ++i)
      EXPECT_EQ(alone.vertices()[i].digest, whole.result().graph.vertices()[i].digest);
  }
}

TEST(RemoteSourcesTest, AnUnpackedContextIsRootsAndANamedOneKeepsItsName) {
  const Converted main("FROM scratch\nCOPY a /\n", [](FrontendRequest& r) {
    r.context = {Kind::kHttp, "https://h/c.tgz", {}};
  });
  EXPECT_EQ(main.op<llb::SourceOp>().attrs.at("http.filename"), "context");
  EXPECT_TRUE(main.copy(0).attempt_unpack);
  EXPECT_EQ(main.copy(0).owner->user->id, 0U);
  const ContextRef file{Kind::kHttp, "https://h/d/tool?x=1", {}};
  const Converted named("FROM scratch\nCOPY --from=t tool /\n",
                        [&](FrontendRequest& r) { r.named_contexts["t"] = file; });
  EXPECT_EQ(named.op<llb::SourceOp>().attrs.at("http.filename"), "tool");
  EXPECT_EQ(named.copy(0).src, "/tool");
}

TEST(RemoteSourcesTest, StepsShowNoCredentials) {
  const Converted c("FROM scratch\nCOPY a /\n", [](FrontendRequest& r) {
    r.context = {Kind::kGit, "https://u:s3cr3t@h/r.git", {}};
  });
  for (const std::string& step : c.steps()) EXPECT_EQ(step.find("s3cr3t"), std::string::npos);
}

TEST(RemoteSourcesTest, TheHistoryOfArgumentsShowsNoCredentials) {
  const Converted c("FROM scratch\nARG U=https://u:s3cr3t@h/x\nADD $U /\nRUN [\"a\"]\n");
  EXPECT_EQ(c.history(),
            (std::vector<std::string>{"ARG U=https://h/x", "ADD https://h/x / # buildkit",
                                      "RUN |1 U=https://h/x a # buildkit"}));
}

TEST(RemoteSourcesTest, TheGitDirectoryIsKeptIfTheBuildAsks) {
  const auto keeps = [](const std::string& url) {
    const Converted c("FROM scratch\nCOPY a /\n", [&](FrontendRequest& r) {
      r.context = {Kind::kGit, url, {}};
      r.build_args = {{"BUILDKIT_CONTEXT_KEEP_GIT_DIR", "1"}};
    });
    return c.op<llb::SourceOp>().attrs.contains("git.keepgitdir");
  };
  EXPECT_TRUE(keeps("https://h/r.git"));
  EXPECT_FALSE(keeps("https://h/r.git?keep-git-dir=false"));
}

}  // namespace
}  // namespace kiln::frontend
