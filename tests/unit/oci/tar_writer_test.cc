#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/fs.h"
#include "base/process.h"
#include "oci/tar.h"

namespace kiln::oci {
namespace {

TarEntry file(std::string_view path, uint64_t size = 0) {
  TarEntry entry;
  entry.path = RelPath::strict(path).value();
  entry.mode = 0644;
  entry.size = size;
  return entry;
}

std::string tar_of(const std::vector<std::pair<TarEntry, std::string>>& entries) {
  StringSink sink;
  TarWriter writer(sink);
  for (const auto& [entry, data] : entries) {
    EXPECT_TRUE(writer.add(entry));
    EXPECT_TRUE(writer.data(as_bytes(data)));
  }
  EXPECT_TRUE(writer.finish());
  return sink.take();
}

std::string field(std::string_view tar, size_t offset, size_t size) {
  return std::string(tar.substr(offset, size));
}

TEST(TarWriterTest, WritesAKnownUstarHeader) {
  TarEntry entry = file("usr/bin/x", 3);
  entry.mode = 04755;
  entry.uid = 1000;
  entry.gid = 100;
  entry.mtime = 1700000000;
  const std::string tar = tar_of({{entry, "abc"}});
  ASSERT_EQ(tar.size(), 512U * 4);
  std::string expected(512, '\0');
  const auto put = [&](size_t offset, std::string_view text) {
    expected.replace(offset, text.size(), text);
  };
  put(0, "usr/bin/x");
  put(100, "0004755");
  put(108, "0001750");
  put(116, "0000144");
  put(124, "00000000003");
  put(136, "14524770400");
  put(148, std::string_view("011050\0 ", 8));
  put(156, "0");
  put(257, "ustar");
  put(263, "00");
  put(329, "0000000");
  put(337, "0000000");
  EXPECT_EQ(tar.substr(0, 512), expected);
  EXPECT_EQ(tar.substr(512, 3), "abc");
  EXPECT_EQ(tar.substr(515), std::string(509 + 1024, '\0'));
}

TEST(TarWriterTest, ADirectoryEndsInASlashAndHasNoData) {
  TarEntry entry = file("etc", 4096);
  entry.type = EntryType::kDirectory;
  const std::string tar = tar_of({{entry, ""}});
  EXPECT_EQ(field(tar, 0, 5), std::string("etc/\0", 5));
  EXPECT_EQ(field(tar, 124, 11), "00000000000");
  EXPECT_EQ(tar.size(), 512U * 3);
}

TEST(TarWriterTest, TheRootIsADot) {
  TarEntry entry;
  entry.type = EntryType::kDirectory;
  EXPECT_EQ(field(tar_of({{entry, ""}}), 0, 3), std::string("./\0", 3));
}

TEST(TarWriterTest, ALongPathIsSplitAtASlashWithoutPax) {
  const std::string directory(120, 'd');
  const std::string tar = tar_of({{file(directory + "/name"), ""}});
  EXPECT_EQ(field(tar, 0, 5), std::string("name\0", 5));
  EXPECT_EQ(field(tar, 345, 121), directory + std::string(1, '\0'));
  EXPECT_EQ(tar[156], '0');
}

TEST(TarWriterTest, PaxRecordsComeOnlyWhereUstarCannotHoldAValue) {
  struct Case {
    const char* name;
    std::function<void(TarEntry&)> change;
    std::string record;
  };
  const std::string long_name(101, 'n');
  const Case cases[] = {
      {"long name", [&](TarEntry& e) { e.path = RelPath::strict(long_name).value(); },
       "111 path=" + long_name + "\n"},
      {"non-ASCII name", [](TarEntry& e) { e.path = RelPath::strict("caf\xc3\xa9").value(); },
       "14 path=caf\xc3\xa9\n"},
      {"big uid", [](TarEntry& e) { e.uid = 2097152; }, "15 uid=2097152\n"},
      {"big gid", [](TarEntry& e) { e.gid = 4294967294; }, "18 gid=4294967294\n"},
      {"before 1970", [](TarEntry& e) { e.mtime = -1; }, "12 mtime=-1\n"},
      {"xattr", [](TarEntry& e) { e.xattrs["user.a"] = std::string("x\0y", 3); },
       std::string("27 SCHILY.xattr.user.a=x\0y\n", 27)},
      {"long link",
       [&](TarEntry& e) {
         e.type = EntryType::kSymlink;
         e.link_target = long_name;
       },
       "115 linkpath=" + long_name + "\n"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    TarEntry entry = file("plain");
    c.change(entry);
    const std::string tar = tar_of({{entry, ""}});
    EXPECT_EQ(tar[156], 'x');
    EXPECT_EQ(tar.substr(512, c.record.size()), c.record);
    EXPECT_EQ(tar.size(), 512U * 5);
  }
}

TEST(TarWriterTest, ASizeOf8GiBIsARecord) {
  StringSink sink;
  TarWriter writer(sink);
  ASSERT_TRUE(writer.add(file("big", uint64_t{1} << 33)));
  EXPECT_THAT(sink.data(), testing::HasSubstr("19 size=8589934592\n"));
}

TEST(TarWriterTest, ARecordCountsItsOwnLength) {
  for (size_t length = 60; length < 1100; ++length) {
    TarEntry entry = file("f");
    entry.xattrs["user.k"] = std::string(length, 'v');
    const std::string tar = tar_of({{entry, ""}});
    const size_t said = std::stoul(tar.substr(512));
    ASSERT_EQ(tar[512 + said - 1], '\n') << length;
    ASSERT_TRUE(said % 512 == 0 || tar[512 + said] == '\0') << length;
  }
}

TEST(TarWriterTest, MissingOrExtraDataIsRefused) {
  StringSink sink;
  TarWriter writer(sink);
  ASSERT_TRUE(writer.add(file("a", 2)));
  EXPECT_FALSE(writer.data(as_bytes("abc")));
  ASSERT_TRUE(writer.data(as_bytes("a")));
  EXPECT_EQ(writer.finish().error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(writer.add(file("b")).error().code(), Code::kFailedPrecondition);
}

TEST(TarWriterTest, ANameThatPaxCannotCarryIsRefused) {
  StringSink sink;
  TarWriter writer(sink);
  TarEntry entry = file("a");
  entry.xattrs["user.a=b"] = "x";
  EXPECT_EQ(writer.add(entry).error().code(), Code::kInvalidArgument);
}

TEST(TarWriterTest, GnuTarListsWhatWasWritten) {
  const TempDir dir = TempDir::create("/tmp", "tar").value();
  TarEntry link = file("sym");
  link.type = EntryType::kSymlink;
  link.link_target = "target";
  TarEntry hard = file("hard");
  hard.type = EntryType::kHardlink;
  hard.link_target = "a";
  TarEntry device = file("null");
  device.type = EntryType::kCharDevice;
  device.dev_major = 1;
  device.dev_minor = 3;
  const std::string long_path = std::string(200, 'd') + "/" + std::string(200, 'f');
  ASSERT_TRUE(write_file(dir.path() + "/t.tar", tar_of({{file("a", 3), "abc"},
                                                        {link, ""},
                                                        {hard, ""},
                                                        {device, ""},
                                                        {file(long_path, 1), "x"}})));
  ProcessSpec spec;
  spec.argv = {"tar", "--utc", "-tvf", dir.path() + "/t.tar"};
  spec.env = {"PATH=/usr/bin:/bin", "LC_ALL=C"};
  auto run = run_captured(spec, "", 1 << 20, {});
  if (!run) GTEST_SKIP() << run.error().to_string();
  EXPECT_EQ(run->out,
            "-rw-r--r-- 0/0               3 1970-01-01 00:00 a\n"
            "lrw-r--r-- 0/0               0 1970-01-01 00:00 sym -> target\n"
            "hrw-r--r-- 0/0               0 1970-01-01 00:00 hard link to a\n"
            "crw-r--r-- 0/0             1,3 1970-01-01 00:00 null\n"
            "-rw-r--r-- 0/0               1 1970-01-01 00:00 " +
                long_path + "\n");
  EXPECT_EQ(run->err, "");
}

}  // namespace
}  // namespace kiln::oci
