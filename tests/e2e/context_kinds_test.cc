// Every kind of build context: tars and Dockerfiles on standard input, repositories, archives and
// Dockerfiles from http servers, and the same as named contexts.
#include <gmock/gmock.h>

#include "base/platform.h"
#include "tests/e2e/remote_fixture.h"

namespace kiln::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kCopy = "FROM base\nCOPY a /a\n";

class ContextKindsTest : public RemoteTest {};

TEST_F(ContextKindsTest, ATarOnStandardInputIsAContextHoweverItIsCompressed) {
  for (const char* option : {"-c", "-z", "-j", "-J", "--zstd", "--format=v7"}) {
    const std::string tar = tar_of({{"Dockerfile", kCopy}, {"a", option}}, option);
    EXPECT_EQ(file_of("a", {"-"}, tar), option);
  }
}

TEST_F(ContextKindsTest, TheDockerfileOfATarIsNamedInsideIt) {
  const std::string tar = tar_of({{"build/my.Dockerfile", kCopy}, {"a", "1"}, {"b", "2"}}, "-z");
  EXPECT_EQ(file_of("a", {"-f", "build/my.Dockerfile", "-"}, tar), "1");
  expect_failure(build_of({"-"}, tar), "open Dockerfile: no such file or directory in the context");
  expect_failure(build_of({"-"}, tar), "which has a, b, build");
}

TEST_F(ContextKindsTest, IgnoreFilesActOnDirectoriesAlone) {
  const std::map<std::string, std::string> files = {
      {"Dockerfile", kCopy}, {"Dockerfile.dockerignore", "a"}, {".dockerignore", "a"}, {"a", "1"}};
  expect_failure(build_of({context("dir", files)}), "\"/a\": not found");
  EXPECT_EQ(file_of("a", {"-"}, tar_of(files, "-z")), "1");
  EXPECT_EQ(file_of("a", {serve("/c.tgz", tar_of(files, "-z"))}), "1");
  git_->commit("r", files);
  EXPECT_EQ(file_of("a", {git_->url("r")}), "1");
}

TEST_F(ContextKindsTest, ADockerfileOnStandardInputHasNoContextOrTheNamedOne) {
  const std::string none = "FROM base\nRUN echo hi > /a\n";
  EXPECT_EQ(file_of("a", {"-"}, none), "hi\n");
  EXPECT_EQ(file_of("a", {"-f", "-", context("dir", {{"a", "1"}})}, kCopy), "1");
  git_->commit("r", {{"a", "2"}});
  EXPECT_EQ(file_of("a", {"-f", "-", git_->url("r")}, kCopy), "2");
  expect_failure(build_of({"-"}, kCopy), "\"/a\": not found");
  expect_failure(build_of({"-f", "x", "-"}, none), "is a Dockerfile and no archive");
  expect_failure(build_of({"-f", "-", "-"}, none), "cannot both come from standard input");
}

TEST_F(ContextKindsTest, ATarCannotReachOutOfItsDirectory) {
  ASSERT_TRUE(write_file(path("outside"), "FROM base\nRUN echo read-from-outside\n"));
  ASSERT_TRUE(make_dirs(path("evil")));
  ASSERT_EQ(command({"ln", "-s", path("outside"), path("evil/Dockerfile")}).exit_code, 0);
  ASSERT_TRUE(write_file(path("evil/a"), "1"));
  const Output link = command({"tar", "-C", path("evil"), "-cf", "-", "."});
  const Output linked = build_of({"-"}, link.out);
  expect_failure(linked, "open Dockerfile: no such file or directory in the context");
  EXPECT_THAT(linked.err, Not(HasSubstr("read-from-outside")));
  const Output climbing =
      command({"tar", "-C", path("evil"), "-P", "--transform=s,^,../../,", "-cf", "-", "a"});
  const Output refused = build_of({"-"}, climbing.out);
  expect_failure(refused, "unpack the context from standard input");
  expect_failure(build_of({serve("/evil.tar", climbing.out)}), "..");
  // A link in the way of a later entry leads to nowhere but the context itself.
  ASSERT_EQ(command({"ln", "-s", path(""), path("evil/out")}).exit_code, 0);
  const Output through =
      command({"/bin/sh", "-c",
               "cd '" + path("evil") + "' && tar -cf '" + path("t.tar") +
                   "' out && rm out && mkdir out && echo > out/planted && tar "
                   "-rf '" +
                   path("t.tar") + "' out/planted && cat '" + path("t.tar") + "'"});
  ASSERT_EQ(through.exit_code, 0) << through.err;
  (void)build_of({"-"}, through.out);
  EXPECT_FALSE(exists(path("planted")).value());
}

