#include "cmd/rows.h"

#include <algorithm>

#include "base/strings.h"
#include "cmd/go_template.h"
#include "cmd/terminal_text.h"

namespace kiln::cmd {
namespace {

std::string unescaped(const std::string& format) {
  std::string text;
  for (size_t i = 0; i < format.size(); ++i) {
    const char next = format[i] == '\\' && i + 1 < format.size() ? format[i + 1] : '\0';
    if (next == 't' || next == 'n') {
      text += next == 't' ? '\t' : '\n';
      ++i;
    } else {
      text += format[i];
    }
  }
  return text;
}

std::string header_of(const std::string& field, const std::vector<Column>& known) {
  const auto found = std::find_if(known.begin(), known.end(),
                                  [&](const Column& column) { return column.field == field; });
  return found == known.end() ? to_upper(field) : found->header;
}

Result<std::string> custom_table(const std::vector<Json>& rows, const GoTemplate& row,
                                 const std::vector<Column>& known) {
  std::vector<std::vector<std::string>> lines(1);
  for (const std::string& field : row.top_fields()) lines[0].push_back(header_of(field, known));
  for (const Json& data : rows) {
    KILN_TRY_ASSIGN(const std::string text, row.render(data));
    lines.push_back(split(text, '\t'));
  }
  return align_columns(lines);
}

}  // namespace

std::string align_columns(const std::vector<std::vector<std::string>>& lines) {
  constexpr size_t kGap = 3, kLeast = 10;
  std::vector<size_t> widths;
  for (const auto& line : lines) {
    widths.resize(std::max(widths.size(), line.size()), kLeast);
    for (size_t i = 0; i < line.size(); ++i)
      widths[i] = std::max(widths[i], columns_of(line[i]) + kGap);
  }
  std::string text;
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) {
      text += line[i];
      if (i + 1 < line.size()) text.append(widths[i] - columns_of(line[i]), ' ');
    }
    text += '\n';
  }
  return text;
}

Result<std::string> format_rows(const std::vector<Json>& rows, const std::vector<Column>& shown,
                                const std::vector<Column>& known, const std::string& format) {
  std::string text;
  if (format == "json") {
    for (const Json& row : rows) text += row.dump() + "\n";
    return text;
  }
  if (format.empty() || format == "table") {
    std::vector<std::vector<std::string>> lines(1);
    for (const Column& column : shown) lines[0].push_back(column.header);
    for (const Json& row : rows) {
      lines.emplace_back();
      for (const Column& column : shown) lines.back().push_back(go_text(row[column.field]));
    }
    return align_columns(lines);
  }
  const std::string plain = unescaped(format);
  const bool table = plain.starts_with("table ");
  KILN_TRY_ASSIGN(const GoTemplate row, GoTemplate::parse(table ? plain.substr(6) : plain));
  if (table) return custom_table(rows, row, known);
  for (const Json& data : rows) {
    KILN_TRY_ASSIGN(const std::string line, row.render(data));
    text += line + "\n";
  }
  return text;
}

}  // namespace kiln::cmd
