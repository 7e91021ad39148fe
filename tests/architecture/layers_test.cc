// Which folder may include which.
#include <gtest/gtest.h>

#include "tests/architecture/source_tree.h"

namespace kiln {
namespace {

TEST(LayersTest, FilesIncludeOnlyTheirOwnFolderAndLowerLayers) {
  Violations violations;
  for (const SourceFile& file : sources()) {
    const Layer* own = layer_of(file.path);
    for (const Include& include : includes_of(file)) {
      const Layer* other = layer_of(include.header);
      if (!include.quoted || other == nullptr || other == own) continue;
      if (!is_below_any(include.header, own->may_include))
        violations.add(file.path, include.line,
                       own->folder + "/ may not include \"" + include.header + "\"");
      // "solver" in the table means what lies directly in it, not what is built on it.
      const bool sideways = own->folder == "solver" && other->folder != "solver" &&
                            other->folder.starts_with("solver/");
      if (sideways)
        violations.add(file.path, include.line,
                       "solver/ may not include what is built on it: " + include.header);
    }
  }
  violations.expect_none();
}

TEST(LayersTest, OwnHeadersAreIncludedFromTheRootWithQuotes) {
  Violations violations;
  for (const SourceFile& file : sources())
    for (const Include& include : includes_of(file)) {
      const bool ours = layer_of(include.header) != nullptr;
      if (ours && !include.quoted)
        violations.add(file.path, include.line, "kiln's own headers are quoted");
      if (include.header.find("..") != std::string::npos)
        violations.add(file.path, include.line, "includes name the path from the root of the tree");
    }
  violations.expect_none();
}

}  // namespace
}  // namespace kiln
