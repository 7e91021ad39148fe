// The COPY semantics of DOCKERFILE.md A.6 as a table (testdata/ops/copy.txt), carried out by both
// backends: on a directory, and packed as a layer that is then applied.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "snapshotter/layer_apply.h"
#include "solver/ops/directory_view.h"
#include "solver/ops/file_plan.h"
#include "solver/ops/plan_apply.h"
#include "solver/ops/plan_pack.h"
#include "tests/fakes/tree_text.h"

namespace kiln {
namespace {

using fake::list_tree;
using fake::make_tree;
using fake::normalized_tree;

struct Case {
  std::string name, source, base, copy, tree, error, hides;
};

std::vector<Case> read_cases() {
  std::ifstream file(KILN_SOURCE_DIR "/testdata/ops/copy.txt");
  std::vector<Case> cases;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("== ")) cases.push_back({line.substr(3), "", "", "", "", "", ""});
    const size_t colon = line.find(": ");
    if (cases.empty() || line.starts_with("=") || line.starts_with("#")) continue;
    if (colon == std::string::npos) continue;
    const std::string value = line.substr(colon + 2);
    const std::string key = line.substr(0, colon);
    Case& current = cases.back();
    if (key == "source") current.source = value;
    if (key == "base") current.base = value;
    if (key == "copy") current.copy = value;
    if (key == "tree") current.tree = value;
    if (key == "error") current.error = value;
    if (key == "hides") current.hides = value;
  }
  return cases;
}

struct ParsedCopy {
  llb::CopyAction copy;
  PlanOptions options;
};

ParsedCopy parse_copy(const std::string& text) {
  ParsedCopy parsed;
  llb::CopyAction& copy = parsed.copy;
  for (const std::string& word : split(text, ' ')) {
    const size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (key == "src") copy.src = value;
    if (key == "dest") copy.dest = value;
    if (key == "follow") copy.follow_symlink = true;
    if (key == "contents") copy.dir_copy_contents = true;
    if (key == "create") copy.create_dest_path = true;
    if (key == "wildcard") copy.allow_wildcard = true;
    if (key == "empty_ok") copy.allow_empty_wildcard = true;
    if (key == "replace") copy.always_replace_existing_dest_paths = true;
    if (key == "chmod") copy.mode_str = value;
    if (key == "exclude") copy.exclude_patterns.push_back(value);
    if (key == "include") copy.include_patterns.push_back(value);
    if (key == "required") copy.required_paths.push_back(value);
    if (key == "chown")
      parsed.options.owner =
          Owner{static_cast<uint32_t>(std::stoul(value)),
                static_cast<uint32_t>(std::stoul(value.substr(value.find(':') + 1)))};
  }
  return parsed;
}

/// Source and base of a case on disk.
class World {
 public:
  explicit World(const Case& one)
      : source_(TempDir::create("/tmp", "kiln-copy-").value()),
        base_(TempDir::create("/tmp", "kiln-copy-").value()) {
    make_tree(source_.path(), one.source);
    make_tree(base_.path(), one.base);
    ::chmod(source_.path().c_str(), 0755);
    ::chmod(base_.path().c_str(), 0755);
    source_view_ = std::make_unique<DirectoryView>(Root::open(source_.path()).value());
    base_view_ = std::make_unique<DirectoryView>(Root::open(base_.path()).value());
    plan_ = std::make_unique<PlannedTree>(base_view_.get());
  }

  Status plan(const ParsedCopy& parsed) {
    KILN_TRY_ASSIGN(const auto matches, select_matches(*source_view_, parsed.copy));
    for (const CopyMatch& match : matches)
      KILN_TRY(plan_copy(*plan_, parsed.copy, match, PlanSource{source_view_.get(), 0},
                         parsed.options, {}));
    return {};
  }

  Status apply() {
    const TreeView* sources[] = {source_view_.get()};
    return plan_apply(*plan_, sources, base_view_->root(), {});
  }

  Status pack_and_apply() {
    const TreeView* sources[] = {source_view_.get()};
    StringSink layer;
    KILN_TRY(plan_pack(*plan_, sources, layer, {}));
    KILN_TRY_ASSIGN(auto tar, oci::TarReader::open(std::make_unique<StringSource>(layer.take())));
    KILN_TRY(apply_layer(*tar, base_view_->root(), ApplyOptions{}, {}));
    return {};
  }

  const PlannedTree& planned() const { return *plan_; }
  std::string listing() const { return list_tree(base_.path()); }

 private:
  TempDir source_, base_;
  std::unique_ptr<DirectoryView> source_view_, base_view_;
  std::unique_ptr<PlannedTree> plan_;
};

class CopyTableTest : public ::testing::TestWithParam<Case> {};

TEST_P(CopyTableTest, GivesTheTreeOnDisk) {
  if (::geteuid() != 0) GTEST_SKIP() << "giving files away needs root";
  World world(GetParam());
  Status status = world.plan(parse_copy(GetParam().copy));
  if (!GetParam().error.empty()) {
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().message().find(GetParam().error), std::string::npos)
        << status.error().message();
    return;
  }
  ASSERT_TRUE(status) << status.error().to_string();
  status = world.apply();
  ASSERT_TRUE(status) << status.error().to_string();
  EXPECT_EQ(world.listing(), normalized_tree(GetParam().tree));
}

// Without the tree below on disk, unless something of it gives way.
class PackedCopyTableTest : public CopyTableTest {};

TEST_P(PackedCopyTableTest, GivesTheSameTree) {
  if (::geteuid() != 0) GTEST_SKIP() << "giving files away needs root";
  World world(GetParam());
  ASSERT_TRUE(world.plan(parse_copy(GetParam().copy)));
  ASSERT_EQ(world.planned().hides_base(), !GetParam().hides.empty());
  if (world.planned().hides_base()) return;
  const Status status = world.pack_and_apply();
  ASSERT_TRUE(status) << status.error().to_string();
  EXPECT_EQ(world.listing(), normalized_tree(GetParam().tree));
}

std::vector<Case> packable(std::vector<Case> cases) {
  std::erase_if(cases, [](const Case& one) { return !one.error.empty(); });
  return cases;
}

std::string case_name(const ::testing::TestParamInfo<Case>& one) {
  std::string name;
  for (const char c : one.param.name)
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Table, CopyTableTest, ::testing::ValuesIn(read_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Table, PackedCopyTableTest, ::testing::ValuesIn(packable(read_cases())),
                         case_name);

}  // namespace
}  // namespace kiln
