// The sources of the tree as the tests of the architecture see them: lines, code without comments
// and literals, and includes.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tests/architecture/layers.h"

namespace kiln {

struct SourceFile {
  std::string path;  // from the root of the tree
  Names lines;       // as they are
  Names code;        // with comments and the insides of literals blanked
};

/// All headers and sources in the folders of layers(), sorted by path; read once.
const std::vector<SourceFile>& sources();

struct Include {
  size_t line;  // 1-based
  std::string header;
  bool quoted;
};

std::vector<Include> includes_of(const SourceFile& file);

/// Whether `c` can be a part of an identifier.
bool is_word(char c);

/// Blanks comments, strings and characters; lines stay where they are.
std::string blank_literals(const std::string& text);

/// Collects all that breaks a rule, so that one run shows it.
class Violations {
 public:
  void add(const std::string& path, size_t line, const std::string& rule) {
    text_ += "  " + path + ":" + std::to_string(line) + ": " + rule + "\n";
  }
  void expect_none() const { EXPECT_TRUE(text_.empty()) << "\n" << text_; }

 private:
  std::string text_;
};

}  // namespace kiln
