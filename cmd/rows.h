// Lists of things as Docker prints them: a table, JSON lines, or a template for each row.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace kiln::cmd {

struct Column {
  std::string field;   // of the rows
  std::string header;  // "IMAGE ID"
};

/// The text for `format`: "" or "table" (`shown` columns), "json" (an object a line), "table
/// TEMPLATE" (columns are separated by \t, headers are those of `known`, else the field in upper
/// case), or a template, a line for each row. In formats \t and \n stand for tab and new line.
/// kInvalidArgument.
Result<std::string> format_rows(const std::vector<Json>& rows, const std::vector<Column>& shown,
                                const std::vector<Column>& known, const std::string& format);
/// The same columns under each other, three spaces apart, at least ten wide.
std::string align_columns(const std::vector<std::vector<std::string>>& lines);

}  // namespace kiln::cmd
