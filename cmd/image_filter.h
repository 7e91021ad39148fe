// `kiln images --filter`.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cmd/engine.h"
#include "cmd/image_lookup.h"

namespace kiln::cmd {

/// Whether the glob `pattern` (check_glob) is of the name with its tag, or without.
bool matches_name(const std::string& pattern, const oci::Reference& name);

class ImageFilter {
 public:
  /// dangling=true|false, label=NAME[=VALUE], before=IMAGE, since=IMAGE, reference=PATTERN. All
  /// must hold; of several patterns one. kInvalidArgument with did-you-mean; kNotFound.
  static Result<ImageFilter> parse(Engine& engine, const std::vector<std::string>& texts);
  bool accepts(const oci::StoredImage& image, const ImageFacts& facts) const;

 private:
  Status add(Engine& engine, const std::string& key, const std::string& value);
  std::optional<bool> dangling_;
  std::vector<std::pair<std::string, std::optional<std::string>>> labels_;
  std::vector<std::string> patterns_;
  std::optional<std::string> before_, since_;  // times, as configs have them
};

}  // namespace kiln::cmd
