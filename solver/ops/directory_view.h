// A directory on disk, seen as it is: mounted snapshots and scratch trees.
#pragma once

#include <memory>

#include "solver/ops/tree_ref.h"

namespace kiln {

class DirectoryView : public TreeView {
 public:
  explicit DirectoryView(Root root) : root_(std::move(root)) {}
  const Root& root() const override { return root_; }
  Result<std::optional<struct stat>> stat(const RelPath& path) const override;
  Result<std::vector<Entry>> list(const RelPath& directory) const override;
  Result<std::string> read_link(const RelPath& path) const override;
  Result<FileContent> file_content(const RelPath& path, FileScratch& scratch) const override;

 private:
  Root root_;
};

}  // namespace kiln
