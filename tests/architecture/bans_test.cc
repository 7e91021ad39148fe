// What may be written nowhere, or only in some folders.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/architecture/source_tree.h"

namespace kiln {
namespace {

struct Ban {
  enum class Kind : uint8_t { kText, kCall };
  Kind kind;
  std::string text;  // kCall: a function's name; calls of members of that name are no violation
  std::string rule;
  Names allowed;  // folders or files
};
const std::vector<Ban> kBans = {
    {Ban::Kind::kCall, "system", "no shell for our own work: spawn argv with base/process.h", {}},
    {Ban::Kind::kCall, "popen", "no shell for our own work: spawn argv with base/process.h", {}},
    {Ban::Kind::kCall, "getenv", "the environment is read in cmd/ alone", {"cmd", "tests"}},
    {Ban::Kind::kCall, "secure_getenv", "the environment is read in cmd/ alone", {"cmd"}},
    {Ban::Kind::kCall, "setenv", "the environment of the process is not ours to change", {"tests"}},
    {Ban::Kind::kCall,
     "unsetenv",
     "the environment of the process is not ours to change",
     {"tests"}},
    {Ban::Kind::kCall, "putenv", "the environment of the process is not ours to change", {}},
    {Ban::Kind::kText, "catch (...)", "catch what can be thrown, by type", {}},
    {Ban::Kind::kText, "std::filesystem", "untrusted paths go through base/fs.h", {"cmd", "tests"}},
    {Ban::Kind::kText, ".detach()", "threads are joined by their owner", {}},
    {Ban::Kind::kText, "archive_read_support_filter_all", "filters are listed (SAFETY.md 1.2)", {}},
    {Ban::Kind::kText, "archive_read_support_format_all", "formats are listed (SAFETY.md 1.2)", {}},
    {Ban::Kind::kText,
     "archive_write_disk",
     "archives are unpacked through Root (SAFETY.md 1.2)",
     {}},
};

// Whether what stands before a name and its "(" makes that a call of the global function: not a
// member ("Clock::system(", ".system(") and not a declaration ("Clock& system(").
bool is_global_call(std::string_view before) {
  if (before.ends_with("::")) {
    before.remove_suffix(2);
    if (before.ends_with("std")) return true;
    return before.empty() || !(is_word(before.back()) || before.back() == '>');
  }
  if (!before.empty() && (is_word(before.back()) || before.back() == '.' || before.ends_with("->")))
    return false;
  const size_t last = before.find_last_not_of(' ');
  if (last == std::string_view::npos) return true;
  before = before.substr(0, last + 1);
  if (before.ends_with("return")) return true;
  const bool reference = before.ends_with('&') && !before.ends_with("&&");
  return !is_word(before.back()) && before.back() != '*' && before.back() != '>' && !reference;
}

bool has_call(std::string_view line, const std::string& name) {
  for (size_t at = line.find(name); at != std::string_view::npos; at = line.find(name, at + 1))
    if (line.substr(at + name.size()).starts_with('(') && is_global_call(line.substr(0, at)))
      return true;
  return false;
}

bool breaks(std::string_view line, const Ban& ban) {
  return ban.kind == Ban::Kind::kCall ? has_call(line, ban.text)
                                      : line.find(ban.text) != std::string_view::npos;
}

TEST(BansTest, WhatIsBannedIsWrittenNowhere) {
  Violations violations;
  for (const SourceFile& file : sources())
    for (const Ban& ban : kBans) {
      if (is_below_any(file.path, ban.allowed)) continue;
      for (size_t i = 0; i < file.code.size(); ++i)
        if (breaks(file.code[i], ban)) violations.add(file.path, i + 1, ban.rule);
    }
  violations.expect_none();
}

TEST(BansTest, TheScannerTellsCallsFromMembersAndDeclarations) {
  for (const char* line : {"system(x)", "  return system(x);", "if (!::system(x))",
                           "n = std::system(x)", "a && system(x)"})
    EXPECT_TRUE(has_call(line, "system")) << line;
  for (const char* line :
       {"Clock::system()", "c.system()", "c->system()", "static const Clock& system();",
        "int system(int);", "file_system(x)", "system_clock", "kiln::fs::system()"})
    EXPECT_FALSE(has_call(line, "system")) << line;
}

}  // namespace
}  // namespace kiln
