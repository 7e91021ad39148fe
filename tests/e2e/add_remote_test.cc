// ADD of URLs and of repositories, and base images that cannot be had.
#include <gmock/gmock.h>

#include "base/digest.h"
#include "tests/e2e/remote_fixture.h"

namespace kiln::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class AddRemoteTest : public RemoteTest {
 protected:
  std::string dockerfile(const std::string& text) {
    return context("c" + std::to_string(++made_), {{"Dockerfile", text}});
  }
  /// What `RUN stat` says of the file that ADD made with these words.
  std::string added(const std::string& words, const std::string& script) {
    return file_of("out",
                   {dockerfile("FROM base\nADD " + words + "\nRUN { " + script + "; } > /out\n")});
  }
  int made_ = 0;
};

TEST_F(AddRemoteTest, AFileIsCalledAfterItsUrlUnlessItIsNamed) {
  const std::string url = serve("/dir/tool.tgz", "body");
  const char* mode = "find /d /new -type f -exec stat -c '%n %a %u:%g' {} ';' 2>/dev/null; true";
  EXPECT_EQ(added(url + " /d/", mode), "/d/tool.tgz 600 0:0\n");
  EXPECT_EQ(added(url + "?x=1#frag /d/", mode), "/d/tool.tgz 600 0:0\n");
  EXPECT_EQ(added(url + " /new", mode), "/new 600 0:0\n");
  EXPECT_EQ(added("--chmod=755 --chown=7:8 " + url + " /d/", mode), "/d/tool.tgz 755 7:8\n");
  EXPECT_EQ(added(serve("/a%20b", "x") + " /d/", mode), "/d/a%20b 600 0:0\n");
  EXPECT_EQ(added(serve("/", "x") + " /d/", mode), "/d/__unnamed__ 600 0:0\n");
}

TEST_F(AddRemoteTest, AnArchiveIsUnpackedOnlyIfAsked) {
  const std::string url = serve("/a.tgz", tar_of({{"in", "side"}}, "-z"));
  EXPECT_EQ(added(url + " /d/", "ls /d"), "a.tgz\n");
  EXPECT_EQ(added("--unpack=true " + url + " /d/", "cat /d/in"), "side");
}

TEST_F(AddRemoteTest, TheServersTimeIsTheFiles) {
  const std::string url = serve("/f", "body");
  served_["/f"].headers = {{"Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"}};
  EXPECT_EQ(added(url + " /d/", "stat -c %Y /d/f"), "784111777\n");
}

TEST_F(AddRemoteTest, AChecksumIsHeldAgainstTheContent) {
  const std::string url = serve("/f", "body");
  const std::string good = Digest::of("body").to_string(), bad = Digest::of("x").to_string();
  EXPECT_EQ(added("--checksum=" + good + " " + url + " /d/", "cat /d/f"), "body");
  const Output wrong =
      build_of({dockerfile("FROM base\nADD --checksum=" + bad + " " + url + " /\n")});
  expect_failure(wrong, "digest mismatch");
  EXPECT_THAT(wrong.err, HasSubstr("is " + good + ", not " + bad));
  EXPECT_THAT(wrong.err, HasSubstr(" 2 | >>> ADD --checksum="));
}

TEST_F(AddRemoteTest, AnUnchangedFileIsNotSentAgainAndAChangedOneIs) {
  const std::string url = serve("/f", "first");
  served_["/f"].headers = {{"ETag", "\"1\""}};
  const std::string c = dockerfile("FROM base\nADD " + url + " /f\nRUN cat /f\n");
  EXPECT_EQ(count(build({c}), "CACHED"), 0);
  EXPECT_EQ(count(build({c}), "CACHED"), 4);  // FROM, the download, ADD and RUN
  ASSERT_EQ(web_->requests().size(), 2U);
  EXPECT_EQ(web_->requests().back().header("if-none-match"), "\"1\"");
  served_["/f"] = fake::Response{200, {{"ETag", "\"2\""}}, "second"};
  EXPECT_EQ(file_of("f", {c}), "second");
}

