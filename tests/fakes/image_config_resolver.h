// Images that exist because a test says so; counts what it was asked.
#pragma once

#include "frontend/frontend.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace kiln::frontend {

class FakeImages : public ImageConfigResolver {
 public:
  /// `reference` as the frontend asks for it: "docker.io/library/alpine:latest".
  void add(const std::string& reference, std::string config_json) {
    images_[reference] = std::move(config_json);
  }
  /// An image with one layer and `config` (JSON) as its config member.
  void add_config(const std::string& reference, const std::string& config) {
    add(reference,
        R"({"architecture":"amd64","os":"linux","config":)" + config +
            R"(,"rootfs":{"type":"layers","diff_ids":["sha256:)" + std::string(64, 'a') +
            R"("]},"history":[{"created":"2020-01-01T00:00:00Z","created_by":"base"}]})");
  }

  Result<ResolvedImage> resolve(const std::string& reference, const Platform& platform, ResolveMode,
                                std::stop_token) override {
    asked.push_back(reference + " " + platform.to_string());
    const auto found = images_.find(reference);
    if (found == images_.end()) return fail(Code::kNotFound, "no such image");
    return ResolvedImage{reference, Digest::of(found->second), found->second};
  }

  std::vector<std::string> asked;

 private:
  std::map<std::string, std::string> images_;
};

}  // namespace kiln::frontend