TEST_F(ContextKindsTest, ARepositoryIsAContextAtAnyOfItsRefs) {
  git_->commit(
      "r",
      {{"Dockerfile", kCopy}, {"a", "first"}, {"sub/Dockerfile", kCopy}, {"sub/a", "first below"}});
  git_->git("r", {"tag", "-a", "v1", "-m", "one"});
  git_->git("r", {"checkout", "-q", "-b", "side"});
  const std::string side = git_->commit("r", {{"a", "side"}, {"sub/a", "side below"}});
  git_->git("r", {"checkout", "-q", "main"});
  git_->commit("r", {{"a", "main"}});
  const std::string url = git_->url("r");
  for (const auto& [suffix, text] :
       std::vector<std::pair<std::string, std::string>>{{"", "main"},
                                                        {"#v1", "first"},
                                                        {"#side", "side"},
                                                        {"#side:sub", "side below"},
                                                        {"#:sub", "first below"},
                                                        {"#" + side, "side"},
                                                        {"?branch=side&subdir=sub", "side below"},
                                                        {"?tag=v1", "first"},
                                                        {"?ref=side&commit=" + side, "side"}}) {
    EXPECT_EQ(file_of("a", {url + suffix}), text) << suffix;
  }
}

TEST_F(ContextKindsTest, ARepositoryIsFetchedOnceAndThenFromTheCache) {
  git_->commit("r", {{"Dockerfile", "FROM base\nCOPY a /a\nRUN cat /a\n"}, {"a", "1"}});
  const Output first = build_of({git_->url("r")});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.err, HasSubstr("[internal] load git source " + git_->url("r")));
  const size_t packs = git_->server().count("POST", "/r.git/git-upload-pack");
  const Output second = build_of({git_->url("r")});
  EXPECT_THAT(second.err, HasSubstr("CACHED"));
  // The second asks what the branch is, and fetches nothing.
  EXPECT_LE(git_->server().count("POST", "/r.git/git-upload-pack") - packs, 1U);
  git_->commit("r", {{"a", "2"}});
  EXPECT_EQ(file_of("a", {git_->url("r")}), "2");
}

TEST_F(ContextKindsTest, WhatARepositoryLacksIsNamed) {
  git_->commit("r", {{"x.dockerfile", kCopy}});
  expect_failure(build_of({git_->url("r")}), "failed to read dockerfile: open Dockerfile");
  expect_failure(build_of({git_->url("r")}), "there is \"x.dockerfile\": name it with -f");
  expect_failure(build_of({git_->url("r") + "#nowhere"}),
                 "the repository does not contain ref \"nowhere\"");
  expect_failure(build_of({git_->url("r") + "#main:nowhere"}), "\"/nowhere\": not found");
  expect_failure(build_of({git_->url("absent")}), "git ls-remote failed");
  expect_failure(build_of({git_->url("r") + "?branch=a&tag=b"}), "branch conflicts with tag");
  expect_failure(build_of({git_->url("r") + "?branhc=a"}), "(did you mean branch?)");
  expect_failure(build_of({"ssh://git@127.0.0.1:1/r.git"}),
                 "no SSH key \"default\" forwarded from the client");
}

