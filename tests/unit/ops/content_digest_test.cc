#include "solver/ops/content_digest.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>

#include "base/fs.h"
#include "solver/ops/directory_view.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::must;

// A directory that claims a fingerprint, remembers selections and counts the files it reads.
class MarkedView : public DirectoryView {
 public:
  using DirectoryView::DirectoryView;
  std::optional<Digest> fingerprint(const RelPath& path) const override {
    if (mark.empty()) return std::nullopt;
    return Digest::of(mark + path.str());
  }
  std::optional<Digest> known_selection(const Digest& key) const override {
    const auto found = known.find(key.hex());
    return found == known.end() ? std::nullopt : std::optional(found->second);
  }
  void remember_selection(const Digest& key, const Digest& digest, uint64_t count) const override {
    known.emplace(key.hex(), digest);
    files = count;
  }
  Result<FileContent> file_content(const RelPath& path, FileScratch& scratch) const override {
    ++reads;
    return DirectoryView::file_content(path, scratch);
  }

  std::string mark;
  mutable std::map<std::string, Digest> known;
  mutable uint64_t files = 0;
  mutable std::atomic<int> reads{0};
};

class ContentDigestTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b"}) {
      must(make_dirs(directory_.path() + "/d"));
      must(write_file(directory_.path() + "/d/" + name, name));
    }
  }
  Digest digest(const std::vector<std::string>& excluded = {}) {
    llb::CopyAction copy;
    copy.src = "/d";
    copy.exclude_patterns = excluded;
    const llb::CopyAction* copies[] = {&copy};
    return must(selection_digest(view_, copies, {}));
  }
  TempDir directory_ = must(TempDir::create("/tmp", "kiln-digest-"));
  MarkedView view_{must(Root::open(directory_.path()))};
};

TEST_F(ContentDigestTest, AKnownSelectionIsNotReadAgain) {
  const Digest plain = digest();
  EXPECT_EQ(view_.reads, 2);
  EXPECT_TRUE(view_.known.empty()) << "without a fingerprint nothing may be remembered";
  view_.mark = "one";
  EXPECT_EQ(digest(), plain);
  EXPECT_EQ(view_.reads, 4);
  EXPECT_EQ(view_.files, 2U);
  EXPECT_EQ(digest(), plain);
  EXPECT_EQ(view_.reads, 4);
}

TEST_F(ContentDigestTest, AnotherFingerprintIsReadAgain) {
  view_.mark = "one";
  const Digest before = digest();
  must(write_file(directory_.path() + "/d/a", "changed"));
  view_.mark = "two";
  EXPECT_NE(digest(), before);
  EXPECT_EQ(view_.reads, 4);
}

TEST_F(ContentDigestTest, OtherRulesAreAnotherSelection) {
  view_.mark = "one";
  const Digest all = digest();
  EXPECT_NE(digest({"b"}), all);
  EXPECT_NE(digest({"a"}), digest({"b"}));
  EXPECT_EQ(view_.known.size(), 3U);
}

}  // namespace
}  // namespace kiln
