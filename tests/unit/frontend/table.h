// Rows of a tab-separated table under testdata/; lines that start with "#" are comments.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "base/strings.h"

namespace kiln {

struct TableRow {
  int line = 0;
  std::vector<std::string> cells;
};

inline std::vector<TableRow> read_table(const std::string& name) {
  std::ifstream in(std::string(KILN_SOURCE_DIR) + "/testdata/" + name);
  std::vector<TableRow> rows;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.empty() || line.front() == '#') continue;
    rows.push_back({number, split(line, '\t')});
  }
  return rows;
}

}  // namespace kiln