TEST_F(ContextKindsTest, LinksOfARepositoryStayInsideIt) {
  git_->commit("r", {{"a", "1"}});
  ASSERT_TRUE(write_file(path("outside"), "FROM base\nRUN echo read-from-outside\n"));
  const std::string work = git_->work("r");
  ASSERT_EQ(command({"ln", "-s", path("outside"), work + "/Dockerfile"}).exit_code, 0);
  ASSERT_EQ(command({"ln", "-s", path(""), work + "/sub"}).exit_code, 0);
  git_->commit("r", {});
  const Output linked = build_of({git_->url("r")});
  expect_failure(linked, "open Dockerfile: no such file or directory in the context");
  EXPECT_THAT(linked.err, Not(HasSubstr("read-from-outside")));
  expect_failure(build_of({"-f", "outside", git_->url("r") + "#main:sub"}), "not found");
}

TEST_F(ContextKindsTest, AnUnpackedArchiveIsAContextAndItsFilesAreRoots) {
  const std::string url = serve(
      "/c.tar.xz", tar_of({{"Dockerfile", "FROM base\nCOPY a /a\nRUN stat -c %u:%g /a > /o\n"},
                           {"a", "1"},
                           {"d/Dockerfile.b", "FROM base\nCOPY d /\n"}},
                          "-J"));
  EXPECT_EQ(file_of("a", {url}), "1");
  EXPECT_EQ(file_of("o", {url}), "0:0\n");
  EXPECT_EQ(file_of("Dockerfile.b", {"-f", "d/Dockerfile.b", url}), "FROM base\nCOPY d /\n");
}

TEST_F(ContextKindsTest, ADownloadThatIsNoArchiveIsTheDockerfile) {
  const std::string url = serve("/my.Dockerfile", "FROM base\nRUN echo hi > /a\n");
  EXPECT_EQ(file_of("a", {url}), "hi\n");
  expect_failure(build_of({"-f", "x", url}), "is a Dockerfile and no archive");
  serve("/my.Dockerfile", "FROM base\nRUNN x\n");
  const Output wrong = build_of({url});
  expect_failure(wrong, "dockerfile parse error on line 2: unknown instruction: RUNN");
  EXPECT_THAT(wrong.err, HasSubstr("my.Dockerfile:2\n"));
  expect_failure(build_of({web_->url("/absent.tgz")}), "invalid response status 404");
}

TEST_F(ContextKindsTest, TheDockerfileMayBeADownloadForAnyContext) {
  const std::string file = serve("/D", kCopy);
  EXPECT_EQ(file_of("a", {"-f", file, context("dir", {{"a", "1"}})}), "1");
  git_->commit("r", {{"a", "2"}});
  EXPECT_EQ(file_of("a", {"-f", file, git_->url("r")}), "2");
  EXPECT_EQ(file_of("a", {"-f", file, "-"}, tar_of({{"a", "3"}}, "-c")), "3");
  const std::string ignoring = context("ignoring", {{"a", "4"}, {".dockerignore", "a"}});
  expect_failure(build_of({"-f", file, ignoring}), "\"/a\": not found");
  expect_failure(build_of({"-f", "-", ignoring}, kCopy), "\"/a\": not found");
}

TEST_F(ContextKindsTest, QuestionsAreAnsweredFromARepository) {
  git_->commit("r", {{"Dockerfile", "FROM base AS one\nFROM one AS two\n"}});
  const Output targets = kiln({"build", "--call=targets", git_->url("r")});
  EXPECT_EQ(targets.exit_code, 0) << targets.err;
  EXPECT_THAT(targets.out, HasSubstr("two"));
  const Output graph = kiln({"debug", "dump-llb", "--format=json", git_->url("r")});
  EXPECT_EQ(graph.exit_code, 0) << graph.err;
}

