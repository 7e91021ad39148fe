// The one place that prints errors and warnings for people (STYLE.md, "Errors").
#pragma once

#include "base/progress.h"
#include "base/result.h"

#include <span>
#include <string>
#include <string_view>

namespace kiln::cmd {

/// The lines that it is about, "ERROR: failed to solve: …", the hint; so each of those that were
/// found with it. `source` is the Dockerfile's text, "" if there is none.
std::string describe_error(const Error& error, std::string_view source,
                           const std::string& source_name);
/// "N warnings found" and one line each; "" for none. `kFull`: also what each is about, where it is
/// explained and the lines of the Dockerfile.
enum class WarningDetail : uint8_t { kBrief, kFull };
struct WarningView {
  WarningDetail detail = WarningDetail::kBrief;
  std::string source, source_name;  // the Dockerfile
};
std::string describe_warnings(std::span<const BuildWarning> warnings, const WarningView& view);
/// "UndefinedVar: Usage of … (line 3)", without control bytes.
std::string warning_line(const BuildWarning& warning);

/// 1 build failed, 2 wrong usage, 3 kiln or its environment failed, 130 interrupted.
int exit_code_of(const Error& error);

}  // namespace kiln::cmd
