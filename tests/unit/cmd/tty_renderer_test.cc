// The live view on a real pseudo-terminal.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>

#include "base/fd.h"
#include "cmd/render.h"
#include "screen.h"
#include "scripted_events.h"

namespace kiln::cmd {
namespace {

using testing::HasSubstr;

class TtyRendererTest : public testing::Test {
 protected:
  void SetUp() override {
    int master = -1, slave = -1;
    if (::openpty(&master, &slave, nullptr, nullptr, nullptr) != 0)
      GTEST_SKIP() << "no pseudo-terminals here";
    master_ = Fd(master);
    terminal_ = ::fdopen(slave, "w");
    ASSERT_NE(terminal_, nullptr);
    resize(60, 20);
  }
  void TearDown() override {
    renderer_.reset();
    if (terminal_ != nullptr) (void)std::fclose(terminal_);
  }
  void resize(unsigned short columns, unsigned short rows) {
    struct winsize size {};
    size.ws_col = columns;
    size.ws_row = rows;
    ASSERT_EQ(::ioctl(master_.get(), TIOCSWINSZ, &size), 0);
  }
  void start() { renderer_ = make_tty_renderer(terminal_, 6, Color::kNo); }
  // Reads frames until the terminal was sent `text`; false after a minute without.
  bool saw(const std::string& text) {
    while (sent_.find(text) == std::string::npos) {
      struct pollfd waiting {
        master_.get(), POLLIN, 0
      };
      if (::poll(&waiting, 1, 60'000) != 1) return false;
      std::array<char, 4096> buffer{};
      const ssize_t size = ::read(master_.get(), buffer.data(), buffer.size());
      if (size <= 0) return false;
      sent_.append(buffer.data(), static_cast<size_t>(size));
    }
    return true;
  }
  Fd master_;
  std::FILE* terminal_ = nullptr;
  std::unique_ptr<Renderer> renderer_;
  std::string sent_;
};

TEST_F(TtyRendererTest, RedrawsInPlaceAndEndsWithTheCursorShown) {
  start();
  renderer_->on_event(started("step one"));
  ASSERT_TRUE(saw("step one"));
  renderer_->on_event(output("step one", "a line\n"));
  ASSERT_TRUE(saw("a line"));
  renderer_->on_event(ended("step one"));
  renderer_->finish(true);
  ASSERT_TRUE(saw("\033[?25h"));
  Screen screen(60, 20);
  screen.write(sent_);
  ASSERT_EQ(screen.rows().size(), 2U);
  EXPECT_THAT(screen.rows()[0], HasSubstr("(1/1) FINISHED"));
  EXPECT_THAT(screen.rows()[1], HasSubstr("=> step one"));
  EXPECT_TRUE(screen.shows_cursor());
  EXPECT_EQ(screen.wraps(), 0U);
}

TEST_F(TtyRendererTest, FollowsTheTerminalsSize) {
  start();
  renderer_->on_event(started("RUN " + std::string(100, 'x')));
  ASSERT_TRUE(saw(std::string(40, 'x')));
  resize(30, 5);
  sent_.clear();
  ASSERT_TRUE(saw(std::string(10, 'x')));
  while (sent_.find(std::string(30, 'x')) != std::string::npos) {  // a frame of before
    sent_.clear();
    ASSERT_TRUE(saw("xx"));
  }
  EXPECT_EQ(sent_.find(std::string(30, 'x')), std::string::npos);
}

TEST_F(TtyRendererTest, TheOutputOfAFailedStepStaysBelowTheView) {
  start();
  renderer_->on_event(started("bad"));
  renderer_->on_event(output("bad", "why it failed\n"));
  renderer_->on_event(ended("bad", VertexOutcome::kFailed));
  renderer_->finish(false);
  ASSERT_TRUE(saw("------\r\n > bad:\r\nwhy it failed\r\n------\r\n"));
  EXPECT_THAT(sent_, HasSubstr("FAILED"));
}

// As when the command ends early: a hidden cursor would outlive it.
TEST_F(TtyRendererTest, DestroyingItShowsTheCursorToo) {
  start();
  renderer_->on_event(started("step"));
  ASSERT_TRUE(saw("\033[?25l"));
  renderer_.reset();
  EXPECT_TRUE(saw("\033[?25h"));
}

TEST_F(TtyRendererTest, ATerminalThatGoesAwayDoesNotHurt) {
  start();
  master_.reset();
  renderer_->on_event(started("step"));
  renderer_->finish(true);
}

}  // namespace
}  // namespace kiln::cmd
