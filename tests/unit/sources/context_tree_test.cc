#include "solver/sources/context_tree.h"

#include <gtest/gtest.h>

#include <functional>

namespace kiln::internal {
namespace {

constexpr int64_t kThen = 1000;
constexpr int64_t kNow = kThen + 100;

ContextEntry file(const char* name) {
  struct stat st {};
  st.st_mode = S_IFREG | 0644;
  st.st_size = 5;
  st.st_ino = 7;
  st.st_dev = 8;
  st.st_mtim = {kThen, 1};
  st.st_ctim = {kThen, 2};
  return ContextEntry::of(name, st);
}

ContextEntry directory_with(const std::function<void(ContextEntry&)>& change) {
  struct stat st {};
  st.st_mode = S_IFDIR | 0755;
  st.st_mtim = st.st_ctim = {kNow, 0};  // a directory's own times say nothing
  ContextEntry out = ContextEntry::of("d", st);
  out.directory = std::make_unique<ContextDirectory>();
  out.directory->entries.push_back(file("a"));
  change(out.directory->entries.front());
  return out;
}

const auto kSame = [](ContextEntry&) {};

TEST(ContextFingerprintTest, IsTheSameForTheSameEntries) {
  const auto one = fingerprint_of(directory_with(kSame), kNow);
  ASSERT_TRUE(one);
  EXPECT_EQ(one, fingerprint_of(directory_with(kSame), kNow + 1000));
}

TEST(ContextFingerprintTest, ShowsWhateverStatShowsOfAFile) {
  const std::function<void(ContextEntry&)> changes[] = {
      [](ContextEntry& entry) { entry.name = "b"; },
      [](ContextEntry& entry) { entry.mode = S_IFREG | 0755; },
      [](ContextEntry& entry) { entry.mode = S_IFLNK | 0777; },
      [](ContextEntry& entry) { entry.size = 6; },
      [](ContextEntry& entry) { entry.inode = 1; },
      [](ContextEntry& entry) { entry.device = 1; },
      [](ContextEntry& entry) { entry.special_device = 1; },
      [](ContextEntry& entry) { entry.mtime = kThen - 1; },
      [](ContextEntry& entry) { entry.mtime_ns = 9; },
      [](ContextEntry& entry) { entry.ctime = kThen - 1; },
      [](ContextEntry& entry) { entry.ctime_ns = 9; },
      [](ContextEntry& entry) { entry.link_target = "x"; },
  };
  const auto same = fingerprint_of(directory_with(kSame), kNow);
  for (const auto& change : changes)
    EXPECT_NE(fingerprint_of(directory_with(change), kNow), same)
        << "change " << &change - &changes[0];
}

TEST(ContextFingerprintTest, DependsOnWhereAnEntryIs) {
  ContextEntry flat = directory_with(kSame);
  flat.directory->entries.push_back(directory_with(kSame));
  flat.directory->entries.back().directory->entries.clear();
  ContextEntry deep = directory_with(kSame);
  deep.directory->entries.clear();
  deep.directory->entries.push_back(directory_with(kSame));
  EXPECT_NE(fingerprint_of(flat, kNow), fingerprint_of(deep, kNow));
}

TEST(ContextFingerprintTest, CannotBeToldOfWhatChangedJustNow) {
  const auto young = [](auto member) {
    return directory_with([member](ContextEntry& entry) { entry.*member = kNow - 2; });
  };
  EXPECT_FALSE(fingerprint_of(young(&ContextEntry::mtime), kNow));
  EXPECT_FALSE(fingerprint_of(young(&ContextEntry::ctime), kNow));
  EXPECT_TRUE(fingerprint_of(young(&ContextEntry::ctime), kNow + 1));
}

}  // namespace
}  // namespace kiln::internal
