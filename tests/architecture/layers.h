// The folders of ARCHITECTURE.md, which are its layers, and what each may include. The table is the
// rule: a change of the architecture is a change here.
#pragma once

#include <string>
#include <vector>

namespace kiln {

using Names = std::vector<std::string>;

struct Layer {
  std::string folder;  // the longest match owns a file
  Names may_include;   // folders (all below them too) or single headers, besides its own folder
};

const std::vector<Layer>& layers();

/// The layer that owns a path from the root of the tree; null if none does.
const Layer* layer_of(const std::string& path);

bool is_below(const std::string& path, const std::string& folder_or_file);
bool is_below_any(const std::string& path, const Names& places);

}  // namespace kiln
