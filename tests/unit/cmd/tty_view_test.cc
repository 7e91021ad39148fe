#include "cmd/tty_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmd/terminal_text.h"
#include "screen.h"
#include "scripted_events.h"

namespace kiln::cmd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class TtyViewTest : public testing::Test {
 protected:
  void see(int ms, const Event& event) { view_.on_event(event, at_ms(ms)); }
  std::vector<std::string> live(int ms, TerminalSize size = {40, 24}) {
    return view_.live(size, at_ms(ms));
  }
  TtyView view_{3, Color::kNo, at_ms(0)};
};

TEST_F(TtyViewTest, ShowsAHeaderAndARowForEachStep) {
  see(0, added("a"));
  see(0, added("b"));
  see(0, added("c"));
  see(100, started("a"));
  see(200, ended("a", VertexOutcome::kCached));
  see(1000, started("b"));
  EXPECT_THAT(live(3500),
              ElementsAre("[+] Building 3.5s (1/3)", " => CACHED a                       0.1s",
                          " => b                              2.5s"));
  EXPECT_TRUE(view_.is_running());
}

TEST_F(TtyViewTest, ShowsTheLastLinesOfRunningStepsAndOfWhatIsNotEnded) {
  see(0, started("a"));
  see(0, output("a", "one\ntwo\nthree\n"));
  see(0, output("a", "10%\r20%"));
  EXPECT_THAT(live(0), ElementsAre(HasSubstr("[+]"), HasSubstr("=> a"), " => => # two",
                                   " => => # three", " => => # 20%"));
  see(500, ended("a"));
  EXPECT_THAT(live(900), ElementsAre(HasSubstr("[+] Building 0.9s (1/1)"), HasSubstr("0.5s")));
}

TEST_F(TtyViewTest, ShowsTransfersWithBytesUntilTheyAreComplete) {
  see(0, started("a"));
  see(0, transfer("a", "layer", 2048, 4096));
  see(0, transfer("a", "other", 1000, 0));
  EXPECT_THAT(live(0), ElementsAre(HasSubstr("[+]"), HasSubstr("=> a"),
                                   HasSubstr(" => => layer 2.048kB / 4.096kB"),
                                   HasSubstr(" => => other 1kB")));
  see(0, transfer("a", "layer", 4096, 4096, true));
  EXPECT_THAT(live(0), SizeIs(3));
}

TEST_F(TtyViewTest, WhyAStepWasNotCachedStaysBelowIt) {
  see(0, started("a"));
  see(0, CacheMiss{vertex("a"), {"first\nline", "second"}});
  see(500, ended("a"));
  EXPECT_THAT(live(900), ElementsAre(HasSubstr("[+]"), HasSubstr("=> a"),
                                     " => => not cached: first line", " => => not cached: second"));
}

TEST_F(TtyViewTest, NoRowIsWiderThanTheTerminal) {
  see(0, started("RUN " + std::string(300, 'x')));
  see(0, output("RUN " + std::string(300, 'x'),
                std::string(300, 'y') + "\n\tz\n漢字漢字漢字漢字漢字\n"));
  for (const size_t columns : {4, 5, 9, 17, 40, 200})
    for (const std::string& row : live(12345, {columns, 24}))
      EXPECT_LT(columns_of(row), columns) << row;
}

TEST_F(TtyViewTest, WhatDoesNotFitLosesEndedStepsThenOutputThenOldRows) {
  for (int i = 0; i < 10; ++i) {
    see(0, started("ended" + std::to_string(i)));
    see(0, ended("ended" + std::to_string(i)));
  }
  for (const char* name : {"run1", "run2"}) {
    see(0, started(name));
    see(0, output(name, "1\n2\n3\n"));
  }
  const auto shown = [&](size_t rows) {
    std::vector<std::string> names;
    for (const std::string& row : live(0, {40, rows})) {
      const size_t last = row.find_last_not_of(' ', row.find("0.0s") - 1);
      names.push_back(row.starts_with(" => => # ") ? row.substr(9) : row.substr(4, last - 3));
    }
    names.erase(names.begin());
    EXPECT_LT(names.size() + 1, rows);
    return names;
  };
  EXPECT_THAT(shown(30), SizeIs(18));
  EXPECT_THAT(shown(12),
              ElementsAre("ended8", "ended9", "run1", "1", "2", "3", "run2", "1", "2", "3"));
  EXPECT_THAT(shown(9), ElementsAre("ended9", "run1", "2", "3", "run2", "2", "3"));
  EXPECT_THAT(shown(6), ElementsAre("run1", "3", "run2", "3"));
  EXPECT_THAT(shown(4), ElementsAre("run1", "run2"));
  EXPECT_THAT(shown(3), ElementsAre("run2"));
}

