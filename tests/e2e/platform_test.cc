// --platform for real: indexes, what platforms share, and programs of other architectures.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/strings.h"
#include "tests/e2e/foreign_elf.h"
#include "tests/e2e/kiln_runner.h"

namespace kiln::e2e {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr ElfTarget kArm64{183, 64, {}};
constexpr ElfTarget kRiscv64{243, 64, {}};
constexpr ElfTarget kI386{3, 32, {}};

class PlatformTest : public KilnTest {
 protected:
  /// An image "foreign" whose one file is the program /prog.
  void import_foreign(const ElfTarget& target, const std::string& platform) {
    const std::string tree = context("foreign-" + platform.substr(6), {{"prog", make_elf(target)}});
    ASSERT_EQ(::chmod((tree + "/prog").c_str(), 0755), 0);
    ASSERT_EQ(command({"tar", "-C", tree, "-cf", tree + ".tar", "prog"}).exit_code, 0);
    const Output imported = kiln({"import", "--platform", platform, tree + ".tar", "foreign"});
    ASSERT_EQ(imported.exit_code, 0) << imported.err;
  }

  Json blob(const std::string& archive, const std::string& digest) const {
    const std::string name =
        digest == "index.json" ? digest : "blobs/sha256/" + digest.substr(digest.find(':') + 1);
    return Json::parse(command({"tar", "-xOf", archive, name}).out).value_or(Json());
  }
  /// The image index in an OCI archive.
  Json index_in(const std::string& archive) const {
    const Json top = blob(archive, "index.json");
    EXPECT_EQ(top["manifests"].elements().size(), 1U) << top.dump();
    return blob(archive, top["manifests"].elements().at(0)["digest"].as_string());
  }
  static std::vector<std::string> platforms_of(const Json& index) {
    std::vector<std::string> out;
    for (const Json& entry : index["manifests"].elements()) {
      const Json& p = entry["platform"];
      out.push_back(p["os"].as_string() + "/" + p["architecture"].as_string() +
                    (p["variant"].as_string().empty() ? "" : "/" + p["variant"].as_string()));
    }
    return out;
  }
  std::string text(const std::string& file) const {
    return read_file(path(file), 65536).value_or("");
  }
};

constexpr const char* kScratch = "FROM scratch\nARG TARGETARCH\nCOPY a-$TARGETARCH /a\n";

TEST_F(PlatformTest, SeveralPlatformsBecomeAnIndexInTheOrderAskedFor) {
  const std::string c =
      context("c", {{"Dockerfile", kScratch}, {"a-amd64", "x"}, {"a-arm64", "y"}, {"a-arm", "z"}});
  (void)build(c, {"--platform", "linux/aarch64/v8,linux/amd64", "--platform=linux/armhf", "-t",
                  "app", "--iidfile", path("iid"), "--metadata-file", path("meta"), "-o",
                  "type=oci,dest=" + path("app.tar")});
  const Json index = index_in(path("app.tar"));
  EXPECT_THAT(platforms_of(index), ElementsAre("linux/arm64", "linux/amd64", "linux/arm/v7"));
  const Json arm = blob(path("app.tar"), index["manifests"].elements().at(2)["digest"].as_string());
  const Json config = blob(path("app.tar"), arm["config"]["digest"].as_string());
  EXPECT_EQ(config["architecture"].as_string(), "arm");
  EXPECT_EQ(config["variant"].as_string(), "v7");
  const std::string digest =
      blob(path("app.tar"), "index.json")["manifests"].elements().at(0)["digest"].as_string();
  EXPECT_EQ(text("iid"), digest);
  const Json meta = Json::parse(text("meta")).value_or(Json());
  EXPECT_EQ(meta["containerimage.digest"].as_string(), digest);
  EXPECT_EQ(meta["containerimage.descriptor"]["mediaType"].as_string(),
            "application/vnd.oci.image.index.v1+json");
  EXPECT_EQ(meta.find("containerimage.config.digest"), nullptr);
}

TEST_F(PlatformTest, AnIndexIsListedSavedAndLoaded) {
  const std::string c =
      context("c", {{"Dockerfile", kScratch}, {"a-riscv64", "x"}, {"a-arm64", "y"}});
  (void)build(c, {"--platform=linux/riscv64,linux/arm64", "-t", "app", "--iidfile", path("iid")});
  EXPECT_EQ(kiln({"images", "-q", "--no-trunc", "app"}).out, text("iid") + "\n");
  EXPECT_EQ(
      kiln({"inspect", "app", "--format",
            "{{range .Manifests}}{{.Descriptor.platform.architecture}} {{.Available}} {{end}}"})
          .out,
      "riscv64 true arm64 true \n");
  EXPECT_EQ(kiln({"inspect", "app", "--platform=arm64", "--format", "{{.Architecture}}"}).out,
            "arm64\n");
  EXPECT_EQ(kiln({"history", "-q", "--platform=arm64", "app"}).exit_code, 0);
  const std::string tree = kiln({"images", "--tree"}).out;
  EXPECT_THAT(tree, HasSubstr("\n├─ linux/riscv64"));
  EXPECT_THAT(tree, HasSubstr("\n└─ linux/arm64"));
  const Output refused = kiln({"save", "app", "-o", path("no.tar")});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("holds one platform, the image has 2"));
  ASSERT_EQ(kiln({"save", "--platform=arm64", "app", "-o", path("one.tar")}).exit_code, 0);
  const std::string other = path("one");
  EXPECT_THAT(kiln_at(other, {"load", "-i", path("one.tar")}).out, HasSubstr("app:latest"));
  EXPECT_EQ(kiln_at(other, {"save", "--platform=arm64", "app"}).exit_code, 0);
  const Output absent = kiln_at(other, {"save", "--platform=riscv64", "app"});
  EXPECT_EQ(absent.exit_code, 1);
  EXPECT_THAT(absent.err, HasSubstr("the image is not here for linux/riscv64"));
  EXPECT_THAT(absent.err, HasSubstr("it is for linux/arm64"));
  ASSERT_EQ(kiln({"save", "--format=oci", "app", "-o", path("app.tar")}).exit_code, 0);
  EXPECT_THAT(platforms_of(index_in(path("app.tar"))), ElementsAre("linux/riscv64", "linux/arm64"));
  const Output loaded = kiln_at(path("other"), {"load", "-i", path("app.tar")});
  ASSERT_EQ(loaded.exit_code, 0) << loaded.err;
  EXPECT_EQ(kiln_at(path("other"), {"images", "-q", "--no-trunc"}).out, text("iid") + "\n");
  const Output gone = kiln({"rmi", "app"});
  EXPECT_EQ(gone.exit_code, 0) << gone.err;
}

