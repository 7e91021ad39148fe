#include "cmd/diagnostics.h"

#include "base/strings.h"
#include "frontend/source_block.h"

namespace kiln::cmd {

namespace {

std::string describe_one(const Error& error, std::string_view source,
                         const std::string& source_name) {
  std::string text;
  if (error.where() && !source.empty() && error.where()->file == source_name)
    text = dockerfile::source_block(*error.where(), source_name, source);
  const std::string message = text.empty() ? error.to_string() : error.message();
  text += error.where() ? "ERROR: failed to solve: " : "ERROR: ";
  text += printable(message, KeepLines::kYes) + "\n";
  if (!error.advice().empty()) text += "hint: " + printable(error.advice(), KeepLines::kYes) + "\n";
  return text;
}

}  // namespace

std::string describe_error(const Error& error, std::string_view source,
                           const std::string& source_name) {
  std::string text = describe_one(error, source, source_name);
  for (const Error& other : error.others()) text += describe_one(other, source, source_name);
  return text;
}

std::string warning_line(const BuildWarning& warning) {
  std::string text = warning.rule.empty() ? "" : warning.rule + ": ";
  text += printable(warning.message);
  const int line = warning.where.first_line;
  return line > 0 ? text + " (line " + std::to_string(line) + ")" : text;
}

std::string describe_warnings(std::span<const BuildWarning> warnings, const WarningView& view) {
  if (warnings.empty()) return {};
  const bool full = view.detail == WarningDetail::kFull;
  std::string text = "\n " + std::to_string(warnings.size()) +
                     (warnings.size() == 1 ? " warning found" : " warnings found") +
                     (full ? ":\n" : " (use --debug to expand):\n");
  for (const BuildWarning& warning : warnings) {
    text += " - " + warning_line(warning) + "\n";
    if (!full) continue;
    if (!warning.detail.empty()) text += warning.detail + "\n";
    if (!warning.url.empty()) text += "More info: " + warning.url + "\n";
    text += dockerfile::source_block(warning.where, view.source_name, view.source) + "\n";
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
