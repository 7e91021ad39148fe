// Image references as Docker normalises them: "alpine" is docker.io/library/alpine:latest.
#pragma once

#include "base/digest.h"
#include "base/result.h"

#include <optional>
#include <string>
#include <string_view>

namespace kiln::oci {

struct Reference {
  std::string domain;  // "docker.io", "localhost:5000"
  std::string path;    // "library/alpine"
  std::string tag;     // "latest" if neither tag nor digest was given; "" if only a digest was
  std::optional<Digest> digest;
  /// kInvalidArgument with the reason (upper case, bad characters, too long).
  static Result<Reference> parse(std::string_view text);
  std::string name() const;       // "docker.io/library/alpine"
  std::string to_string() const;  // canonical: name[:tag][@digest]
  std::string familiar() const;   // as docker prints it: "alpine:latest"
  bool operator==(const Reference&) const = default;
};

/// Whether a reference's text names a tag: "localhost:5000/app" does not.
bool has_tag(std::string_view text);

}  // namespace kiln::oci
