#include "solver/executor/seccomp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>

#include <map>
#include <set>

#include "solver/executor/seccomp_rules.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

// name → the verdicts it appears with.
std::map<std::string, std::set<SeccompVerdict>> verdicts(std::string_view architecture) {
  std::map<std::string, std::set<SeccompVerdict>> out;
  for (const SeccompRule& rule : default_seccomp_rules(architecture))
    for (const std::string_view name : rule.names) out[std::string(name)].insert(rule.verdict);
  return out;
}

TEST(SeccompTest, WhatBreaksOutOfASandboxIsRefused) {
  const auto all = verdicts("amd64");
  const std::set<SeccompVerdict> refused = {SeccompVerdict::kRefuse};
  for (const char* name :
       {"mount", "umount2", "unshare", "setns", "pivot_root", "move_mount", "open_tree", "fsopen",
        "bpf", "perf_event_open", "kexec_load", "init_module", "open_by_handle_at", "keyctl",
        "add_key", "userfaultfd", "reboot", "swapon", "io_uring_setup"})
    EXPECT_EQ(all.at(name), refused) << name;
}

TEST(SeccompTest, OnlyCallsThatAreFilteredByArgumentAppearTwice) {
  std::map<std::string, int> unconditional;
  for (const SeccompRule& rule : default_seccomp_rules("amd64"))
    for (const std::string_view name : rule.names)
      if (rule.arguments.empty()) ++unconditional[std::string(name)];
  for (const auto& [name, count] : unconditional) EXPECT_EQ(count, 1) << name;
  for (const char* name : {"clone", "socket", "personality", "clone3"})
    EXPECT_FALSE(unconditional.contains(name)) << name;
}

TEST(SeccompTest, Clone3IsUnknownSoThatLibcFallsBackToClone) {
  EXPECT_FALSE(verdicts("amd64").contains("clone3"));
}

TEST(SeccompTest, EachArgumentIsComparedOnceARule) {
  for (const SeccompRule& rule : default_seccomp_rules("amd64")) {
    std::set<unsigned> seen;
    for (const SeccompArgument& argument : rule.arguments)
      EXPECT_TRUE(seen.insert(argument.index).second) << rule.names.front();
  }
}

TEST(SeccompTest, ArchitecturesHaveTheirOwnCalls) {
  EXPECT_TRUE(verdicts("amd64").contains("arch_prctl"));
  EXPECT_FALSE(verdicts("arm64").contains("arch_prctl"));
  EXPECT_TRUE(verdicts("s390x").contains("s390_pci_mmio_read"));
}

TEST(SeccompTest, TheFilterCompilesForThisMachine) {
  const std::string filter = fake::must(compile_seccomp());
  EXPECT_EQ(filter.size() % sizeof(sock_filter), 0U);
  EXPECT_GT(filter.size() / sizeof(sock_filter), 100U);
  EXPECT_LT(filter.size() / sizeof(sock_filter), 4096U) << "BPF_MAXINSNS";
}

}  // namespace
}  // namespace kiln
