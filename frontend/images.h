// FROM's one question to the world, asked once for each image and platform.
#pragma once

#include "base/platform.h"
#include "frontend/frontend.h"
#include "llb/op.h"

#include <map>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace kiln::frontend {

class Images {
 public:
  Images(ImageConfigResolver& resolver, ResolveMode mode, std::stop_token stop)
      : resolver_(resolver), mode_(mode), stop_(std::move(stop)) {}

  /// kCancelled once a stop was requested; the resolver's errors as they are.
  Result<ResolvedImage> resolve(const std::string& reference, const Platform& platform);
  std::vector<std::string> known_names() const { return resolver_.known_names(); }
  /// "docker-image://<reference>[@<digest>]" with the resolve mode.
  llb::SourceOp source(const ResolvedImage& image) const;

 private:
  ImageConfigResolver& resolver_;
  ResolveMode mode_;
  std::stop_token stop_;
  std::map<std::pair<std::string, Platform>, ResolvedImage> known_;
};

/// `reference` with its digest, unless it has one.
std::string pinned(const ResolvedImage& image);

}  // namespace kiln::frontend
