#include "cmd/terminal_text.h"

#include <gtest/gtest.h>

namespace kiln::cmd {
namespace {

TEST(TerminalTextTest, CountsColumnsNotBytes) {
  EXPECT_EQ(columns_of("abc"), 3U);
  EXPECT_EQ(columns_of("ünï"), 3U);
  EXPECT_EQ(columns_of("漢字"), 4U);
  EXPECT_EQ(columns_of("한글"), 4U);
  EXPECT_EQ(columns_of("🚀"), 2U);
  EXPECT_EQ(columns_of("e\u0301"), 1U);  // with a combining acute accent
  EXPECT_EQ(columns_of("\xff\xfe"), 2U);
}

TEST(TerminalTextTest, CutsBetweenCharacters) {
  EXPECT_EQ(cut_to_columns("abc", 2), "ab");
  EXPECT_EQ(cut_to_columns("abc", 9), "abc");
  EXPECT_EQ(cut_to_columns("üü", 1), "ü");
  EXPECT_EQ(cut_to_columns("漢字", 3), "漢");
  EXPECT_EQ(cut_to_columns("漢字", 1), "");
  EXPECT_EQ(cut_to_columns("e\u0301x", 1), "e\u0301");
}

TEST(TerminalTextTest, TabsReachTheNextStop) {
  EXPECT_EQ(with_tabs_as_spaces("a\tb"), "a       b");
  EXPECT_EQ(with_tabs_as_spaces("\t\tb"), std::string(16, ' ') + "b");
  EXPECT_EQ(with_tabs_as_spaces("12345678\tb"), "12345678        b");
  EXPECT_EQ(with_tabs_as_spaces("漢\tb"), "漢      b");
}

TEST(TerminalTextTest, CompleteControlSequencesGo) {
  EXPECT_EQ(without_control_sequences("\033[1;31mred\033[0m \033[K!"), "red !");
  EXPECT_EQ(without_control_sequences("\033]0;title\atext"), "text");
  EXPECT_EQ(without_control_sequences("\033]8;;http://x\033\\link"), "link");
  EXPECT_EQ(without_control_sequences("plain"), "plain");
}

TEST(TerminalTextTest, WhatIsIncompleteOrElseStays) {
  for (const char* text : {"\033", "\033[", "\033[31", "\033]0;title", "\033c", "a\033[\nb"})
    EXPECT_EQ(without_control_sequences(text), text);
}

}  // namespace
}  // namespace kiln::cmd
