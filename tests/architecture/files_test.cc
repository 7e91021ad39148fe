// How a file looks: its size, its folder's name, the start of a header.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string>

#include "tests/architecture/source_tree.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSmellLines = 400;
constexpr size_t kMaxLines = 600;
constexpr size_t kMaxTestLines = 800;
const Names kBadFolderNames = {"util",    "utils",   "common", "core",
                               "helpers", "include", "src",    "misc"};

TEST(FilesTest, HeadersStartWithADocumentationAndPragmaOnce) {
  Violations violations;
  for (const SourceFile& file : sources()) {
    if (!file.path.ends_with(".h")) continue;
    if (file.lines.empty() || !file.lines.front().starts_with("//"))
      violations.add(file.path, 1, "a header starts with a paragraph that says what it is");
    const auto directive =
        std::find_if(file.code.begin(), file.code.end(),
                     [](const std::string& line) { return line.starts_with('#'); });
    if (directive == file.code.end() || *directive != "#pragma once")
      violations.add(file.path, 1, "the first directive of a header is #pragma once");
  }
  violations.expect_none();
}

TEST(FilesTest, FilesStayShortEnoughToReadInOneSitting) {
  Violations violations;
  for (const SourceFile& file : sources()) {
    const size_t limit = is_below(file.path, "tests") ? kMaxTestLines : kMaxLines;
    const size_t lines = file.lines.size();
    if (lines > limit)
      violations.add(file.path, lines, "longer than " + std::to_string(limit) + " lines: split it");
    else if (lines > kSmellLines && limit == kMaxLines)
      std::cout << "note: " << file.path << " has " << lines << " lines; above " << kSmellLines
                << " look for a seam\n";
  }
  violations.expect_none();
}

TEST(FilesTest, NoFolderIsADrawerForOddments) {
  Violations violations;
  for (const SourceFile& file : sources())
    for (const fs::path& part : fs::path(file.path).parent_path())
      if (std::find(kBadFolderNames.begin(), kBadFolderNames.end(), part.string()) !=
          kBadFolderNames.end())
        violations.add(file.path, 1,
                       "a folder is named after what it holds, not \"" + part.string() + "\"");
  violations.expect_none();
}

}  // namespace
}  // namespace kiln
