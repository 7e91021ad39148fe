// The command line of what works on the local image store.
#pragma once

#include "cmd/options.h"

#include <optional>

namespace CLI {
class App;
}

namespace kiln::cmd {

/// What their parsing writes to.
struct ImageCommandOptions {
  ImagesOptions images;
  InspectOptions inspect;
  HistoryOptions history;
  ImportOptions import;
  SaveOptions save;
  LoadOptions load;
  TagOptions tag;
  RmiOptions rmi;
  PruneOptions prune;
  DuOptions du;
};

/// Adds the subcommands; the one that is given sets `chosen`. All are borrowed until parsing is
/// done.
void add_image_commands(CLI::App& app, ImageCommandOptions& options,
                        std::optional<Command>& chosen);

}  // namespace kiln::cmd
