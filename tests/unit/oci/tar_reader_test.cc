#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "oci/tar.h"
#include "raw_tar.h"

namespace kiln::oci {
namespace {

struct Read {
  TarEntry entry;
  std::string data;
};

Result<std::vector<Read>> read_tar(std::string bytes) {
  KILN_TRY_ASSIGN(auto reader, TarReader::open(std::make_unique<StringSource>(std::move(bytes))));
  std::vector<Read> all;
  while (true) {
    KILN_TRY_ASSIGN(auto entry, reader->next());
    if (!entry) return all;
    Read read{*std::move(entry), {}};
    std::array<std::byte, 1000> buffer;
    while (true) {
      KILN_TRY_ASSIGN(const size_t count, reader->read(buffer));
      if (count == 0) break;
      read.data += as_text(std::span(buffer).first(count));
    }
    all.push_back(std::move(read));
  }
}

std::vector<TarEntry> all_kinds() {
  std::vector<TarEntry> entries;
  const auto add = [&](std::string_view path, EntryType type = EntryType::kFile) -> TarEntry& {
    TarEntry& entry = entries.emplace_back();
    entry.path = RelPath::strict(path).value();
    entry.type = type;
    entry.mode = 0755;
    entry.mtime = 1700000000;
    return entry;
  };
  add("dir", EntryType::kDirectory);
  add("dir/empty");
  add("caf\xc3\xa9");
  add("bad\xff\xfename");
  add("new\nline");
  add(std::string(120, 'd') + "/split");
  add(std::string(120, 'd') + "/" + std::string(120, 'l'));
  add("suid").mode = 06711;
  add("uid").uid = 4294967294U;
  add("gid").gid = 3000000U;
  add("old").mtime = -5;
  add("xattr").xattrs = {{"user.bytes", std::string("a\0\xff=\n", 5)},
                         {"security.capability", std::string("\1\0\0\2", 4)}};
  add("sym", EntryType::kSymlink).link_target = "/abs/../olute";
  add("longsym", EntryType::kSymlink).link_target = std::string(150, 'x') + "\xc3\xa9";
  add("hard", EntryType::kHardlink).link_target = "dir/empty";
  add("chr", EntryType::kCharDevice).dev_major = 1;
  add("blk", EntryType::kBlockDevice).dev_minor = 1048575;
  add("fifo", EntryType::kFifo);
  return entries;
}

TEST(TarReaderTest, ReadsBackWhatTarWriterWrote) {
  const auto entries = all_kinds();
  StringSink sink;
  TarWriter writer(sink);
  for (const TarEntry& entry : entries) ASSERT_TRUE(writer.add(entry));
  ASSERT_TRUE(writer.finish());
  const auto read = read_tar(sink.take());
  ASSERT_TRUE(read) << read.error().to_string();
  ASSERT_EQ(read->size(), entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const TarEntry& got = (*read)[i].entry;
    SCOPED_TRACE(entries[i].path.str());
    EXPECT_EQ(got.path, entries[i].path);
    EXPECT_EQ(got.type, entries[i].type);
    EXPECT_EQ(got.mode, entries[i].mode);
    EXPECT_EQ(got.uid, entries[i].uid);
    EXPECT_EQ(got.gid, entries[i].gid);
    EXPECT_EQ(got.mtime, entries[i].mtime);
    EXPECT_EQ(got.link_target, entries[i].link_target);
    EXPECT_EQ(got.dev_major, entries[i].dev_major);
    EXPECT_EQ(got.dev_minor, entries[i].dev_minor);
    EXPECT_EQ(got.xattrs, entries[i].xattrs);
  }
}

TEST(TarReaderTest, ReadsDataOfAnySizeAndSkipsWhatIsNotAskedFor) {
  std::string tar;
  for (size_t size : {1U, 511U, 512U, 513U, 65536U, 200000U}) {
    tar += raw_entry(std::to_string(size), std::string(size, 'x'));
  }
  auto reader = TarReader::open(std::make_unique<StringSource>(tar + kTarEnd)).value();
  std::vector<uint64_t> sizes;
  while (auto entry = reader->next().value()) sizes.push_back(entry->size);
  EXPECT_THAT(sizes, testing::ElementsAre(1, 511, 512, 513, 65536, 200000));
  const auto read = read_tar(tar + kTarEnd).value();
  EXPECT_EQ(read.back().data, std::string(200000, 'x'));
}

TEST(TarReaderTest, LeadingSlashesAndDotsAreDropped) {
  const auto read =
      read_tar(raw_entry("/abs") + raw_entry("./a/./b") + raw_entry("./", "", '5') + kTarEnd);
  ASSERT_TRUE(read);
  EXPECT_EQ((*read)[0].entry.path.str(), "abs");
  EXPECT_EQ((*read)[1].entry.path.str(), "a/b");
  EXPECT_TRUE((*read)[2].entry.path.is_root());
}

TEST(TarReaderTest, PaxAndGnuNamesGoOverUstarOnes) {
  const std::string gnu = raw_entry("././@LongLink", std::string("gnu\0", 4), 'L');
  const auto read = read_tar(gnu + raw_entry("ustar") + raw_pax("path", "pax") + gnu +
                             raw_entry("ustar") + kTarEnd);
  ASSERT_TRUE(read);
  EXPECT_EQ((*read)[0].entry.path.str(), "gnu");
  EXPECT_EQ((*read)[1].entry.path.str(), "pax");
}

TEST(TarReaderTest, ThePaxSizeSaysWhereTheNextEntryStarts) {
  std::string hidden = raw_entry("hidden", std::string(500, 'x'));
  std::string header = raw_entry("f");  // ustar says 0 bytes: who believes it sees "hidden"
  const auto read = read_tar(raw_pax("size", std::to_string(hidden.size())) + header + hidden +
                             raw_entry("next") + kTarEnd);
  ASSERT_TRUE(read) << read.error().to_string();
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ((*read)[0].data, hidden);
  EXPECT_EQ((*read)[1].entry.path.str(), "next");
}

TEST(TarReaderTest, ANanosecondTimeIsRead) {
  const auto read = read_tar(raw_pax("mtime", "12.5") + raw_entry("a") + kTarEnd).value();
  EXPECT_EQ(read[0].entry.mtime, 12);
  EXPECT_EQ(read[0].entry.mtime_ns, 500'000'000U);
}

TEST(TarReaderTest, ASparseFileReadsAsItsData) {
  const std::string map = "1\n1024\n3\n";
  const std::string body = map + std::string(512 - map.size(), '\0') + "abc";
  const std::string records =
      "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
      "30 GNU.sparse.name=sparsefile\n28 GNU.sparse.realsize=1027\n";
  const auto read = read_tar(raw_entry("PaxHeaders.0/s", records, 'x') +
                             raw_entry("GNUSparseFile.0/s", body) + kTarEnd);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ((*read)[0].entry.path.str(), "sparsefile");
  EXPECT_EQ((*read)[0].entry.size, 1027U);
  EXPECT_EQ((*read)[0].data, std::string(1024, '\0') + "abc");
}

TEST(TarReaderTest, HostileEntriesAreRefusedByName) {
  struct Case {
    const char* name;
    std::string tar;
    const char* what;
  };
  const Case cases[] = {
      {"escape", raw_entry("a/../../b"), "a/../../b"},
      {"hardlink escape", raw_entry("l", "", '1', "../x"), "link target"},
      {"device 0:0", raw_entry("wh", "", '3'), "device 0:0"},
      {"whiteout of nothing", raw_entry("d/.wh."), "whiteout"},
      {"whiteout of .", raw_entry("d/.wh.."), "whiteout"},
      {"whiteout of ..", raw_entry("d/.wh..."), "whiteout"},
      {"trusted xattr", raw_pax("SCHILY.xattr.trusted.x", "y") + raw_entry("a"), "trusted.x"},
      {"overlay xattr", raw_pax("SCHILY.xattr.user.overlay.opaque", "y") + raw_entry("a"),
       "overlay"},
      {"unknown type", raw_entry("a", "", 'Q'), "type is not known"},
      {"multi-volume", raw_entry("a", "", 'M'), "type is not known"},
      {"no symlink target", raw_entry("a", "", '2'), "without a target"},
      {"owner -1", raw_pax("uid", "4294967295") + raw_entry("a"), "owner"},
      {"unknown type behind data that was skipped",
       raw_entry("big", std::string(300'000, 'x')) + raw_entry("a", "", 'Q'), "type is not known"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto read = read_tar(c.tar + kTarEnd);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code(), Code::kInvalidArgument) << read.error().to_string();
    EXPECT_THAT(read.error().message(), testing::HasSubstr(c.what));
  }
}

TEST(TarReaderTest, AnOversizedPaxHeaderIsRefused) {
  const auto read =
      read_tar(raw_pax("comment", std::string((1 << 20) + 1, 'x')) + raw_entry("a") + kTarEnd);
  EXPECT_FALSE(read);
}

TEST(TarReaderTest, DamagedInputIsDataLoss) {
  const std::string good = raw_entry("a", std::string(1000, 'x')) + kTarEnd;
  std::string flipped = good;
  flipped[3] ^= 1;
  const std::string cases[] = {
      "", "garbage", std::string(2000, 'x'), good.substr(0, 300), good.substr(0, 700), flipped};
  for (const std::string& bytes : cases) {
    const auto read = read_tar(bytes);
    ASSERT_FALSE(read) << bytes.size();
    EXPECT_EQ(read.error().code(), Code::kDataLoss) << read.error().to_string();
  }
}

TEST(TarReaderTest, AnArchiveOfZerosIsEmpty) {
  EXPECT_TRUE(read_tar(kTarEnd).value().empty());
}

struct FailsAtItsEnd : StringSource {
  using StringSource::StringSource;
  Result<size_t> read(std::span<std::byte> buffer) override {
    auto count = StringSource::read(buffer);
    if (count && *count == 0) return fail(Code::kDataLoss, "digest");
    return count;
  }
};

TEST(TarReaderTest, TheSourceIsReadToItsEndSoThatItCanVerifyItself) {
  const std::string tar = raw_entry("a") + kTarEnd + std::string(1 << 20, '\0');
  auto reader = TarReader::open(std::make_unique<FailsAtItsEnd>(tar)).value();
  ASSERT_TRUE(reader->next());
  EXPECT_EQ(reader->next().error().message(), "digest");
}

}  // namespace
}  // namespace kiln::oci