TEST_F(ContextKindsTest, NamedContextsOfEveryKindReplaceStagesAndImages) {
  git_->commit("r", {{"who", "git"}, {"sub/who", "git below"}});
  const std::map<std::string, std::string> kinds = {
      {context("named", {{"who", "directory"}}), "directory"},
      {git_->url("r") + "#main:sub", "git below"},
      {serve("/n.tgz", tar_of({{"who", "archive"}}, "-z")), "archive"},
      {serve("/who", "file"), "file"}};
  const std::string c = context("main", {{"Dockerfile",
                                          "FROM base AS stage\nRUN echo stage > /who\n"
                                          "FROM base\n"
                                          "COPY --from=stage who /copied\n"
                                          "RUN --mount=from=stage,target=/m cp /m/who /mounted\n"
                                          "COPY --from=elsewhere/image who /image\n"}});
  for (const auto& [value, text] : kinds) {
    const std::vector<std::string> args = {"--build-context", "stage=" + value, "--build-context",
                                           "elsewhere/image=" + value, c};
    for (const char* file : {"copied", "mounted", "image"})
      EXPECT_EQ(file_of(file, args), text) << value;
  }
}

TEST_F(ContextKindsTest, ANamedContextCanBeWhatAStageIsFrom) {
  const Output saved = kiln({"save", "--format", "oci", "-o", path("base.tar"), "base"});
  ASSERT_EQ(saved.exit_code, 0) << saved.err;
  const std::string c =
      context("main", {{"Dockerfile", "FROM nosuch/image:1\nRUN echo hi > /a\n"}});
  for (const std::string& value :
       {std::string("docker-image://base"), "oci-layout://" + path("base.tar")})
    EXPECT_EQ(file_of("a", {"--build-context", "nosuch/image:1=" + value, c}), "hi\n") << value;
  const std::string here = "nosuch/image:1::" + Platform::host().to_string();
  const std::string layout = here + "=oci-layout://" + path("base.tar");
  EXPECT_EQ(file_of("a", {"--no-cache", "--build-context", layout, c}), "hi\n");
  const std::string d = context("scratch", {{"Dockerfile", "FROM files\n"}});
  EXPECT_EQ(file_of("x", {"--build-context", "files=" + context("x", {{"x", "1"}}), d}), "1");
}

TEST_F(ContextKindsTest, WhatCannotBeAContextIsRefusedByName) {
  const std::string c = context("main", {{"Dockerfile", "FROM base\n"}});
  for (const auto& [value, text] : std::vector<std::pair<std::string, std::string>>{
           {"x=" + path("absent"), "no such directory"},
           {"x=target:base", "names a part of a bake file"},
           {"x=ftp://h/x", "unknown kind of context \"ftp://\""},
           {"x=docker-archive://h", "unknown kind of context"},
           {"x", "expected NAME=VALUE"},
           {"x=", "expected NAME=VALUE"},
           {"x=-", "only the main context can come from standard input"},
           {"context=" + c, "the name is reserved"},
           {"scratch=" + c, "the name is reserved"},
           {"x=http://h/r.git?a=b", "unexpected query \"a\""}}) {
    const Output output = build_of({"--build-context", value, c});
    EXPECT_EQ(output.exit_code, 1) << value;
    EXPECT_THAT(output.err, HasSubstr(text)) << value;
  }
  expect_failure(build_of({path("absent")}), "not found");
  expect_failure(build_of({c + "/Dockerfile"}), "is not a directory");
}

TEST_F(ContextKindsTest, CredentialsOfAUrlAreUsedAndNeverKept) {
  git_->commit("r", {{"Dockerfile", kCopy}, {"a", "1"}});
  git_->require("basic dXNlcjpzM2NyM3Q=");  // user:s3cr3t
  std::string url = git_->url("r");
  url.insert(url.find("://") + 3, "user:s3cr3t@");
  const Output built = build_of({"--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", url});
  EXPECT_EQ(built.exit_code, 0) << built.err;
  EXPECT_THAT(built.err, Not(HasSubstr("s3cr3t")));
  EXPECT_FALSE(is_kept("s3cr3t"));
  url.replace(url.find("s3cr3t"), 6, "wr0ng7");
  const Output refused = build_of({"--no-cache", url});
  expect_failure(refused, "GIT_AUTH_TOKEN");
  EXPECT_THAT(refused.err, Not(HasSubstr("wr0ng7")));
  EXPECT_FALSE(is_kept("wr0ng7"));
}

}  // namespace
}  // namespace kiln::e2e
