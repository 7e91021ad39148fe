// Builds that fetch: with a git server and a web server of their own on loopback.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/kiln_runner.h"
#include "tests/fakes/git_server.h"

namespace kiln::e2e {

class RemoteTest : public KilnTest {
 protected:
  void SetUp() override;

  /// The files as a tar, compressed by tar's option ("-z"; "-c" alone for none).
  std::string tar_of(const std::map<std::string, std::string>& files, const std::string& option);
  /// `body` at a path of the web server; the URL.
  std::string serve(const std::string& at, std::string body);
  Output build_of(const std::vector<std::string>& args, const std::string& input = {}) const;
  /// Builds and returns a file of the result.
  std::string file_of(const std::string& file, const std::vector<std::string>& args,
                      const std::string& input = {}) const;
  /// Exit status 1, and `text` on stderr.
  static void expect_failure(const Output& output, const std::string& text);
  /// Is `text` anywhere below the root: logs, records, blobs, snapshots?
  bool is_kept(const std::string& text) const;

  std::unique_ptr<fake::GitServer> git_;
  std::unique_ptr<fake::HttpServer> web_;
  std::map<std::string, fake::Response> served_;  // by path; changed between builds only

 private:
  int packed_ = 0;
};

}  // namespace kiln::e2e
