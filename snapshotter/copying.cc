// Every snapshot's directory holds its whole tree.
#include <sys/stat.h>

#include <utility>

#include "base/fs.h"
#include "snapshotter/copy_tree.h"
#include "snapshotter/layer_apply.h"
#include "snapshotter/layer_diff.h"
#include "snapshotter/tree_kind.h"

namespace kiln::internal {
namespace {

class CopyingKind : public TreeKind {
 public:
  std::string_view name() const override { return "copy"; }

  Status start(const std::string& directory, const Ancestors& below,
               std::stop_token stop) override {
    if (::mkdir(tree_of(directory).c_str(), 0755) != 0)
      return fail_errno("make directory", tree_of(directory));
    if (below.empty()) return set_root_metadata(directory, below);
    KILN_TRY_ASSIGN(const Root from, Root::open(tree_of(below.back())));
    KILN_TRY_ASSIGN(const Root to, Root::open(tree_of(directory)));
    return copy_tree(from, to, stop);
  }

  Result<std::vector<Mount>> writable(const std::string& directory, const Ancestors&) override {
    return std::vector{Mount{"bind", tree_of(directory), {"rw"}}};
  }

  Result<std::vector<Mount>> readable(const Ancestors& chain) override {
    return std::vector{Mount{"bind", tree_of(chain.back()), {"ro"}}};
  }

  Status finish(const std::string& directory, const Ancestors& below) override {
    return set_root_metadata(directory, below);
  }

  Result<Portable> unpack(const LayerSource& layer, const std::string& directory,
                          const Ancestors& below, std::stop_token stop) override {
    KILN_TRY(start(directory, below, stop));
    KILN_TRY_ASSIGN(const Root root, Root::open(tree_of(directory)));
    const auto apply = [&](oci::TarReader& tar) -> Status {
      KILN_TRY(apply_layer(tar, root, {}, stop));
      return {};
    };
    KILN_TRY(layer.read(apply));
    return Portable::kNo;
  }

  Status pack(const std::string& directory, const Ancestors& below, Sink& tar,
              std::stop_token stop) override {
    KILN_TRY_ASSIGN(const Root upper, Root::open(tree_of(directory)));
    if (below.empty()) return write_tree_diff(nullptr, upper, tar, stop);
    KILN_TRY_ASSIGN(const Root lower, Root::open(tree_of(below.back())));
    return write_tree_diff(&lower, upper, tar, stop);
  }

  bool can_share() const override { return false; }
  Result<bool> hides_unnamed(const std::string&) override { return false; }
};

}  // namespace

std::unique_ptr<TreeKind> make_copying_kind() {
  return std::make_unique<CopyingKind>();
}

}  // namespace kiln::internal
