#include "exporter/mount_transfer.h"

#include <gmock/gmock.h>

#include <random>

#include "cache/mount_entry.h"
#include "tests/fakes/fake_transport.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;

class MountTransferTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return root_.path() + "/" + name; }
  Root directory(const std::string& name) const {
    must(make_dirs(path(name), 0755));
    return must(Root::open(path(name)));
  }
  MountSent send(const std::string& name) {
    return must(send_mount(transfer_, "/cache", directory(name)));
  }
  static std::string noise(unsigned seed, size_t bytes) {
    std::mt19937_64 random(seed);
    std::string data(bytes, '\0');
    for (char& byte : data) byte = static_cast<char>(random());
    return data;
  }

  TempDir root_ = TempDir::create("/tmp", "mounts").value();
  fake::FakeTransport transport_;
  MountTransfer transfer_{transport_, {}};
};

TEST_F(MountTransferTest, BringsAllFilesBack) {
  (void)directory("a/deep/er");
  must(write_file(path("a/deep/er/big"), noise(1, 9U << 20U)));
  must(write_file(path("a/empty"), ""));
  ASSERT_EQ(::symlink("deep/er", path("a/link").c_str()), 0);
  ASSERT_EQ(::chmod(path("a/empty").c_str(), 0640), 0);
  EXPECT_GT(send("a").chunks, 2);
  EXPECT_EQ(must(fetch_mount(transfer_, "/cache", directory("b"))), MountFetched::kYes);
  EXPECT_EQ(must(read_file(path("b/link/big"), 10U << 20U)), noise(1, 9U << 20U));
  struct stat st {};
  ASSERT_EQ(::stat(path("b/empty").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0640U);
}

TEST_F(MountTransferTest, SendsOnlyWhatChanged) {
  (void)directory("a");
  must(write_file(path("a/1"), noise(1, 6U << 20U)));
  must(write_file(path("a/2"), noise(2, 6U << 20U)));
  const size_t all = send("a").chunks;
  EXPECT_EQ(send("a").chunks, 0);
  must(write_file(path("a/0"), "new"));
  const size_t changed = send("a").chunks;
  EXPECT_GT(changed, 0);
  EXPECT_LT(changed, all / 2);
  EXPECT_EQ(must(fetch_mount(transfer_, "/cache", directory("b"))), MountFetched::kYes);
  EXPECT_EQ(must(read_file(path("b/0"), 10)), "new");
}

TEST_F(MountTransferTest, OtherMountsHaveNothing) {
  (void)directory("a");
  must(write_file(path("a/1"), "x"));
  (void)send("a");
  EXPECT_EQ(must(fetch_mount(transfer_, "/other", directory("b"))), MountFetched::kNo);
}

TEST_F(MountTransferTest, LiesAreNotedAndAStopEndsIt) {
  (void)directory("a");
  must(write_file(path("a/1"), noise(3, 100)));
  (void)send("a");
  for (auto& [digest, bytes] : transport_.blobs) bytes.back() ^= 1;
  EXPECT_EQ(code_of(fetch_mount(transfer_, "/cache", directory("b"))), "data_loss");
  transport_.blobs.clear();
  EXPECT_EQ(code_of(fetch_mount(transfer_, "/cache", directory("c"))), "not_found");
  transport_.hangs = true;
  std::stop_source stop;
  stop.request_stop();
  const MountTransfer ended{transport_, stop.get_token()};
  EXPECT_EQ(code_of(fetch_mount(ended, "/cache", directory("d"))), "cancelled");
  EXPECT_EQ(code_of(send_mount(ended, "/cache", directory("a"))), "cancelled");
}

// Whoever may write entries must not make others read more than chunks have.
TEST(MountEntry, RefusesWhatNoMountHas) {
  using namespace cache;
  const oci::Descriptor blob{std::string(kChunkMediaType), Digest::of("b"), 3, {}, {}};
  MountEntry entry{"/m", {{Digest::of("raw"), 5, blob}}};
  EXPECT_EQ(must(decode_mount("/m", encode_mount(entry))), entry);
  EXPECT_EQ(code_of(decode_mount("/other", encode_mount(entry))), "data_loss");
  const std::string bytes = encode_mount(entry);
  EXPECT_EQ(code_of(decode_mount("/m", bytes.substr(0, bytes.size() - 9))), "data_loss");
  entry.chunks[0].raw_bytes = 5U << 20U;
  EXPECT_EQ(code_of(decode_mount("/m", encode_mount(entry))), "data_loss");
  EXPECT_FALSE(as_mount("anything"));
}

}  // namespace
}  // namespace kiln