TEST_F(PlatformTest, OtherToolsReadTheIndex) {
  const std::string c =
      context("c", {{"Dockerfile", kScratch}, {"a-amd64", "x"}, {"a-arm64", "y"}});
  (void)build(c, {"--platform=linux/arm64,linux/amd64", "-t", "app", "-o",
                  "type=oci,dest=" + path("app.tar")});
  if (!find_program("skopeo", "/usr/bin:/bin")) GTEST_SKIP() << "needs skopeo";
  const Output copied =
      command({"skopeo", "copy", "--all", "oci-archive:" + path("app.tar"), "dir:" + path("copy")});
  ASSERT_EQ(copied.exit_code, 0) << copied.err;
  EXPECT_THAT(platforms_of(Json::parse(text("copy/manifest.json")).value_or(Json())),
              ElementsAre("linux/arm64", "linux/amd64"));
  const Output one = command(
      {"skopeo", "inspect", "--override-arch=arm64", "--config", "oci-archive:" + path("app.tar")});
  EXPECT_THAT(one.out, HasSubstr("arm64")) << one.err;
}

TEST_F(PlatformTest, WhatPlatformsShareRunsOnceAndOnlyThat) {
  const std::string c =
      context("c", {{"Dockerfile",
                     "FROM --platform=$BUILDPLATFORM base AS shared\nRUN echo once > /once\n"
                     "FROM shared AS each\nARG TARGETARCH\nRUN echo $TARGETARCH > /each\n"
                     "FROM scratch\nCOPY --from=shared /once /\nCOPY --from=each /each /\n"}});
  const std::string log = build(c, {"--platform=linux/amd64,linux/s390x", "-o", path("out")});
  EXPECT_EQ(count(log, "RUN echo once > /once\n"), 1) << log;
  EXPECT_EQ(count(log, " > /each\n"), 2) << log;
  EXPECT_EQ(text("out/linux_amd64/each"), "amd64\n");
  EXPECT_EQ(text("out/linux_s390x/each"), "s390x\n");
  EXPECT_EQ(text("out/linux_s390x/once"), "once\n");
}