TEST_F(AddRemoteTest, RedirectsAreFollowedAndWhatIsMissingIsNamed) {
  const std::string there = serve("/there", "body");
  served_["/moved"] = fake::Response{302, {{"Location", "/there"}}, ""};
  EXPECT_EQ(added(web_->url("/moved") + " /d/", "cat /d/moved"), "body");
  const std::string absent = web_->url("/absent");
  const Output missing = build_of({dockerfile("FROM base\nADD " + absent + " /\n")});
  expect_failure(missing, "GET " + absent + ": invalid response status 404");
  EXPECT_THAT(missing.err, HasSubstr(" 2 | >>> ADD "));
  served_["/loop"] = fake::Response{302, {{"Location", "/loop"}}, ""};
  expect_failure(build_of({dockerfile("FROM base\nADD " + web_->url("/loop") + " /\n")}),
                 "too many redirects");
}

TEST_F(AddRemoteTest, CredentialsOfAUrlAreNeitherShownNorKept) {
  std::string url = serve("/f", "body");
  url.insert(url.find("://") + 3, "user:s3cr3t@");
  const Output built = build_of(
      {"-t", "img", dockerfile("FROM base\nARG U\nADD $U /f\n"), "--build-arg", "U=" + url});
  EXPECT_EQ(built.exit_code, 0) << built.err;
  EXPECT_EQ(web_->requests().back().header("authorization"), "Basic dXNlcjpzM2NyM3Q=");
  EXPECT_THAT(built.err, Not(HasSubstr("s3cr3t")));
  EXPECT_FALSE(is_kept("s3cr3t"));
  served_.clear();
  EXPECT_THAT(
      build_of({dockerfile("FROM base\nARG U\nADD $U /f\n"), "--build-arg", "U=" + url}).err,
      Not(HasSubstr("s3cr3t")));
}

TEST_F(AddRemoteTest, ARepositoryIsAddedAtARefWithoutItsGitDirectory) {
  git_->commit("r", {{"a", "1"}, {"sub/b", "2"}});
  git_->git("r", {"tag", "v1"});
  const std::string pinned = git_->commit("r", {{"a", "3"}});
  const std::string url = git_->url("r");
  EXPECT_EQ(added(url + " /d", "ls -A /d; cat /d/a"), "a\nsub\n3");
  EXPECT_EQ(added(url + "#v1:sub /d", "ls -A /d"), "b\n");
  EXPECT_EQ(added("--checksum=" + pinned + " " + url + " /d", "cat /d/a"), "3");
  EXPECT_EQ(added(url + "?tag=v1 /d", "stat -c %a:%u:%g:%Y /d/a"), "644:0:0:1500000000\n");
  const Output wrong =
      build_of({dockerfile("FROM base\nADD --checksum=" + pinned + " " + url + "#v1 /\n")});
  expect_failure(wrong, "expected checksum to match " + pinned + ", got ");
}

TEST_F(AddRemoteTest, ARepositoryOfSha256ObjectsIsAdded) {
  git_->create("r", "sha256");
  const std::string head = git_->commit("r", {{"a", "1"}});
  ASSERT_EQ(head.size(), 64U);
  EXPECT_EQ(added(git_->url("r") + "#" + head + " /d", "cat /d/a"), "1");
}

TEST_F(AddRemoteTest, TheGitDirectoryIsKeptIfAskedAndWorks) {
  const std::string head = git_->commit("r", {{"a", "1"}});
  const std::string c =
      dockerfile("FROM scratch\nADD --keep-git-dir=true " + git_->url("r") + " /d\n");
  const Output built = build_of({"-o", path("out"), c});
  ASSERT_EQ(built.exit_code, 0) << built.err;
  EXPECT_EQ(
      command({"git", "-c", "safe.directory=*", "-C", path("out/d"), "rev-parse", "HEAD"}).out,
      head + "\n");
}

TEST_F(AddRemoteTest, SubmodulesComeAlongUnlessRefused) {
  git_->commit("inner", {{"i", "inner"}});
  git_->commit("r", {{"a", "1"}});
  git_->git("r", {"submodule", "--quiet", "add", git_->url("inner"), "module"});
  git_->commit("r", {});
  EXPECT_EQ(added(git_->url("r") + " /d", "cat /d/module/i; ls -A /d/module"), "inneri\n");
  EXPECT_EQ(added(git_->url("r") + "?submodules=false /d", "ls -A /d/module"), "");
}

TEST_F(AddRemoteTest, ASubmoduleOfThisMachineIsRefused) {
  git_->commit("inner", {{"i", "inner"}});
  git_->commit("r", {{"a", "1"}});
  git_->git("r", {"submodule", "--quiet", "add", git_->work("inner"), "module"});
  git_->commit("r", {});
  expect_failure(build_of({dockerfile("FROM base\nADD " + git_->url("r") + " /d\n")}),
                 "transport 'file' not allowed");
}

