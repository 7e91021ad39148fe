// Programs of another architecture, which the kernel runs only through an interpreter registered
// with binfmt_misc (qemu-user). Without one a step dies with "exec format error", or, in a shell,
// with nothing that names the reason: so it is looked at before.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fs.h"
#include "base/result.h"

namespace kiln {

/// One entry of binfmt_misc, as the kernel's file shows it (Documentation/admin-guide/binfmt-misc).
struct BinfmtHandler {
  std::string name, interpreter, flags;
  size_t offset = 0;
  std::string magic, mask;  // bytes; a mask of the magic's length
};

/// nullopt: disabled, one for file name extensions, or no such text.
std::optional<BinfmtHandler> parse_binfmt(std::string_view name, std::string_view text);
bool matches(const BinfmtHandler& handler, std::string_view head);

/// The architecture that an ELF file is for, by its first bytes; nullopt: it is none, or one that
/// has no name here.
std::optional<std::string> elf_architecture(std::string_view head);

/// The machine's handlers. Where binfmt_misc is not mounted it is looked into without mounting it
/// anywhere. nullopt: this process may not look, so nothing is known.
std::optional<std::vector<BinfmtHandler>> binfmt_handlers();

/// What a step is about to run.
struct ProgramLookup {
  std::string program;                     // argv[0]
  std::string cwd;                         // absolute
  std::string path;                        // of the step's environment
  std::vector<std::string> mount_targets;  // below them the tree says nothing
};

/// kFailedPrecondition, with what to install: the program (or the interpreter that its first line
/// names) is for another architecture and nothing is registered for it. Whatever is absent,
/// unreadable or in doubt passes: the runtime has the last word.
Status check_program(const Root& rootfs, const ProgramLookup& lookup);

}  // namespace kiln
