#include "tests/e2e/remote_fixture.h"

#include <gmock/gmock.h>

namespace kiln::e2e {

void RemoteTest::SetUp() {
  KilnTest::SetUp();
  if (IsSkipped()) return;
  if (!find_program("git", "/usr/bin:/bin")) GTEST_SKIP() << "there is no git";
  ASSERT_TRUE(make_dirs(path("git")));
  git_ = std::make_unique<fake::GitServer>(path("git"));
  web_ = fake::HttpServer::start([this](const fake::Request& request) {
           const auto found = served_.find(request.path);
           if (found == served_.end()) return fake::Response{404, {}, ""};
           for (const auto& [name, value] : found->second.headers)
             if (name == "ETag" && request.header("if-none-match") == value)
               return fake::Response{304, found->second.headers, ""};
           return found->second;
         }).value();
}

std::string RemoteTest::tar_of(const std::map<std::string, std::string>& files,
                               const std::string& option) {
  const std::string directory = context("packed" + std::to_string(++packed_), files);
  const Output made = command({"tar", "-C", directory, option, "-cf", "-", "."});
  EXPECT_EQ(made.exit_code, 0) << made.err;
  return made.out;
}

std::string RemoteTest::serve(const std::string& at, std::string body) {
  served_[at] = fake::Response{200, {}, std::move(body)};
  return web_->url(at);
}

Output RemoteTest::build_of(const std::vector<std::string>& args, const std::string& input) const {
  std::vector<std::string> argv = {"build", "--progress=plain"};
  argv.insert(argv.end(), args.begin(), args.end());
  return kiln(argv, input);
}

std::string RemoteTest::file_of(const std::string& file, const std::vector<std::string>& args,
                                const std::string& input) const {
  std::vector<std::string> more = {"-o", "type=tar,dest=" + path("out.tar")};
  more.insert(more.end(), args.begin(), args.end());
  const Output output = build_of(more, input);
  EXPECT_EQ(output.exit_code, 0) << output.err;
  const Output tar = command({"tar", "-xOf", path("out.tar"), file});
  return tar.exit_code == 0 ? tar.out : "no file: " + tar.err;
}

void RemoteTest::expect_failure(const Output& output, const std::string& text) {
  EXPECT_EQ(output.exit_code, 1) << output.err;
  EXPECT_THAT(output.err, ::testing::HasSubstr(text));
}

bool RemoteTest::is_kept(const std::string& text) const {
  return command({"grep", "-rqaF", text, root()}).exit_code == 0;
}

}  // namespace kiln::e2e
