// Typed instructions: what an `Instruction` of the AST means once its flags and the number of its
// arguments are checked (DOCKERFILE.md A.1, A.4-A.6). Values are still as written: quotes and
// variables in them, because only the converter knows the environment. A closed set, so that every
// instruction is handled wherever one is.
#pragma once

#include "base/result.h"
#include "frontend/ast.h"
#include "frontend/run_mount.h"
#include "llb/op.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kiln::dockerfile {

struct KeyValue {
  std::string key, value;  // unexpanded, quotes kept
};

/// FROM [--platform=p] base [AS stage]
struct From {
  std::string base;        // expand with the global arguments
  std::string stage;       // lower-case; "" without AS
  std::string stage_text;  // as written (lint: StageNameCasing)
  std::string as_text;     // "AS" as written (lint: FromAsCasing)
  std::string platform;    // expand with the global arguments; "" without the flag
};

/// ARG k[=v] ...: left to right, each default sees the earlier ones.
struct Arg {
  struct Item {
    std::string key;
    std::optional<std::string> value;  // nullopt: declared only
  };
  std::vector<Item> items;
};

/// ENV and LABEL. `legacy`: "ENV key rest of line" (lint: LegacyKeyValueFormat).
struct Env {
  std::vector<KeyValue> items;
  bool legacy = false;
};
struct Label {
  std::vector<KeyValue> items;
  bool legacy = false;
};

/// The command of RUN, CMD, ENTRYPOINT and HEALTHCHECK.
struct CommandLine {
  bool shell_form = true;         // to be wrapped with the current SHELL
  std::vector<std::string> args;  // shell form: at most one element; exec form: argv
  std::vector<Heredoc> heredocs;  // RUN only
};

/// RUN's command with its heredocs applied (A.2).
struct RunScript {
  enum class Kind : uint8_t {
    kExec,   // argv as it is
    kShell,  // `text` goes to SHELL as one argument
    kFile,   // `text` is written to /dev/pipes/<file_name>, read-only, 0755, and executed
  };
  Kind kind = Kind::kShell;
  std::vector<std::string> argv;  // kExec
  std::string text;
  std::string file_name;  // kFile
};
RunScript run_script(const CommandLine& command);

struct Device {
  std::string name;  // a CDI name
  bool required = false;
};
struct Run {
  CommandLine command;
  std::vector<std::string>
      mounts;  // CSV texts that passed check_mount(); parse_mount() when the environment is known
  llb::NetMode network = llb::NetMode::kSandbox;
  llb::SecurityMode security = llb::SecurityMode::kSandbox;
  std::vector<Device> devices;
};

struct Cmd {
  CommandLine command;
};
struct Entrypoint {
  CommandLine command;  // exec form without elements resets the entry point to null
};

/// A heredoc as a source of COPY or ADD: a file `name` with `content`.
struct InlineFile {
  std::string name;
  std::string content;  // tabs stripped if "<<-"; expand with Quotes::kLiteral if `expand`
  bool expand = true;
};
/// What COPY and ADD share. `sources` and `files` are in the order written, each among themselves.
struct Transfer {
  std::vector<std::string> sources;  // expand each
  std::vector<InlineFile> files;
  std::string destination;   // expand
  std::string chown, chmod;  // expand; "" without the flag
  bool link = false;
  std::vector<std::string> exclude;  // ignore-file patterns; never expanded
};
struct Copy {
  Transfer transfer;
  std::string from;  // never expanded, holds no variable (C21)
  bool parents = false;
};
struct Add {
  Transfer transfer;
  bool keep_git_dir = false;
  std::optional<bool> unpack;  // nullopt: archives of the context are unpacked, URLs are not (A2)
  std::string checksum;        // expand
};

struct Workdir {
  std::string path;  // expand
};
struct User {
  std::string user;  // expand
};
struct Expose {
  std::vector<std::string> ports;  // sorted as strings; expand each into words
};
struct Volume {
  std::vector<std::string> paths;  // expand each
};
struct StopSignal {
  std::string signal;  // expand
};
struct Shell {
  std::vector<std::string> argv;
};
struct Healthcheck {
  bool none = false;  // HEALTHCHECK NONE
  CommandLine command;
  std::chrono::nanoseconds interval{}, timeout{}, start_period{}, start_interval{};  // 0: not given
  int retries = 0;
};
struct Onbuild {
  std::string
      trigger;  // as it goes into the image config, heredoc bodies re-attached; see parse_trigger()
};
struct Maintainer {
  std::string author;
};

using InstructionKind =
    std::variant<From, Arg, Env, Label, Run, Cmd, Entrypoint, Copy, Add, Workdir, User, Expose,
                 Volume, StopSignal, Shell, Healthcheck, Onbuild, Maintainer>;

struct TypedInstruction {
  InstructionKind kind;
  SourceRange where;
  std::string text;           // the logical line, trimmed (history and step names)
  std::string name;           // lower-case
  std::string original_name;  // as written (lint: ConsistentInstructionCasing)
  std::vector<Flag> flags;    // as written, for step names and history
  Comments comments;
  bool empty_continuation = false;
};

/// kInvalidArgument, placed at the instruction, with the texts of A.11, prefixed "dockerfile parse
/// error on line N: ".
Result<TypedInstruction> parse_instruction(const Instruction& node, const std::string& file);

/// A file's instructions; those that failed are in `errors`, in order of lines.
struct TypedDockerfile {
  std::vector<TypedInstruction> instructions;
  std::vector<Error> errors;
};
TypedDockerfile parse_instructions(const Ast& ast);

/// The instruction of an ONBUILD trigger, from this file or from a base image's config. `where` is
/// what its errors and its ranges point at. kInvalidArgument also for triggers that ONBUILD refuses
/// and for more than one instruction.
Result<TypedInstruction> parse_trigger(std::string_view trigger, char escape,
                                       const SourceRange& where);

/// The names of all instructions, upper-case, in alphabetical order: what "did you mean" looks
/// among.
const std::vector<std::string>& instruction_names();

}  // namespace kiln::dockerfile
