// SOURCE_DATE_EPOCH that names a source: the time of the image, and what the steps see of it.
#include <gmock/gmock.h>

#include "tests/e2e/remote_fixture.h"

namespace kiln::e2e {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTell =
    "FROM base\nARG SOURCE_DATE_EPOCH\nRUN echo \"[$SOURCE_DATE_EPOCH]\" > /e\n";
constexpr const char* kModified = "Tue, 14 Nov 2023 22:16:41 GMT";  // 1700000201

class SourceDateEpochTest : public RemoteTest {
 protected:
  std::string told(const std::vector<std::string>& args, const std::string& input = {}) const {
    return file_of("e", args, input);
  }
  /// A tar whose files are of 1500000300 at the latest; a directory and a link in it are younger.
  std::string dated_tar(const std::map<std::string, std::string>& files) {
    const std::string c = context("dated", files);
    const Output made = command(
        {"/bin/sh", "-c",
         "cd '" + c +
             "' && touch -d @1500000000 * && touch -d @1500000300 a && mkdir -p d && ln -s a l"
             " && tar -cf - *"});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    return made.out;
  }
};

const std::string kContext = "--build-arg=SOURCE_DATE_EPOCH=context";

TEST_F(SourceDateEpochTest, OfARepositoryIsTheCommitsTime) {
  git_->commit("r", {{"Dockerfile", kTell}, {"sub/Dockerfile", kTell}});
  const std::string time = git_->git("r", {"log", "-1", "--format=%ct"});
  EXPECT_EQ(told({kContext, git_->url("r")}), "[" + time + "]\n");
  EXPECT_EQ(told({kContext, git_->url("r") + "#main:sub"}), "[" + time + "]\n");
  const Output built = build_of({kContext, "-t", "x", git_->url("r")});
  ASSERT_EQ(built.exit_code, 0) << built.err;
  const std::string created =
      command({"env", "TZ=UTC", "date", "-d", "@" + time, "+%Y-%m-%dT%H:%M:%SZ"}).out;
  EXPECT_EQ(image_config("x")["created"].as_string() + "\n", created);
}

TEST_F(SourceDateEpochTest, OfADownloadIsItsLastModifiedOrItsNewestFile) {
  const std::string url = serve("/c.tar", dated_tar({{"Dockerfile", kTell}, {"a", "A"}}));
  EXPECT_EQ(told({kContext, url}), "[1500000300]\n");
  served_["/c.tar"].headers = {{"Last-Modified", kModified}};
  EXPECT_EQ(told({kContext, url}), "[1700000201]\n");
  EXPECT_EQ(told({kContext, serve("/Dockerfile", kTell)}), "[]\n") << "there is no context";
}

TEST_F(SourceDateEpochTest, OfATarOnStandardInputIsItsNewestFile) {
  EXPECT_EQ(told({kContext, "-"}, dated_tar({{"Dockerfile", kTell}, {"a", "A"}})),
            "[1500000300]\n");
  EXPECT_EQ(told({kContext, "-"}, kTell), "[]\n");
}

TEST_F(SourceDateEpochTest, OfADirectoryIsUnset) {
  EXPECT_EQ(told({kContext, context("c", {{"Dockerfile", kTell}})}), "[]\n");
  EXPECT_EQ(told({context(
                "d", {{"Dockerfile", "ARG SOURCE_DATE_EPOCH=context\n" + std::string(kTell)}})}),
            "[]\n");
}

TEST_F(SourceDateEpochTest, MayBeThatOfANamedContext) {
  const std::string c = context("c", {{"Dockerfile", kTell}});
  const std::string url = serve("/n.tar", dated_tar({{"a", "A"}}));
  const std::string arg = "--build-arg=SOURCE_DATE_EPOCH=src";
  EXPECT_EQ(told({arg, "--build-context=src=" + url, c}), "[1500000300]\n");
  git_->commit("r", {{"a", "1"}});
  const std::string time = git_->git("r", {"log", "-1", "--format=%ct"});
  EXPECT_EQ(told({arg, "--build-context=src=" + git_->url("r"), c}), "[" + time + "]\n");
  EXPECT_EQ(told({arg, "--build-context=src=" + c, c}), "[]\n");
  EXPECT_EQ(told({arg, "--build-context=src=docker-image://base", c}), "[]\n");
}

TEST_F(SourceDateEpochTest, MayBeThatOfAStageOfOneAdd) {
  const std::string url = serve("/s.tar", dated_tar({{"a", "A"}}));
  const auto dockerfile = [&](const std::string& add) {
    return context("c", {{"Dockerfile", "ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD " +
                                            add + " /\n" + kTell + "COPY --from=src / /got/\n"}});
  };
  EXPECT_EQ(told({dockerfile(url)}), "[1500000300]\n");
  EXPECT_EQ(web_->count("GET", "/s.tar"), 1U);
  git_->commit("r", {{"a", "1"}});
  const std::string time = git_->git("r", {"log", "-1", "--format=%ct"});
  EXPECT_EQ(told({dockerfile(git_->url("r"))}), "[" + time + "]\n");
  const std::string sum = command({"sha256sum"}, served_["/s.tar"].body).out.substr(0, 64);
  EXPECT_EQ(told({dockerfile("--checksum=sha256:" + sum + " " + url)}), "[1500000300]\n");
  expect_failure(build_of({dockerfile("--checksum=sha256:" + std::string(64, '0') + " " + url)}),
                 "digest mismatch");
}

TEST_F(SourceDateEpochTest, APinnedDownloadHasTheTimeOfItsOwnServer) {
  const std::string first = serve("/s.tar", "x");
  const std::string second = serve("/other/s.tar", "x");
  served_["/s.tar"].headers = {{"Last-Modified", kModified}};
  const std::string sum = command({"sha256sum"}, "x").out.substr(0, 64);
  for (const auto& [url, time] :
       std::map<std::string, std::string>{{first, "[1700000201]\n"}, {second, "[]\n"}}) {
    EXPECT_EQ(told({context("c", {{"Dockerfile",
                                   "ARG SOURCE_DATE_EPOCH=src\n"
                                   "FROM scratch AS src\nADD --checksum=sha256:" +
                                       sum + " " + url + " /\n" + kTell}})}),
              time);
  }
}

TEST_F(SourceDateEpochTest, IsInTheGraphThatIsDumped) {
  const std::string url = serve("/c.tar", dated_tar({{"Dockerfile", kTell}, {"a", "A"}}));
  const Output graph =
      kiln({"debug", "dump-llb", "--format=json", "--build-arg=SOURCE_DATE_EPOCH=src",
            "--build-context=src=" + url, context("c", {{"Dockerfile", kTell}})});
  EXPECT_EQ(graph.exit_code, 0) << graph.err;
  EXPECT_THAT(graph.out, HasSubstr("SOURCE_DATE_EPOCH=1500000300"));
}

TEST_F(SourceDateEpochTest, ChecksAskNoServer) {
  const std::string c =
      context("c", {{"Dockerfile", "ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD " +
                                       web_->url("/s.tar") + " /\nFROM base\n"}});
  const Output checked = kiln({"build", "--check", c});
  EXPECT_EQ(checked.exit_code, 0) << checked.out << checked.err;
  EXPECT_TRUE(web_->requests().empty());
}

}  // namespace
}  // namespace kiln::e2e
