#include "cmd/diagnostics.h"

#include "base/strings.h"
#include "frontend/source_map.h"

namespace kiln::cmd {

std::string describe_error(const Error& error, std::string_view source,
                           const std::string& source_name) {
  std::string text = "kiln: error: " + printable(error.to_string(), KeepLines::kYes) + "\n";
  if (error.where() && !source.empty() && error.where()->file == source_name)
    text += dockerfile::SourceMap(source_name, std::string(source)).excerpt(*error.where());
  if (!error.advice().empty()) text += "hint: " + printable(error.advice(), KeepLines::kYes) + "\n";
  return text;
}

std::string describe_warnings(std::span<const BuildWarning> warnings) {
  if (warnings.empty()) return {};
  std::string text = "\n " + std::to_string(warnings.size()) +
                     (warnings.size() == 1 ? " warning found:\n" : " warnings found:\n");
  for (const BuildWarning& warning : warnings) {
    text += " - ";
    if (!warning.rule.empty()) text += warning.rule + ": ";
    text += printable(warning.message);
    if (warning.where.first_line > 0)
      text += " (line " + std::to_string(warning.where.first_line) + ")";
    text += "\n";
  }
  return text;
}

int exit_code_of(const Error& error) {
  switch (error.code()) {
    case Code::kCancelled:
      return 130;
    case Code::kInternal:
    case Code::kResourceExhausted:
    case Code::kDataLoss:
      return 3;
    default:
      return 1;
  }
}

}  // namespace kiln::cmd