TEST_F(PlatformTest, AnArchiveOfFilesHasADirectoryForEachPlatform) {
  const std::string c = context("c", {{"Dockerfile", kScratch}, {"a-arm", "x"}, {"a-amd64", "y"}});
  (void)build(c, {"--platform=linux/arm/v6,linux/amd64", "-o", "type=tar,dest=" + path("t.tar")});
  EXPECT_EQ(command({"tar", "-tf", path("t.tar")}).out,
            "linux_amd64/\nlinux_amd64/a\nlinux_arm_v6/\nlinux_arm_v6/a\n");
  (void)build(
      c, {"--platform=linux/amd64", "-o", "dest=" + path("d") + ",type=local,platform-split=true"});
  EXPECT_EQ(text("d/linux_amd64/a"), "y");
}

TEST_F(PlatformTest, FilesOfAllPlatformsMayGoIntoOneAnother) {
  const std::string c =
      context("c", {{"Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY a-$TARGETARCH /d/\n"},
                    {"a-arm64", "x"},
                    {"a-amd64", "y"}});
  (void)build(c, {"--platform=linux/arm64,linux/amd64", "-o",
                  "type=tar,platform-split=false,dest=" + path("t.tar"), "-o",
                  "type=local,platform-split=false,dest=" + path("d")});
  EXPECT_EQ(command({"tar", "-tf", path("t.tar")}).out, "d/\nd/a-arm64\nd/a-amd64\n");
  EXPECT_EQ(text("d/d/a-arm64"), "x");
  EXPECT_EQ(text("d/d/a-amd64"), "y");
}

TEST_F(PlatformTest, AFileOfTwoPlatformsIsRefusedBeforeAnyIsWritten) {
  const std::string c =
      context("c", {{"Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /\n"},
                    {"arm64/d/same", "x"},
                    {"amd64/d/same", "x"},
                    {"amd64/first", "x"},
                    {"s390x/d", "x"}});
  for (const auto& [second, clash] : std::vector<std::pair<std::string, std::string>>{
           {"linux/arm64", "cannot overwrite d/same from linux/amd64 with linux/arm64"},
           {"linux/s390x", "cannot overwrite d from linux/amd64 with linux/s390x"}}) {
    const Output output = kiln({"build", "--progress=plain", "--platform=linux/amd64," + second,
                                "-o", "type=local,platform-split=false,dest=" + path("d"), c});
    EXPECT_EQ(output.exit_code, 1);
    EXPECT_THAT(output.err, HasSubstr(clash));
    EXPECT_FALSE(exists(path("d")).value());
  }
}

