#include "solver/executor/foreign_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/platform.h"
#include "tests/fakes/must.h"
#include "tests/fakes/tree_maker.h"

namespace kiln {
namespace {

constexpr const char* kAarch64 =
    "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\n"
    "magic 7f454c460201010000000000000000000200b700\n"
    "mask ffffffffffffff00fffffffffffffffffeffffff\n";

// The first bytes of an ELF file.
std::string elf(int bits, bool big, unsigned machine) {
  std::string head(64, '\0');
  head.replace(0, 4, "\177ELF");
  head[4] = static_cast<char>(bits == 64 ? 2 : 1);
  head[5] = static_cast<char>(big ? 2 : 1);
  head[6] = 1;
  head[big ? 17 : 16] = 2;
  head[big ? 19 : 18] = static_cast<char>(machine & 0xffU);
  head[big ? 18 : 19] = static_cast<char>(machine >> 8U);
  return head;
}

TEST(BinfmtTest, AHandlerIsReadAsTheKernelShowsIt) {
  const auto handler = parse_binfmt("qemu-aarch64", kAarch64);
  ASSERT_TRUE(handler);
  EXPECT_EQ(handler->interpreter, "/usr/bin/qemu-aarch64-static");
  EXPECT_EQ(handler->flags, "OCF");
  EXPECT_EQ(handler->magic.size(), 20U);
  EXPECT_TRUE(matches(*handler, elf(64, false, 183)));
  EXPECT_FALSE(matches(*handler, elf(64, false, 62)));
  EXPECT_FALSE(matches(*handler, "short"));
}

TEST(BinfmtTest, WithoutAMaskEveryBitCounts) {
  const auto handler =
      parse_binfmt("x", "enabled\ninterpreter /i\nflags: \noffset 1\nmagic 4142\n");
  ASSERT_TRUE(handler);
  EXPECT_TRUE(matches(*handler, "-AB"));
  EXPECT_FALSE(matches(*handler, "AB-"));
}

TEST(BinfmtTest, WhatIsDisabledOrForExtensionsIsNoHandler) {
  EXPECT_FALSE(parse_binfmt("x", "disabled\ninterpreter /i\noffset 0\nmagic 41\n"));
  EXPECT_FALSE(parse_binfmt("x", "enabled\ninterpreter /i\nflags: \nextension .exe\n"));
  EXPECT_FALSE(parse_binfmt("x", "enabled\nmagic 4\n"));
  EXPECT_FALSE(parse_binfmt("x", ""));
}

TEST(ElfTest, TheHeaderNamesTheArchitecture) {
  EXPECT_EQ(elf_architecture(elf(64, false, 62)), "amd64");
  EXPECT_EQ(elf_architecture(elf(32, false, 3)), "386");
  EXPECT_EQ(elf_architecture(elf(32, false, 40)), "arm");
  EXPECT_EQ(elf_architecture(elf(64, true, 22)), "s390x");
  EXPECT_EQ(elf_architecture(elf(64, true, 21)), "ppc64");
  EXPECT_EQ(elf_architecture(elf(64, false, 21)), "ppc64le");
  EXPECT_EQ(elf_architecture(elf(64, false, 258)), "loong64");
  EXPECT_EQ(elf_architecture(elf(64, false, 9999)), std::nullopt);
  EXPECT_EQ(elf_architecture("#!/bin/sh\n"), std::nullopt);
}

class CheckProgramTest : public testing::Test {
 protected:
  // An architecture without a handler on this machine; "" if there is none such.
  static std::string foreign_head() {
    for (const unsigned machine : {258U, 243U}) {
      std::string head = elf(64, false, machine);
      const auto handlers = binfmt_handlers();
      if (!handlers) return "";
      bool handled = false;
      for (const BinfmtHandler& handler : *handlers) handled = handled || matches(handler, head);
      if (!handled && !runs_natively(*elf_architecture(head), Platform::host().architecture))
        return head;
    }
    return "";
  }
  void SetUp() override {
    foreign_ = foreign_head();
    if (foreign_.empty())
      GTEST_SKIP() << "every architecture is emulated here, or nothing is known";
    tree_.dir("bin");
    tree_.dir("opt");
    tree_.file("bin/foreign", foreign_, 0755);
    tree_.file("opt/foreign", foreign_, 0755);
    tree_.symlink("bin/link", "/bin/foreign");
    tree_.file("bin/script", "#! /bin/link -e\n", 0755);
    tree_.file("bin/data", foreign_, 0644);
    tree_.file("bin/text", "echo\n", 0755);
  }
  std::string check(const std::string& program, std::vector<std::string> mounts = {}) {
    const Root root = fake::must(Root::open(directory_.path()));
    const Status status = check_program(root, {program, "/opt", "/none:/bin", std::move(mounts)});
    return status ? "passes" : status.error().message();
  }
  TempDir directory_ = fake::must(TempDir::create("/tmp", "kiln-foreign-"));
  fake::TreeMaker tree_{directory_.path()};
  std::string foreign_;
};

TEST_F(CheckProgramTest, AForeignProgramIsNamedHoweverItIsReached) {
  for (const char* program : {"/bin/foreign", "foreign", "./foreign", "link", "script"})
    EXPECT_THAT(check(program), testing::HasSubstr("no emulator is registered")) << program;
}

TEST_F(CheckProgramTest, WhatIsInDoubtIsLeftToTheRuntime) {
  for (const char* program : {"data", "text", "absent", "/bin", "/none/x"})
    EXPECT_EQ(check(program), "passes") << program;
}

TEST_F(CheckProgramTest, WhatAMountCoversIsNotTheTrees) {
  EXPECT_EQ(check("/bin/foreign", {"/bin"}), "passes");
  EXPECT_NE(check("/opt/foreign", {"/bin"}), "passes");
}

}  // namespace
}  // namespace kiln
