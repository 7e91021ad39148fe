// What the frontend asks of the world: FROM's image config, from the local store, a layout or a
// registry.
#pragma once

#include "frontend/frontend.h"
#include "solver/sources/image.h"

#include "base/progress.h"

namespace kiln::cmd {

class ConfigResolver : public frontend::ImageConfigResolver {
 public:
  /// Borrowed.
  ConfigResolver(const ImageSources& sources, ProgressSink& progress)
      : sources_(sources), progress_(progress) {}
  Result<frontend::ResolvedImage> resolve(const std::string& reference, const Platform& platform,
                                          frontend::ResolveMode mode,
                                          std::stop_token stop) override;
  std::vector<std::string> known_names() override;

 private:
  const ImageSources& sources_;
  ProgressSink& progress_;
};

}  // namespace kiln::cmd