TEST_F(TtyViewTest, TheLastFrameShowsEveryStepAndNoOutput) {
  for (int i = 0; i < 50; ++i) see(0, started("s" + std::to_string(i)));
  see(0, output("s0", "text\n"));
  see(0, ended("s0", VertexOutcome::kFailed));
  see(0, ended("s1", VertexOutcome::kCancelled));
  const auto rows = view_.last({40, 10}, at_ms(1000), false);
  ASSERT_THAT(rows, SizeIs(51));
  EXPECT_EQ(rows[0], "[+] Building 1.0s (2/50) FAILED");
  EXPECT_THAT(rows[1], HasSubstr(" => ERROR s0 "));
  EXPECT_THAT(rows[2], HasSubstr(" => CANCELED s1 "));
  EXPECT_THAT(view_.failures(), ElementsAre("------\n > s0:\ntext\n------\n"));
  EXPECT_THAT(view_.last({40, 10}, at_ms(0), true)[0], HasSubstr("FINISHED"));
}

TEST_F(TtyViewTest, NothingOfAStepReachesTheTerminalRaw) {
  see(0, started("a\033[2Jb\nc"));
  see(0, output("a\033[2Jb\nc", "\033[31mred\033[0m \033c \a \x9b\n"));
  for (const std::string& row : live(0))
    EXPECT_EQ(row.find_first_of("\033\a\n"), std::string::npos);
  EXPECT_THAT(live(0).back(), HasSubstr("# red "));
}

TEST(TtyViewColorTest, ColorsAreClosedInEachRow) {
  TtyView view(3, Color::kYes, at_ms(0));
  view.on_event(started("a"), at_ms(0));
  view.on_event(output("a", "text\n"), at_ms(0));
  view.on_event(started("b"), at_ms(0));
  view.on_event(ended("b", VertexOutcome::kFailed), at_ms(0));
  for (const std::string& row : view.live({40, 24}, at_ms(0))) {
    EXPECT_EQ(row.starts_with("\033"), row.ends_with("\033[0m")) << row;
    EXPECT_LT(columns_of(without_control_sequences(row)), 40U);
  }
}

class TtyPainterTest : public testing::Test {
 protected:
  static std::vector<std::string> rows(std::initializer_list<std::string> names) { return names; }
  TtyPainter painter_;
};

TEST_F(TtyPainterTest, AFrameReplacesTheOneBefore) {
  Screen screen(20, 10);
  screen.write("before\n");
  screen.write(painter_.paint(rows({"one", "two", "three"}), {20, 10}));
  EXPECT_FALSE(screen.shows_cursor());
  screen.write(painter_.paint(rows({"1", "2"}), {20, 10}));
  EXPECT_THAT(screen.rows(), ElementsAre("before", "1", "2"));
  screen.write(painter_.paint_last(rows({"done"}), {20, 10}));
  screen.write("after");
  EXPECT_THAT(screen.rows(), ElementsAre("before", "done", "after"));
  EXPECT_TRUE(screen.shows_cursor());
}

TEST_F(TtyPainterTest, AtTheBottomTheScreenScrollsOnce) {
  Screen screen(20, 4);
  screen.write("a\nb\nc\n");
  for (int i = 0; i < 5; ++i) screen.write(painter_.paint(rows({"one", "two"}), {20, 4}));
  EXPECT_THAT(screen.rows(), ElementsAre("c", "one", "two"));
  EXPECT_THAT(screen.scrolled_out(), ElementsAre("a", "b"));
}

// A narrower terminal has wrapped the old rows: going up by their number would leave their heads.
TEST_F(TtyPainterTest, ReachesTheTopOfAFrameThatWasWrappedAnew) {
  const std::string wide(19, 'x');
  (void)painter_.paint(rows({wide, "short", "\033[2m" + wide + "\033[0m"}), {20, 10});
  EXPECT_THAT(painter_.paint(rows({"1"}), {10, 10}), HasSubstr("\033[5A"));
  (void)painter_.paint(rows({wide, wide}), {20, 10});
  EXPECT_THAT(painter_.paint(rows({"1"}), {40, 10}), HasSubstr("\033[2A"));
}

}  // namespace
}  // namespace kiln::cmd