TEST_F(PlatformTest, ADockerArchiveOfSeveralPlatformsIsRefusedBeforeTheBuild) {
  const std::string c = context("c", {{"Dockerfile", "FROM scratch\n"}});
  const Output output = kiln({"build", "--platform=linux/amd64,linux/arm64", "-o",
                              "type=docker,dest=" + path("x.tar"), c});
  EXPECT_EQ(output.exit_code, 2);
  EXPECT_THAT(output.err, HasSubstr("does not currently support exporting manifest lists"));
}

TEST_F(PlatformTest, AWarningOfSeveralPlatformsIsToldOnce) {
  const std::string c = context("c", {{"Dockerfile", "FROM scratch AS Upper\nLABEL a b\n"}});
  const std::string log = build(c, {"--platform=linux/amd64,linux/arm64"});
  EXPECT_THAT(log, HasSubstr("2 warnings found"));
}

TEST_F(PlatformTest, APlatformThatTheImageLacksIsToldWithThoseItHas) {
  const std::string c =
      context("c", {{"Dockerfile", kScratch}, {"a-riscv64", "x"}, {"a-arm64", "y"}});
  (void)build(c,
              {"--platform=linux/riscv64,linux/arm64", "-o", "type=oci,dest=" + path("two.tar")});
  const std::string d = context("d", {{"Dockerfile", "FROM two\n"}});
  const Output output = kiln({"build", "--platform=linux/s390x",
                              "--build-context=two=oci-layout://" + path("two.tar"), d});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_THAT(output.err, HasSubstr("no match for platform in manifest: linux/s390x not found"));
  EXPECT_THAT(output.err, HasSubstr("the image is there for linux/riscv64, linux/arm64"));
}

TEST_F(PlatformTest, AProgramWithoutAnEmulatorIsToldBeforeItRuns) {
  if (command({"/bin/sh", "-c", "ls /proc/sys/fs/binfmt_misc"}).out.find("riscv64") !=
      std::string::npos)
    GTEST_SKIP() << "an emulator for riscv64 is registered on this machine";
  import_foreign(kRiscv64, "linux/riscv64");
  const std::string c = context("c", {{"Dockerfile", "FROM foreign\nRUN [\"/prog\"]\n"}});
  const Output output = kiln({"build", "--progress=plain", "--platform=linux/riscv64", c});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_THAT(output.err, HasSubstr("\"/prog\" is for linux/riscv64, and on this machine ("));
  EXPECT_THAT(output.err, HasSubstr("apt-get install qemu-user-static"));
  EXPECT_THAT(output.err, HasSubstr("2 | >>> RUN"));
}

TEST_F(PlatformTest, CopyingNeedsNoEmulator) {
  import_foreign(kRiscv64, "linux/riscv64");
  const std::string c =
      context("c", {{"Dockerfile", "FROM foreign\nWORKDIR /w\nCOPY f .\n"}, {"f", "f"}});
  (void)build(c, {"--platform=linux/riscv64", "-o", path("out")});
  EXPECT_EQ(text("out/w/f"), "f");
}

TEST_F(PlatformTest, I386RunsOnAmd64WithoutAnEmulator) {
  if (command({"uname", "-m"}).out != "x86_64\n") GTEST_SKIP() << "this machine is no amd64";
  ElfTarget target = kI386;
  target.code = code_of(kI386Code);
  const std::string own = context("own", {{"prog", make_elf(target)}}) + "/prog";
  ASSERT_EQ(::chmod(own.c_str(), 0755), 0);
  if (command({own}).exit_code != 0) GTEST_SKIP() << "this kernel does not run 32-bit programs";
  import_foreign(target, "linux/386");
  const std::string c = context("c", {{"Dockerfile", "FROM foreign\nRUN [\"/prog\"]\n"}});
  for (const std::vector<std::string>& asked :
       {std::vector<std::string>{"--platform=linux/i386"}, {}}) {
    std::vector<std::string> more = asked;
    more.insert(more.end(), {"-o", path("out"), "-o", "type=image,name=app"});
    EXPECT_THAT(build(c, more), testing::Not(HasSubstr("InvalidBaseImagePlatform")));
    EXPECT_EQ(text("out/made"), "i386 \n");
    EXPECT_EQ(image_config("app")["architecture"].as_string(), "386");
  }
}

