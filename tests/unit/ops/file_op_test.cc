#include "oci/tar.h"
#include "tests/unit/ops/ops_world.h"

namespace kiln {
namespace {

using fake::normalized_tree;

llb::CopyAction copy_action(std::string src, std::string dest) {
  llb::CopyAction copy;
  copy.src = std::move(src);
  copy.dest = std::move(dest);
  copy.follow_symlink = copy.dir_copy_contents = copy.create_dest_path = true;
  copy.allow_wildcard = copy.allow_empty_wildcard = true;
  return copy;
}

llb::FileOp copy_op(const llb::CopyAction& copy) {
  return {{{0, 1, 0, copy}}};
}

class FileOpTest : public fake::OpsWorld {
 protected:
  std::string source_tree(const std::string& text) {
    fake::make_tree(context(), text);
    return text;
  }
};

TEST_F(FileOpTest, CopiesFromTheContextAsRoot) {
  source_tree("d d 0750 7:7; f d/a 0640 7:7 hello");
  const RefPtr base = snapshot_of("f b 0644 0:0 base");
  const auto made = execute(vertex(copy_op(copy_action("/d", "/x/")), 2), {base, context_ref()});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(listing(made->front()),
            normalized_tree("f b 0644 0:0 base; d x 0755; f x/a 0640 0:0 hello"));
}

TEST_F(FileOpTest, PacksForTheExporterWhatItWouldUnpack) {
  source_tree("d d 0755; f d/a 0640 0:0 hello; d d/e 0700; l d/l a; h d/e/h d/a");
  environment_.pack_targets = PackTargets::kYes;
  const RefPtr base = snapshot_of("d x 0711 5:5; f x/b 0644 0:0 base");
  const llb::Vertex copy = vertex(copy_op(copy_action("/d", "/x/")), 2);
  const auto packed = execute(copy, {base, context_ref()}, OutputUse::kTargetOnly);
  ASSERT_TRUE(packed) << packed.error().to_string();
  const auto id = as_tree(*packed->front()).value()->snapshot({}).value();
  EXPECT_FALSE(snapshots_->facts(*id).value().has_directory);
  const auto unpacked = execute(copy, {base, context_ref()});
  ASSERT_TRUE(unpacked);
  const auto other = as_tree(*unpacked->front()).value()->snapshot({}).value();
  const auto wanted = oci::CompressionOptions{oci::Compression::kUncompressed, -1};
  const auto a = snapshots_->layer_blob(*id, wanted, *lease_, {});
  const auto b = snapshots_->layer_blob(*other, wanted, *lease_, {});
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->diff_id.to_string(), b->diff_id.to_string());
  EXPECT_EQ(listing(packed->front()), listing(unpacked->front()));
}

TEST_F(FileOpTest, ChainedActionsSeeWhatWasDoneBefore) {
  llb::FileOp op;
  op.actions.push_back({llb::kNoIndex, llb::kNoIndex, llb::kNoIndex,
                        llb::MkDirAction{"/a/b", 0700, true, std::nullopt, -1}});
  op.actions.push_back({0, llb::kNoIndex, llb::kNoIndex,
                        llb::MkFileAction{"/a/b/f", 0600, "text", std::nullopt, -1}});
  op.actions.push_back(
      {1, llb::kNoIndex, llb::kNoIndex, llb::SymlinkAction{"b/f", "/a/l", std::nullopt, -1}});
  op.actions.push_back({2, llb::kNoIndex, 0, llb::RmAction{"/a/b/*", false, true}});
  const auto made = execute(vertex(op, 0), {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(listing(made->front()), normalized_tree("d a 0700; d a/b 0700; l a/l b/f"));
}

TEST_F(FileOpTest, AnActionMayReadWhatAnotherOneMade) {
  llb::FileOp op;
  op.actions.push_back({llb::kNoIndex, llb::kNoIndex, llb::kNoIndex,
                        llb::MkFileAction{"/f", 0600, "text", std::nullopt, -1}});
  op.actions.push_back({llb::kNoIndex, 0, 0, copy_action("/f", "/g")});
  const auto made = execute(vertex(op, 0), {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(listing(made->front()), normalized_tree("f g 0600 0:0 text"));
}

TEST_F(FileOpTest, EqualStepsGiveEqualLayers) {
  llb::FileOp op;
  op.actions.push_back(
      {llb::kNoIndex, llb::kNoIndex, 0, llb::MkDirAction{"/a/b", 0700, true, std::nullopt, -1}});
  std::vector<std::string> diff_ids;
  for (int i = 0; i < 2; ++i) {
    const auto made = execute(vertex(op, 0), {});
    ASSERT_TRUE(made);
    const auto id = as_tree(*made->front()).value()->snapshot({}).value();
    diff_ids.push_back(snapshots_->layer_blob(*id, {}, *lease_, {}).value().diff_id.to_string());
  }
  EXPECT_EQ(diff_ids[0], diff_ids[1]);
}

TEST_F(FileOpTest, NamesOfOwnersAreThoseOfTheTree) {
  source_tree("f a 0644 0:0 x");
  const RefPtr base = snapshot_of(
      "d etc 0755; f etc/passwd 0644 0:0 app:x:100:200::/:/bin/sh; f etc/group 0644 0:0 "
      "web:x:300:");
  llb::CopyAction copy = copy_action("/a", "/a");
  copy.owner = llb::Chown{llb::UserRef{std::nullopt, "app", 0}, std::nullopt};
  auto made = execute(vertex(copy_op(copy), 2), {base, context_ref()});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_NE(listing(made->front()).find("f a 0644 100:200 x"), std::string::npos);
  copy.owner->group = llb::UserRef{std::nullopt, "web", 0};
  made = execute(vertex(copy_op(copy), 2), {base, context_ref()});
  ASSERT_TRUE(made);
  EXPECT_NE(listing(made->front()).find("f a 0644 100:300 x"), std::string::npos);
}

TEST_F(FileOpTest, AnUnknownOwnerIsAnErrorThatNamesTheClosest) {
  source_tree("f a 0644 0:0 x");
  const RefPtr base = snapshot_of("d etc 0755; f etc/passwd 0644 0:0 nginx:x:100:200::/:/bin/sh");
  llb::CopyAction copy = copy_action("/a", "/a");
  copy.owner = llb::Chown{llb::UserRef{std::nullopt, "ngnix", 0}, std::nullopt};
  const auto made = execute(vertex(copy_op(copy), 2), {base, context_ref()});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message(), "unable to find user ngnix (did you mean nginx?)");
}

TEST_F(FileOpTest, AMissingSourceNamesTheRuleThatHidesIt) {
  source_tree("f secret 0644 0:0 x");
  environment_.contexts["context"].exclude_patterns = {"*.tmp", "sec*"};
  const auto key = content_key(vertex(copy_op(copy_action("/secret", "/")), 2), 1, context_ref());
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().message(), "\"/secret\": not found");
  EXPECT_EQ(key.error().advice(), "it is excluded by the rule \"sec*\" in .dockerignore");
}

TEST_F(FileOpTest, AMissingSourceNamesWhatIsThereInstead) {
  source_tree("d src 0755; f src/main.cc 0644 0:0 x");
  const auto key =
      content_key(vertex(copy_op(copy_action("/src/mian.cc", "/")), 2), 1, context_ref());
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().message(), "\"/src/mian.cc\": not found");
  EXPECT_EQ(key.error().advice(), "did you mean \"/src/main.cc\"?");
}

TEST_F(FileOpTest, AFileThatChangesDuringTheBuildFailsIt) {
  source_tree("f a 0644 0:0 first");
  const RefPtr seen = context_ref();
  ASSERT_TRUE(write_file(context() + "/a", "second!"));
  const auto made =
      execute(vertex({copy_op(copy_action("/a", "/"))}, 2), {snapshot_of("f b 0644 0:0 b"), seen});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::kFailedPrecondition);
}

TEST_F(FileOpTest, WhatIsNoArchiveIsCopiedByAdd) {
  source_tree("f a.tar.gz 0644 0:0 not an archive; f empty.tar 0644 0:0");
  llb::CopyAction add = copy_action("/*", "/dst/");
  add.attempt_unpack = true;
  const auto made = execute(vertex(copy_op(add), 2), {snapshot_of(""), context_ref()});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(listing(made->front()),
            normalized_tree(
                "d dst 0755; f dst/a.tar.gz 0644 0:0 not an archive; f dst/empty.tar 0644 0:0"));
}

class ArchiveTest : public FileOpTest {
 protected:
  void SetUp() override {
    FileOpTest::SetUp();
    if (IsSkipped()) return;
    StringSink bytes;
    oci::TarWriter tar(bytes);
    add(tar, "link", oci::EntryType::kSymlink, "/real", "");
    add(tar, "link/in", oci::EntryType::kFile, "", "through");
    add(tar, ".wh.kept", oci::EntryType::kFile, "", "plain");
    ASSERT_TRUE(tar.finish());
    ASSERT_TRUE(write_file(context() + "/any-name", bytes.data()));
  }
  static void add(oci::TarWriter& tar, const std::string& path, oci::EntryType type,
                  const std::string& target, const std::string& data) {
    oci::TarEntry entry;
    entry.path = RelPath::strict(path).value();
    entry.type = type;
    entry.mode = 0640;
    entry.uid = 5;
    entry.gid = 6;
    entry.link_target = target;
    entry.size = data.size();
    ASSERT_TRUE(tar.add(entry));
    ASSERT_TRUE(data.empty() || tar.data(as_bytes(data)));
  }
};

TEST_F(ArchiveTest, IsUnpackedByItsContentIntoTheDirectory) {
  llb::CopyAction copy = copy_action("/any-name", "/dst");
  copy.attempt_unpack = true;
  environment_.pack_targets = PackTargets::kYes;  // and not packed as a file either
  const auto made =
      execute(vertex(copy_op(copy), 2), {snapshot_of("d dst 0755; d dst/real 0755"), context_ref()},
              OutputUse::kTargetOnly);
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(listing(made->front()),
            normalized_tree("d dst 0755; d dst/real 0755; l dst/link /real; f dst/real/in 0640 5:6 "
                            "through; f dst/.wh.kept 0640 5:6 plain"));
}

TEST_F(ArchiveTest, ChownAppliesToAllEntries) {
  llb::CopyAction copy = copy_action("/any-name", "/dst/");
  copy.attempt_unpack = true;
  copy.owner = llb::Chown{llb::UserRef{9, "", llb::kNoIndex}, std::nullopt};
  const auto made = execute(vertex(copy_op(copy), 2),
                            {snapshot_of("d dst 0755; d dst/real 0755"), context_ref()});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_NE(listing(made->front()).find("f dst/real/in 0640 9:9 through"), std::string::npos);
}

TEST_F(FileOpTest, TheKeyHoldsTheContentAndNeitherTimesNorPlaces) {
  source_tree("d d 0755; f d/a 0644 0:0 hello; d e 0755; f e/a 0644 0:0 hello");
  const auto key_of = [&](const std::string& src) {
    return content_key(vertex(copy_op(copy_action(src, "/")), 2), 1, context_ref())
        .value()
        .to_string();
  };
  const std::string first = key_of("/d/a");
  EXPECT_EQ(first, key_of("/e/a"));
  ASSERT_EQ(::utimes((context() + "/d/a").c_str(), nullptr), 0);
  EXPECT_EQ(first, key_of("/d/a"));
  ASSERT_EQ(::chmod((context() + "/d/a").c_str(), 0600), 0);
  EXPECT_NE(first, key_of("/d/a"));
}

TEST_F(FileOpTest, RenamingWhatAWildcardFindsIsAnotherKey) {
  source_tree("f a1 0644 0:0 hello");
  const llb::Vertex copy = vertex(copy_op(copy_action("/a*", "/dst/")), 2);
  const std::string first = content_key(copy, 1, context_ref()).value().to_string();
  ASSERT_EQ(::rename((context() + "/a1").c_str(), (context() + "/a2").c_str()), 0);
  EXPECT_NE(first, content_key(copy, 1, context_ref()).value().to_string());
}

TEST_F(FileOpTest, WhatIsExcludedIsNotInTheKey) {
  source_tree("d d 0755; f d/a 0644 0:0 hello; f d/log 0644 0:0 1");
  llb::CopyAction copy = copy_action("/d", "/");
  copy.exclude_patterns = {"log"};
  const llb::Vertex one = vertex(copy_op(copy), 2);
  const std::string first = content_key(one, 1, context_ref()).value().to_string();
  ASSERT_TRUE(write_file(context() + "/d/log", "2"));
  EXPECT_EQ(first, content_key(one, 1, context_ref()).value().to_string());
}

TEST_F(FileOpTest, TheOpsKeyHoldsTheSourcesNameOnly) {
  const auto key_of = [&](const llb::CopyAction& copy) {
    return cache_map(vertex(copy_op(copy), 2)).value().op.digest().to_string();
  };
  const std::string first = key_of(copy_action("/x/name", "/dst"));
  EXPECT_EQ(first, key_of(copy_action("/y/name/", "/dst")));
  EXPECT_NE(first, key_of(copy_action("/x/other", "/dst")));
  EXPECT_NE(first, key_of(copy_action("/x/name", "/elsewhere")));
  llb::CopyAction owned = copy_action("/x/name", "/dst");
  owned.owner = llb::Chown{llb::UserRef{1, "", llb::kNoIndex}, std::nullopt};
  EXPECT_NE(first, key_of(owned));
}

TEST_F(FileOpTest, SourcesCountByContentAndBasesByDefinition) {
  const CacheMap map = cache_map(vertex(copy_op(copy_action("/a", "/")), 2)).value();
  ASSERT_EQ(map.inputs.size(), 2U);
  EXPECT_FALSE(map.inputs[0].by_content);
  EXPECT_TRUE(map.inputs[1].by_content);
}

TEST_F(FileOpTest, IndexesThatLeadNowhereAreRefused) {
  llb::FileOp op;
  op.actions.push_back({3, llb::kNoIndex, 0, llb::MkDirAction{"/a", 0755, false, {}, -1}});
  const auto made = factory_(vertex(op, 1));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace kiln
