// What a build leaves for scripts: --iidfile, --metadata-file, and with -q the image ID on standard
// output (CLI.md B.2).
#pragma once

#include "cmd/options.h"
#include "exporter/exporter.h"

#include <span>

namespace kiln::cmd {

Status write_report(const BuildOptions& options, const ExportReport& report,
                    std::span<const BuildWarning> warnings);

}  // namespace kiln::cmd
