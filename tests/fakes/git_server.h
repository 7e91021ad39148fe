// Git repositories behind a real smart http server on a loopback port (git http-backend), for
// tests. Commits have fixed authors and times, so that their ids are always the same.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/fakes/http_server.h"

namespace kiln::fake {

/// For git in tests: nothing of this machine's, and the fixed author and times. `home` exists.
std::vector<std::string> git_environment(const std::string& home);

class GitServer {
 public:
  /// `directory` exists and is the server's alone.
  explicit GitServer(std::string directory);

  /// For another object format than sha1, before anything else is done with `repository`.
  void create(const std::string& repository, const std::string& object_format);
  /// `git ARGS` in the working tree of `repository` (made, with its branch main, if absent):
  /// stdout, trimmed. Fails the running test if git fails.
  std::string git(const std::string& repository, std::vector<std::string> args);
  /// Writes the files, commits all on the current branch and publishes every branch and tag.
  /// Returns the commit.
  std::string commit(const std::string& repository,
                     const std::map<std::string, std::string>& files);
  void publish(const std::string& repository);
  std::string work(const std::string& repository) const { return directory_ + "/" + repository; }
  std::string url(const std::string& repository) const {
    return server_->url("/" + repository + ".git");
  }
  /// From then on only requests with this Authorization header are served.
  void require(std::string authorization) { authorization_ = std::move(authorization); }
  const HttpServer& server() const { return *server_; }

 private:
  Response serve(const Request& request) const;
  std::string run(std::vector<std::string> argv) const;
  std::string directory_;
  std::string authorization_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace kiln::fake