TEST_F(PlatformTest, AKernelWithout32BitProgramsIsToldBeforeTheStepRuns) {
  if (command({"uname", "-m"}).out != "x86_64\n") GTEST_SKIP() << "this machine is no amd64";
  ElfTarget target = kI386;
  target.code = code_of(kI386Code);
  import_foreign(target, "linux/386");
  if (command({path("foreign-386/prog")}).exit_code == 0)
    GTEST_SKIP() << "this kernel runs 32-bit programs";
  const std::string c = context("c", {{"Dockerfile", "FROM foreign\nRUN [\"/prog\"]\n"}});
  const Output output = kiln({"build", "--progress=plain", "--platform=linux/386", c});
  EXPECT_THAT(output.err, HasSubstr("\"/prog\" is for linux/386, and on this machine ("));
}

/// A handler for arm64 in binfmt_misc, registered here if nobody did before. It lives as long as
/// some mount of binfmt_misc (since Linux 6.7), and this one is attached nowhere: so it ends with
/// the test.
class EmulatorTest : public PlatformTest {
 protected:
  void SetUp() override {
    PlatformTest::SetUp();
    if (IsSkipped()) return;
    if (command({"uname", "-m"}).out == "aarch64\n") GTEST_SKIP() << "arm64 is native here";
    const auto qemu = find_program("qemu-aarch64-static", "/usr/bin:/bin");
    if (!qemu) GTEST_SKIP() << "needs qemu-user-static";
    mount_binfmt();
    if (!mount_.valid()) GTEST_SKIP() << "binfmt_misc cannot be mounted: " << std::strerror(errno);
    const std::vector<DirEntry> handlers = list_dir(mount_.get()).value();
    for (const DirEntry& entry : handlers)
      if (entry.name.find("aarch64") != std::string::npos) return;
    const std::string zeros = R"(\x00\x00\x00\x00\x00\x00\x00\x00)";
    const std::string ones = R"(\xff\xff\xff\xff\xff\xff\xff\xff)";
    registered_ =
        write_to("register", std::string(":") + kHandler + R"(:M:0:\x7fELF\x02\x01\x01\x00)" +
                                 zeros + R"(\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00)" +
                                 ones + R"(\xfe\xff\xff\xff:)" + *qemu + ":F");
    if (!registered_) GTEST_SKIP() << "nothing can be registered: " << std::strerror(errno);
  }
  void TearDown() override {
    if (registered_) {
      EXPECT_TRUE(write_to(kHandler, "-1"));
    }
    mount_.reset();
    PlatformTest::TearDown();
  }

 private:
  static constexpr const char* kHandler = "kiln-test-aarch64";

  void mount_binfmt() {
    const Fd context(::fsopen("binfmt_misc", FSOPEN_CLOEXEC));
    if (!context.valid()) return;
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return;
    mount_ = Fd(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
  }
  bool write_to(const char* name, const std::string& text) const {
    const Fd file(::openat(mount_.get(), name, O_WRONLY | O_CLOEXEC));
    return file.valid() &&
           ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }
  Fd mount_;
  bool registered_ = false;
};

TEST_F(EmulatorTest, AForeignProgramRunsThroughIt) {
  ElfTarget target = kArm64;
  target.code = code_of(kArm64Code);
  import_foreign(target, "linux/arm64");
  const std::string c = context("c", {{"Dockerfile", "FROM foreign\nRUN [\"/prog\"]\n"}});
  (void)build(c, {"--platform=linux/arm64", "-o", path("out")});
  EXPECT_EQ(text("out/made"), "arm64\n");
}

}  // namespace
}  // namespace kiln::e2e
