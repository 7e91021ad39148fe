// YAML read to the values of JSON: mappings, sequences and scalars of one document. The parser is
// libyaml's, in yaml.cc. What could make a small text large or mean two things is refused: anchors
// and aliases, tags other than "!!str", a key twice, keys that are no scalars, several documents.
#pragma once

#include <string_view>

#include "base/json.h"

namespace kiln {

/// Plain scalars are null, true and false (YAML 1.2 core schema, 10.3.2) and integers (decimal,
/// 0x…, octal with 0 or 0o); all else is a string, fractions too. An empty text is null.
/// kInvalidArgument with the line; kResourceExhausted beyond the limits.
Result<Json> parse_yaml(std::string_view text, Json::Limits limits);

}  // namespace kiln
