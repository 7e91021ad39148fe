#include "tests/e2e/fault_fixture.h"

namespace kiln::e2e {
namespace {

constexpr uint64_t kArchiveLimit = 64U << 20U;

// Times that RUN leaves are part of the layer, so the steps set them.
constexpr const char* kDockerfile =
    "FROM base\n"
    "COPY a /a\n"
    "COPY d /d\n"
    "RUN cat /a > /b && mkdir /e && echo 1 > /e/f && rm /d/1 && touch -d @1 /b /e/f /e /d\n"
    "RUN cat /b > /c && touch -d @1 /c\n";

// What is in an archive, for people: documents as they are, layers as lists.
constexpr const char* kLook =
    "set -e; cd \"$(mktemp -d -p \"$2\")\"; tar -xf \"$1\"; find . -type f | sort | while read -r "
    "f; do "
    "case \"$(head -c 1 \"$f\")\" in '{') echo \"$f: $(cat \"$f\")\";; *) echo \"$f:\"; zcat "
    "\"$f\" | "
    "tar -tv --full-time --numeric-owner | grep -v busybox;; esac; done";

}  // namespace

void FaultTest::SetUp() {
  KilnTest::SetUp();
  if (IsSkipped()) return;
  environment_.emplace_back("SOURCE_DATE_EPOCH=1700000000");
  context_ = context("context", {{"Dockerfile", kDockerfile},
                                 {"a", "A\n"},
                                 {"d/1", "1"},
                                 {"d/2", std::string(100'000, '2')},
                                 {"d/sub/3", "3"}});
}

std::string FaultTest::fresh_root(const std::string& name) {
  EXPECT_TRUE(remove_tree(path(name)));
  EXPECT_EQ(command({"cp", "-a", root(), path(name)}).exit_code, 0);
  return path(name);
}

std::string FaultTest::built_root(const std::string& name) {
  const std::string root = fresh_root(name);
  const Output built = kiln_at(root, {"build", "-q", "-o", "type=cacheonly", context_});
  EXPECT_EQ(built.exit_code, 0) << built.err;
  return root;
}

Output FaultTest::build_archive(const std::string& root, const std::string& archive,
                                const std::vector<std::string>& wrapper) {
  std::vector<std::string> argv = wrapper;
  for (const std::string& word :
       {std::string(KILN_BINARY), std::string("--root"), root, std::string("build"),
        std::string("--progress=plain"), std::string("-o"), "type=oci,dest=" + archive, context_})
    argv.push_back(word);
  return command(argv);
}

std::string FaultTest::look_into(const std::string& file) const {
  return command({"/bin/sh", "-c", kLook, "sh", file, path("")}).out;
}

std::string FaultTest::archive_bytes(const std::string& file) const {
  return read_file(file, kArchiveLimit).value_or("unreadable");
}

const std::string& FaultTest::expected() {
  if (!expected_.empty()) return expected_;
  const Output built = build_archive(fresh_root("untouched"), path("untouched.tar"));
  EXPECT_EQ(built.exit_code, 0) << built.err;
  expected_ = archive_bytes(path("untouched.tar"));
  return expected_;
}

void FaultTest::expect_right_image(const std::string& root, const std::string& after) {
  const std::string archive = path("next.tar");
  const Output built = build_archive(root, archive);
  EXPECT_EQ(built.exit_code, 0) << after << "\n" << built.err;
  // Not EXPECT_EQ: nobody wants to read a megabyte of gzip.
  const bool is_same = archive_bytes(archive) == expected();
  EXPECT_TRUE(is_same) << after << ": another image\n" << built.err;
  if (!is_same) {
    EXPECT_EQ(look_into(archive), look_into(path("untouched.tar"))) << after;
  }
  EXPECT_TRUE(remove_tree(archive));
}

void FaultTest::expect_nothing_left(const std::string& archive, const std::string& after) {
  EXPECT_EQ(descendants_.left(), std::vector<std::string>()) << after;
  EXPECT_EQ(mounts_below(path("")), std::vector<std::string>()) << after;
  if (exists(archive).value_or(true)) {
    EXPECT_TRUE(archive_bytes(archive) == expected()) << after << ": a torn archive";
  }
  EXPECT_TRUE(remove_tree(archive));
}

void FaultTest::expect_no_harm(const std::string& root, const std::string& archive,
                               const std::string& after) {
  expect_nothing_left(archive, after);
  expect_right_image(root, after);
}

}  // namespace kiln::e2e
