// The commands. Each takes its options and returns the exit status; what goes wrong is an Error
// that main prints. stdout is for results, stderr for people.
#pragma once

#include "cmd/args.h"
#include "cmd/engine.h"
#include "cmd/hangups.h"

#include <optional>
#include <stop_token>
#include <string>

namespace kiln::cmd {

/// An error with what main needs to show it.
struct Failure {
  Error error;
  int exit_code = 1;
  std::string source, source_name;  // the Dockerfile, if it was read
  bool silent = false;              // all was said already
};
using CommandResult = tl::expected<void, Failure>;

/// What every command gets from main.
struct Invocation {
  const Environment& environment;
  std::string search_path;  // PATH
  std::stop_token stop;     // Ctrl-C
  Hangups& hangups;
};

CommandResult run_build(const BuildOptions& options, const Invocation& invocation);
/// --check and --call: answers on standard output, builds nothing. `kiln build` comes here itself.
CommandResult run_call(const BuildOptions& options, const Invocation& invocation);
CommandResult run_dump_llb(const DumpLlbOptions& options, const Invocation& invocation);
CommandResult run_ast(const AstOptions& options, const Invocation& invocation);
CommandResult run_images(const ImagesOptions& options, const Invocation& invocation);
CommandResult run_inspect(const InspectOptions& options, const Invocation& invocation);
CommandResult run_history(const HistoryOptions& options, const Invocation& invocation);
CommandResult run_import(const ImportOptions& options, const Invocation& invocation);
CommandResult run_save(const SaveOptions& options, const Invocation& invocation);
CommandResult run_load(const LoadOptions& options, const Invocation& invocation);
CommandResult run_tag(const TagOptions& options, const Invocation& invocation);
CommandResult run_rmi(const RmiOptions& options, const Invocation& invocation);
CommandResult run_push(const PushOptions& options, const Invocation& invocation);
CommandResult run_pull(const PullOptions& options, const Invocation& invocation);
CommandResult run_login(const LoginOptions& options, const Invocation& invocation);
CommandResult run_logout(const LogoutOptions& options, const Invocation& invocation);
CommandResult run_imagetools_inspect(const ImagetoolsInspectOptions& options,
                                     const Invocation& invocation);
CommandResult run_imagetools_create(const ImagetoolsCreateOptions& options,
                                    const Invocation& invocation);
CommandResult run_prune(const PruneOptions& options, const Invocation& invocation);
CommandResult run_du(const DuOptions& options, const Invocation& invocation);
CommandResult run_serve(const ServeOptions& options, const Invocation& invocation);
CommandResult run_fsck(const FsckOptions& options, const Invocation& invocation);

/// Wrong usage: exit status 2.
tl::unexpected<Failure> usage_failure(const Error& error);
/// The exit status follows the error's code.
tl::unexpected<Failure> failure(const Error& error);
inline tl::unexpected<Failure> failure(const Failure& known) {
  return tl::unexpected(known);
}

/// Engine::open. What is wrong with a root is not the build's fault: exit status 3, or 2 if an
/// option is.
tl::expected<std::unique_ptr<Engine>, Failure> open_engine(const GlobalOptions& options, Need need,
                                                           const Invocation& invocation);
/// Engine::open_to_free, likewise.
tl::expected<std::unique_ptr<Engine>, Failure> open_engine_to_free(const GlobalOptions& options,
                                                                   const Invocation& invocation);

}  // namespace kiln::cmd

#define KILN_CMD_TRY(expr)                               \
  do {                                                   \
    if (auto kiln_status_ = (expr); !kiln_status_)       \
      return ::kiln::cmd::failure(kiln_status_.error()); \
  } while (0)
#define KILN_CMD_TRY_ASSIGN(decl, ...) \
  KILN_CMD_TRY_ASSIGN2(KILN_CAT(kiln_r_, __COUNTER__), decl, __VA_ARGS__)
#define KILN_CMD_TRY_ASSIGN2(r, decl, ...)        \
  auto r = (__VA_ARGS__);                         \
  if (!r) return ::kiln::cmd::failure(r.error()); \
  decl = *std::move(r)
