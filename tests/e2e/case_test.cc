// Every folder of testdata/dockerfile is a build: its image's config, history and changed files, or
// its error, must be what `expected` says. testdata/dockerfile/README.md tells the form. With
// KILN_UPDATE_CASES=1 in the environment what was seen is written there instead, to be read before
// it is committed.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>

#include "base/strings.h"
#include "tests/e2e/built_image.h"
#include "tests/e2e/kiln_runner.h"
#include "tests/fakes/tree_text.h"

namespace kiln::e2e {
namespace {

namespace fs = std::filesystem;

std::string cases_directory() {
  return std::string(KILN_SOURCE_DIR) + "/testdata/dockerfile";
}

std::string text_of(const std::string& file) {
  return read_file(file, 16U << 20U).value_or("");
}

std::vector<std::string> lines_of(const std::string& file) {
  std::vector<std::string> lines;
  for (const std::string& line : split(text_of(file), '\n'))
    if (!line.empty() && line.front() != '#') lines.push_back(line);
  return lines;
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(cases_directory()))
    if (entry.is_directory()) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

class DockerfileCase : public KilnTest, public ::testing::WithParamInterface<std::string> {
 protected:
  std::string folder() const { return cases_directory() + "/" + GetParam(); }

  // A copy with settled times, and with what a checkout cannot hold (owners, modes, links).
  std::string make_context() {
    const std::string made = path("context");
    EXPECT_TRUE(make_dirs(made));
    if (fs::exists(folder() + "/context"))
      fs::copy(folder() + "/context", made,
               fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    for (const auto& entry : fs::recursive_directory_iterator(made))
      if (!entry.is_symlink())
        fs::permissions(entry.path(), entry.is_directory() ? fs::perms(0755) : fs::perms(0644));
    for (const std::string& line : lines_of(folder() + "/context.txt"))
      fake::make_entry(made, line);
    const timespec times[2] = {{1'500'000'000, 0}, {1'500'000'000, 0}};
    for (const auto& entry : fs::recursive_directory_iterator(made))
      EXPECT_EQ(::utimensat(AT_FDCWD, entry.path().c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
    return made;
  }

  std::vector<std::string> arguments(const std::string& context) {
    std::vector<std::string> out = {"build", "--progress=plain"};
    if (fs::exists(folder() + "/Dockerfile"))
      out.insert(out.end(), {"-f", folder() + "/Dockerfile"});
    for (std::string line : lines_of(folder() + "/args")) {
      replace_all(line, "@CASE@", folder());
      replace_all(line, "@TMP@", path(""));
      out.push_back(line);
    }
    out.insert(out.end(), {"-o", "type=oci,dest=" + path("image.tar"), context});
    return out;
  }

  // Runs `setup`, if there is one, in a directory of its own beside the context.
  void set_up_case() {
    const std::string script = folder() + "/setup";
    if (!fs::exists(script)) return;
    const Output done = command({"/bin/sh", "-eu", script, path(""), KILN_BINARY, root()});
    ASSERT_EQ(done.exit_code, 0) << done.out << done.err;
  }

  std::string seen(const Output& output) const {
    if (output.exit_code == 0)
      return warnings_of(output.err) + describe_image(path("image.tar"), base_diff_id_);
    std::string text = "exit " + std::to_string(output.exit_code) + "\n" + error_of(output.err);
    replace_all(text, folder() + "/", "");
    replace_all(text, path(""), "@TMP@");
    return text;
  }

  // From the error on: what ran before is not in question.
  static std::string error_of(const std::string& err) {
    static const std::regex kStart("(^|\\n)(ERROR: |[^\\n]+:[0-9]+\\n-{20}\\n)");
    std::smatch found;
    if (!std::regex_search(err, found, kStart)) return err;
    return err.substr(static_cast<size_t>(found.position(2)));
  }

  static std::string warnings_of(const std::string& err) {
    std::string out;
    for (const std::string& line : split(err, '\n'))
      if (const size_t at = line.find("WARN: "); at != std::string::npos)
        out += line.substr(at) + "\n";
    return out;
  }

  std::string base_diff_id_;
};

TEST_P(DockerfileCase, BuildsAsExpected) {
  set_up_case();
  // The same for all: they import the same base.
  static const std::string base_diff_id =
      image_config("base")["rootfs"]["diff_ids"].strings().at(0);
  base_diff_id_ = base_diff_id;
  const std::string text = seen(kiln(arguments(make_context())));
  const std::string file = folder() + "/expected";
  if (std::getenv("KILN_UPDATE_CASES") != nullptr) {
    ASSERT_TRUE(write_file(file, text));
    return;
  }
  ASSERT_TRUE(fs::exists(file)) << "no expected file; kiln gave\n" << text;
  EXPECT_EQ(text, text_of(file));
}

INSTANTIATE_TEST_SUITE_P(Cases, DockerfileCase, ::testing::ValuesIn(case_names()),
                         [](const auto& one) { return one.param; });

}  // namespace
}  // namespace kiln::e2e
