// The instructions that hold a command: RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK. Part of
// instructions.h; errors have no place yet.
#pragma once

#include "base/result.h"
#include "frontend/instructions.h"

namespace kiln::dockerfile {

Result<Run> parse_run(const Instruction& node);
Result<Cmd> parse_cmd(const Instruction& node);
Result<Entrypoint> parse_entrypoint(const Instruction& node);
Result<Shell> parse_shell(const Instruction& node);
Result<Healthcheck> parse_healthcheck(const Instruction& node);

}  // namespace kiln::dockerfile
