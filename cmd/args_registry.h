// The command line of push, pull, login, logout and imagetools.
#pragma once

#include "cmd/options.h"

#include <optional>

namespace CLI {
class App;
}

namespace kiln::cmd {

/// What their parsing writes to.
struct RegistryOptions {
  PushOptions push;
  PullOptions pull;
  LoginOptions login;
  LogoutOptions logout;
  ImagetoolsInspectOptions inspect;
  ImagetoolsCreateOptions create;
};

/// Adds the subcommands; the one that is given sets `chosen`. All are borrowed until parsing is
/// done.
void add_registry_commands(CLI::App& app, RegistryOptions& options, std::optional<Command>& chosen);

}  // namespace kiln::cmd