// With a stand-in for ssh that tells what it was given and serves the repository itself.
TEST_F(AddRemoteTest, OverSshTheAgentOfTheBuildAndNoOtherKeyIsUsed) {
  git_->commit("r", {{"a", "1"}});
  ASSERT_TRUE(make_dirs(path("bin")));
  ASSERT_TRUE(write_file(path("bin/ssh"), "#!/bin/sh\necho \"$SSH_AUTH_SOCK $*\" >> '" +
                                              path("ssh.log") + "'\nexec git-upload-pack '" +
                                              git_->work("r") + ".git'\n"));
  ASSERT_EQ(command({"chmod", "755", path("bin/ssh")}).exit_code, 0);
  environment_.front().insert(5, path("bin") + ":");
  const std::string c = dockerfile("FROM base\nADD git@h.example:r.git /d\nRUN cat /d/a > /out\n");
  EXPECT_EQ(file_of("out", {"--ssh", "default=" + path("agent"), c}), "1");
  const std::string log = read_file(path("ssh.log"), 1U << 20U).value();
  EXPECT_THAT(log, HasSubstr(path("agent") + " -F /dev/null -o BatchMode=yes"));
  EXPECT_THAT(log, HasSubstr("-o StrictHostKeyChecking=yes -o IdentityFile=none"));
}

TEST_F(AddRemoteTest, CopyTakesNeitherUrlsNorRepositories) {
  expect_failure(build_of({dockerfile("FROM base\nCOPY http://h/x /\n")}),
                 "source can't be a URL for COPY");
  expect_failure(build_of({dockerfile("FROM base\nCOPY git@h:r.git /\n")}),
                 "source can't be a git ref for COPY");
  expect_failure(build_of({dockerfile("FROM base\nADD git@127.0.0.1:r.git /\n")}),
                 "no SSH key \"default\" forwarded from the client");
}

TEST_F(AddRemoteTest, ARegistryThatDoesNotExistIsNamedAtItsLine) {
  const Output output = build_of({dockerfile("FROM nosuchhost.invalid/x\n")});
  expect_failure(output, "nosuchhost.invalid");
  EXPECT_THAT(output.err, HasSubstr("Could not resolve host"));
  EXPECT_THAT(output.err, HasSubstr(" 1 | >>> FROM nosuchhost.invalid/x"));
}

TEST_F(AddRemoteTest, AMisspeltImageIsGuessedFromThoseThatAreHere) {
  ASSERT_EQ(kiln({"tag", "base", "127.0.0.1:1/mytools:latest"}).exit_code, 0);
  const Output output = build_of({dockerfile("FROM 127.0.0.1:1/mytoosl\n")});
  expect_failure(output, "(did you mean 127.0.0.1:1/mytools?)");
  EXPECT_THAT(output.err, HasSubstr(" 1 | >>> FROM 127.0.0.1:1/mytoosl"));
}

TEST_F(AddRemoteTest, CredentialsOfAUrlInABuildArgumentAreNotInRecordsOfRun) {
  const std::string d = dockerfile("FROM base\nARG U\nRUN echo ${#U} > /f\n");
  for (const char* url : {"https://user:s3cr3t@h/r.git", "https://user:0th3r@h/r.git"}) {
    const Output built = build_of({"-t", "img", d, "--build-arg", std::string("U=") + url});
    EXPECT_EQ(built.exit_code, 0) << built.err;
    EXPECT_THAT(built.err, HasSubstr("echo ${#U}"));
    EXPECT_THAT(built.err, HasSubstr("#2 DONE")) << "another argument is another step";
    EXPECT_FALSE(is_kept("s3cr3t"));
    EXPECT_FALSE(is_kept("0th3r"));
  }
}

TEST_F(AddRemoteTest, GitAndDownloadsGoThroughTheProxyOfTheEnvironment) {
  environment_.push_back("http_proxy=" + web_->url(""));
  for (const char* url : {"http://nowhere.invalid/r.git", "http://nowhere.invalid/file"}) {
    const size_t before = web_->requests().size();
    const Output output = build_of(
        {context("c", {{"Dockerfile", "FROM scratch\nADD " + std::string(url) + " /\n"}})});
    EXPECT_EQ(output.exit_code, 1);
    const auto requests = web_->requests();
    ASSERT_GT(requests.size(), before) << url << output.err;
    EXPECT_THAT(requests.at(before).target, testing::StartsWith(url));
  }
}

}  // namespace
}  // namespace kiln::e2e
