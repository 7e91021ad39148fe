// Runs the real binary on a root of its own, with a base image of a static busybox. A test that
// needs root or busybox skips with its reason.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/json.h"
#include "base/process.h"

namespace kiln::e2e {

struct Output {
  int exit_code = 0;
  std::string out, err;
};

/// One root with the image "base" (busybox) imported, removed at the end of the test.
class KilnTest : public ::testing::Test {
 protected:
  void SetUp() override;

  /// What "base" was imported from: made once a process, since tests have a root each but one base.
  static const std::string& base_tar();
  /// A directory below the test's own, with these files ("name" -> text; parents are made).
  std::string context(const std::string& name, const std::map<std::string, std::string>& files);
  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }
  std::string root() const { return path("root"); }

  Output kiln(const std::vector<std::string>& args, const std::string& input = {}) const;
  /// On another root than the test's own.
  Output kiln_at(const std::string& root, const std::vector<std::string>& args) const;
  Output command(const std::vector<std::string>& argv, const std::string& input = {}) const;
  /// Builds, expects success and returns stderr (plain progress).
  std::string build(const std::string& context, const std::vector<std::string>& more = {}) const;
  /// Builds with -o type=tar and returns the named file's bytes from the result.
  std::string built_file(const std::string& context, const std::string& file,
                         const std::vector<std::string>& more = {}) const;
  /// The config of a stored image, from `kiln save --format oci`.
  Json image_config(const std::string& name) const;
  /// Steps that ran (have a DONE line) and that came from cache, by the text of their names.
  static int count(const std::string& text, const std::string& what);
  std::vector<std::string> environment_ = {
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"};

 private:
  /// Made once a process and copied for each test: nothing runs on it.
  const std::string& root_with_base() const;
  std::unique_ptr<TempDir> dir_;
};

}  // namespace kiln::e2e
