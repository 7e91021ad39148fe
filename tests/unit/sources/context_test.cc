#include "solver/sources/context.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/fakes/tree_text.h"

namespace kiln {
namespace {

class ContextTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "giving files away needs root";
  }

  std::unique_ptr<TreeView> open(ContextSelection selection,
                                 std::shared_ptr<StatCache> digests = nullptr) {
    ContextOptions options;
    options.selection = std::move(selection);
    options.digests = std::move(digests);
    ref_ = open_context(context_, std::move(options), {}).value();
    return ref_->open({}).value();
  }

  /// All paths of a view, in walking order.
  static std::string paths(const TreeView& view, const RelPath& below = RelPath()) {
    std::string all;
    const auto entries = view.list(below).value();
    for (const TreeNames::Entry& entry : entries) {
      const RelPath path = below.child(entry.name);
      all += path.str() + " ";
      if (S_ISDIR(entry.st.st_mode)) all += paths(view, path);
    }
    return all;
  }

  void make(const std::string& tree) { fake::make_tree(directory_.path(), tree); }
  static RelPath path(const char* text) { return RelPath::rooted(text).value(); }

  TempDir directory_ = TempDir::create("/tmp", "kiln-context-").value();
  LocalContext context_{directory_.path(), {}, ".dockerignore", ""};
  std::shared_ptr<TreeRef> ref_;
  FileScratch scratch_;
};

TEST_F(ContextTest, FilesBelongToRootAndKeepTheirModes) {
  make("f a 0640 7:8 x");
  const auto st = open({})->stat(path("a")).value();
  ASSERT_TRUE(st);
  EXPECT_EQ(st->st_uid, 0U);
  EXPECT_EQ(st->st_gid, 0U);
  EXPECT_EQ(st->st_mode, S_IFREG | 0640U);
}

TEST_F(ContextTest, IgnoreRulesHideEntriesAndExceptionsBringThemBack) {
  make("d a 0755; f a/1 0644 0:0 x; f a/2 0644 0:0 x; d b 0755; f b/1 0644 0:0 x; f c 0644 0:0 x");
  context_.exclude_patterns = {"a", "b", "!a/2"};
  EXPECT_EQ(paths(*open({})), "a a/2 c ");
}

TEST_F(ContextTest, TheLastMatchingRuleIsNamed) {
  make("f a 0644 0:0 x");
  context_.exclude_patterns = {"*", "a"};
  const auto view = open({});
  EXPECT_EQ(view->hidden_by(path("a")), "\"a\" in .dockerignore");
  EXPECT_EQ(view->hidden_by(path("b/c")), "\"*\" in .dockerignore");
}

TEST_F(ContextTest, SocketsAndFifosAreNeverOpened) {
  make("f a 0644 0:0 x");
  ASSERT_EQ(::mkfifo((directory_.path() + "/fifo").c_str(), 0644), 0);
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = directory_.path() + "/socket";
  name.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(paths(*open({})), "a fifo socket ");
}

TEST_F(ContextTest, FollowPathsRestrictTheWalk) {
  make("d a 0755; f a/1 0644 0:0 x; f a/2 0644 0:0 x; d b 0755; f b/1 0644 0:0 x; f c 0644 0:0 x");
  EXPECT_EQ(paths(*open({{}, {}, {"a/1", "missing", "c"}})), "a a/1 c ");
  EXPECT_EQ(paths(*open({{}, {}, {"/b"}})), "b b/1 ");
  EXPECT_EQ(paths(*open({{}, {}, {"?/1"}})), "a a/1 b b/1 ");
}

TEST_F(ContextTest, FollowPathsTakeWhatLinksLeadTo) {
  make("d real 0755; f real/1 0644 0:0 x; l link real; l out ../../real/1; f other 0644 0:0 x");
  EXPECT_EQ(paths(*open({{}, {}, {"link"}})), "link real real/1 ");
  EXPECT_EQ(paths(*open({{}, {}, {"out"}})), "out real real/1 ");
}

TEST_F(ContextTest, IncludePatternsKeepTheWayToWhatTheyMatch) {
  make("d a 0755; d a/b 0755; f a/b/x.c 0644 0:0 x; f a/y 0644 0:0 x; d z 0755");
  EXPECT_EQ(paths(*open({{}, {"**/*.c"}, {}})), "a a/b a/b/x.c ");
}

TEST_F(ContextTest, DigestsComeFromTheStatCacheWithoutReading) {
  make("f a 0644 0:0 hello");
  const std::string file = directory_.path() + "-digests";
  struct stat st {};
  ASSERT_EQ(::lstat((directory_.path() + "/a").c_str(), &st), 0);
  const std::shared_ptr<StatCache> cache = StatCache::open(file);
  cache->insert(st, Digest::of("something else"));
  // Racily young entries are not kept: only then the file is read.
  const auto known = cache->find(st);
  const Digest expected = known ? Digest::of("something else") : Digest::of("hello");
  EXPECT_EQ(open({}, cache)->file_content(path("a"), scratch_)->data, expected);
}

TEST_F(ContextTest, AFileThatChangedSinceTheWalkIsAnError) {
  make("f a 0644 0:0 hello");
  const auto view = open({});
  ASSERT_TRUE(write_file(directory_.path() + "/a", "changed"));
  EXPECT_EQ(view->file_content(path("a"), scratch_).error().code(), Code::kFailedPrecondition);
  const auto opened = view->open_file(path("a"), scratch_);
  ASSERT_TRUE(opened);
  EXPECT_EQ(view->check_unchanged(path("a"), *opened).error().code(), Code::kFailedPrecondition);
}

TEST_F(ContextTest, ADirectoryThatIsNotThereIsNamed) {
  context_.directory = "/nonexistent/context";
  const auto opened = open_context(context_, {}, {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::kNotFound);
  EXPECT_NE(opened.error().message().find("/nonexistent/context"), std::string::npos);
}

TEST_F(ContextTest, AWalkThatIsStoppedIsCancelled) {
  make("f a 0644 0:0 hello");
  std::stop_source stop;
  stop.request_stop();
  const auto opened = open_context(context_, {}, stop.get_token());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace kiln
