// The XML that object storage answers with, as a small tree. What is larger, deeper or declares
// entities is no answer of theirs.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace kiln::server {

struct XmlElement {
  std::string name;  // without its namespace's prefix
  std::string text;  // character data, but that of its children
  std::vector<XmlElement> children = {};
  /// Of the first child of that name; "": none.
  std::string child(std::string_view child_name) const;
};

/// The root. kDataLoss: no XML, or not such.
Result<XmlElement> parse_xml(std::string_view text);
/// For texts in elements.
std::string xml_escape(std::string_view text);

}  // namespace kiln::server
