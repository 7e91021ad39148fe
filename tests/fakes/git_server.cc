#include "tests/fakes/git_server.h"

#include <gtest/gtest.h>

#include "base/fs.h"
#include "base/process.h"
#include "base/strings.h"

namespace kiln::fake {
namespace {

constexpr uint64_t kGitOutputLimit = 64U << 20U;
constexpr char kSearchPath[] = "/usr/local/bin:/usr/bin:/bin";

/// What a CGI program wrote: header lines, an empty line, the body.
Response from_cgi(const std::string& output) {
  Response response;
  size_t at = 0;
  for (;;) {
    const size_t end = output.find("\r\n", at);
    if (end == std::string::npos || end == at) {
      at = end == std::string::npos ? output.size() : end + 2;
      break;
    }
    const std::string line = output.substr(at, end - at);
    const size_t colon = line.find(": ");
    if (line.starts_with("Status: "))
      response.status = static_cast<int>(parse_int(line.substr(8, 3)).value_or(500));
    else if (colon != std::string::npos)
      response.headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    at = end + 2;
  }
  response.body = output.substr(at);
  return response;
}

}  // namespace

std::vector<std::string> git_environment(const std::string& home) {
  return {std::string("PATH=") + kSearchPath,
          "HOME=" + home,
          "GIT_CONFIG_NOSYSTEM=1",
          "GIT_AUTHOR_NAME=a",
          "GIT_AUTHOR_EMAIL=a@b",
          "GIT_COMMITTER_NAME=a",
          "GIT_COMMITTER_EMAIL=a@b",
          "GIT_COMMITTER_DATE=1500000000 +0000",
          "GIT_AUTHOR_DATE=1500000000 +0000"};
}

GitServer::GitServer(std::string directory) : directory_(std::move(directory)) {
  server_ = HttpServer::start([this](const Request& request) { return serve(request); }).value();
}

std::string GitServer::run(std::vector<std::string> argv) const {
  ProcessSpec spec;
  spec.argv = std::move(argv);
  spec.env = git_environment(directory_);
  const auto ran = run_captured(spec, "", kGitOutputLimit, {});
  EXPECT_TRUE(ran && ran->exit.ok()) << ::testing::PrintToString(spec.argv) << "\n"
                                     << (ran ? ran->err : ran.error().to_string());
  return ran ? std::string(trim(ran->out)) : std::string();
}

void GitServer::create(const std::string& repository, const std::string& object_format) {
  const std::string format = "--object-format=" + object_format, bare = work(repository) + ".git";
  run({"git", "init", "-q", format, "-b", "main", work(repository)});
  run({"git", "init", "-q", format, "--bare", "-b", "main", bare});
  run({"git", "-C", bare, "config", "uploadpack.allowAnySHA1InWant", "true"});
}

std::string GitServer::git(const std::string& repository, std::vector<std::string> args) {
  if (!exists(work(repository)).value()) create(repository, "sha1");
  std::vector<std::string> argv = {"git", "-C", work(repository), "-c",
                                   "protocol.file.allow=always"};
  argv.insert(argv.end(), args.begin(), args.end());
  return run(std::move(argv));
}

std::string GitServer::commit(const std::string& repository,
                              const std::map<std::string, std::string>& files) {
  git(repository, {"status", "--short"});
  for (const auto& [name, text] : files) {
    const std::string path = work(repository) + "/" + name;
    EXPECT_TRUE(make_dirs(path.substr(0, path.rfind('/'))));
    EXPECT_TRUE(write_file(path, text));
  }
  git(repository, {"add", "-A"});
  git(repository, {"commit", "-q", "--allow-empty", "-m", "a commit"});
  publish(repository);
  return git(repository, {"rev-parse", "HEAD"});
}

void GitServer::publish(const std::string& repository) {
  git(repository, {"push", "-q", "--force", work(repository) + ".git", "refs/*:refs/*"});
}

Response GitServer::serve(const Request& request) const {
  if (!authorization_.empty() && request.header("authorization") != authorization_)
    return {401, {{"WWW-Authenticate", "Basic realm=\"test\""}}, ""};
  ProcessSpec spec;
  spec.argv = {"git", "http-backend"};
  spec.env = git_environment(directory_);
  const auto add = [&](const char* name, std::string_view header) {
    if (const auto value = request.header(header)) spec.env.push_back(std::string(name) + *value);
  };
  add("CONTENT_TYPE=", "content-type");
  add("HTTP_CONTENT_ENCODING=", "content-encoding");
  add("GIT_PROTOCOL=", "git-protocol");
  spec.env.insert(spec.env.end(), {"GIT_PROJECT_ROOT=" + directory_, "GIT_HTTP_EXPORT_ALL=1",
                                   "REQUEST_METHOD=" + request.method, "PATH_INFO=" + request.path,
                                   "QUERY_STRING=" + request.query,
                                   "CONTENT_LENGTH=" + std::to_string(request.body.size())});
  const auto ran = run_captured(spec, request.body, kGitOutputLimit, {});
  if (!ran || !ran->exit.ok()) return {500, {}, ran ? ran->err : ran.error().to_string()};
  return from_cgi(ran->out);
}

}  // namespace kiln::fake
