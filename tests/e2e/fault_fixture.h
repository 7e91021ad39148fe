// A Dockerfile whose image is the same bytes wherever it is built, and what must hold of a root
// after whatever happened to it.
#pragma once

#include "tests/e2e/fault_tools.h"

namespace kiln::e2e {

class FaultTest : public KilnTest {
 protected:
  void SetUp() override;

  /// A root that knows the base and nothing else.
  std::string fresh_root(const std::string& name);
  /// The steps of build_archive()'s Dockerfile are cached in it; none is packed.
  std::string built_root(const std::string& name);
  /// `kiln build -o type=oci,dest=…` of the Dockerfile, after `wrapper` ("strace", …).
  Output build_archive(const std::string& root, const std::string& archive,
                       const std::vector<std::string>& wrapper = {});
  /// The archive that an untouched root gives.
  const std::string& expected();
  /// Builds on `root` and compares with expected().
  void expect_right_image(const std::string& root, const std::string& after);
  /// No process, no mount and no archive that is not whole.
  void expect_nothing_left(const std::string& archive, const std::string& after);
  /// The same, and the next build is as if nothing had been.
  void expect_no_harm(const std::string& root, const std::string& archive,
                      const std::string& after);

  /// What is in an archive, for people.
  std::string look_into(const std::string& archive) const;

  Descendants descendants_;
  std::string context_;

 private:
  std::string archive_bytes(const std::string& path) const;
  std::string expected_;
};

}  // namespace kiln::e2e
