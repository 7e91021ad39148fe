// The renderers that write a log: plain, quiet, rawjson. Times are scripted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "base/json.h"
#include "base/strings.h"
#include "cmd/render.h"
#include "scripted_events.h"

namespace kiln::cmd {
namespace {

using testing::HasSubstr;

// A stream that is a string.
class TextFile {
 public:
  TextFile() : file_(::open_memstream(&text_, &size_)) {}
  ~TextFile() {
    (void)std::fclose(file_);
    std::free(text_);
  }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;
  std::FILE* file() { return file_; }
  std::string text() {
    (void)std::fflush(file_);
    return {text_, size_};
  }

 private:
  char* text_ = nullptr;
  size_t size_ = 0;
  std::FILE* file_;
};

class PlainTest : public testing::Test {
 protected:
  void see(int ms, const Event& event) {
    now_ = at_ms(ms);
    renderer_->on_event(event);
  }
  TextFile out_;
  SteadyTime now_ = at_ms(0);
  std::unique_ptr<Renderer> renderer_ = make_plain_renderer(out_.file(), [this] { return now_; });
};

TEST_F(PlainTest, WritesOneLineAFactNumberedByStep) {
  see(0, added("never started"));
  see(0, started("[1/2] FROM base"));
  see(10, ended("[1/2] FROM base"));
  see(10, started("[2/2] RUN x"));
  see(241, output("[2/2] RUN x", "hello\nwor"));
  see(300, output("[2/2] RUN x", "ld\n"));
  see(1500, ended("[2/2] RUN x"));
  EXPECT_EQ(out_.text(),
            "#1 [1/2] FROM base\n"
            "#1 DONE 0.0s\n\n"
            "#2 [2/2] RUN x\n"
            "#2 0.231 hello\n"
            "#2 0.290 world\n"
            "#2 DONE 1.5s\n\n");
}

TEST_F(PlainTest, AStepFromCacheIsOneLineWithItsName) {
  see(0, ended("other"));  // known by its end alone
  see(0, started("cached"));
  see(0, ended("cached", VertexOutcome::kCached));
  EXPECT_THAT(out_.text(), HasSubstr("#2 cached\n#2 CACHED\n\n"));
}

TEST_F(PlainTest, WhyAStepWasNotCachedIsALineEach) {
  see(0, started("RUN x"));
  see(0, CacheMiss{vertex("RUN x"), {"first", "second\x01"}});
  EXPECT_EQ(out_.text(), "#1 RUN x\n#1 not cached: first\n#1 not cached: second\\x01\n");
}

TEST_F(PlainTest, AStepThatWasSolvedBeforeIsNotToldAgain) {
  see(0, started("fetch"));
  see(10, ended("fetch"));
  const std::string told = out_.text();
  see(20, ended("fetch", VertexOutcome::kCached));
  EXPECT_EQ(out_.text(), told);
}

TEST_F(PlainTest, StepsThatAlternateAreSetApart) {
  see(0, started("a"));
  see(0, started("b"));
  see(0, output("a", "1\n"));
  see(0, output("b", "2\n"));
  see(0, output("b", "3\n"));
  EXPECT_EQ(out_.text(), "#1 a\n#2 b\n\n#1 0.000 1\n\n#2 0.000 2\n#2 0.000 3\n");
}

TEST_F(PlainTest, ALineWithoutItsEndIsShownWhenTheStepEnds) {
  see(0, started("a"));
  see(0, output("a", "out", 1));
  see(0, output("a", "err", 2));
  EXPECT_EQ(out_.text(), "#1 a\n");
  see(0, ended("a", VertexOutcome::kFailed));
  EXPECT_EQ(out_.text(), "#1 a\n#1 0.000 out\n#1 0.000 err\n#1 ERROR: it broke\n\n");
}

TEST_F(PlainTest, TransfersAreToldOnceTheyAreComplete) {
  see(0, started("a"));
  see(0, transfer("a", "layer", 1000, 4000));
  see(0, transfer("a", "layer", 4000, 4000, true));
  EXPECT_EQ(out_.text(), "#1 a\n#1 layer 4kB / 4kB done\n");
}

TEST_F(PlainTest, ProgressBarsAndColorsBecomeText) {
  see(0, started("a"));
  see(0, output("a", "10%\r50%\r100%\r\n\033[32mok\033[0m\n\033cbad\n"));
  EXPECT_EQ(out_.text(), "#1 a\n#1 0.000 100%\n#1 0.000 ok\n#1 0.000 \\x1bcbad\n");
}

TEST_F(PlainTest, AnEndlessLineIsBroken) {
  see(0, started("a"));
  for (int i = 0; i < 3; ++i) see(0, output("a", std::string(40U << 10U, 'x')));
  EXPECT_GT(out_.text().size(), 60U << 10U);
}

TEST_F(PlainTest, NothingIsWrittenAfterTheEnd) {
  renderer_->finish(true);
  see(0, started("late"));
  EXPECT_EQ(out_.text(), "");
}

TEST(QuietTest, ShowsOnlyTheOutputOfWhatFailed) {
  TextFile out;
  const auto renderer = make_quiet_renderer(out.file());
  for (const char* name : {"good", "bad"}) {
    renderer->on_event(started(name));
    renderer->on_event(output(name, std::string(name) + " output\nlast"));
  }
  renderer->on_event(ended("good"));
  EXPECT_EQ(out.text(), "");
  renderer->on_event(ended("bad", VertexOutcome::kFailed));
  EXPECT_EQ(out.text(), "------\n > bad:\nbad output\nlast\n------\n");
}

TEST(QuietTest, OfALongOutputTheEndIsShown) {
  Step step;
  step.name = "a";
  for (int i = 0; i < 50; ++i) step.last_lines.push_back(std::to_string(i));
  const std::string block = failed_step_block(step);
  EXPECT_THAT(block, HasSubstr("(10 earlier lines)\n10\n"));
  EXPECT_THAT(block, HasSubstr("\n49\n------\n"));
}

class FixedClock : public Clock {
 public:
  std::chrono::sys_time<std::chrono::nanoseconds> now() const override {
    return std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::seconds(1'700'000'000));
  }
};

class RawJsonTest : public testing::Test {
 protected:
  std::vector<Json> lines() {
    std::vector<Json> parsed;
    for (const std::string& line : split(out_.text(), '\n')) {
      if (line.empty()) continue;
      auto json = Json::parse(line);
      EXPECT_TRUE(json) << line;
      parsed.push_back(json.value_or(Json()));
    }
    return parsed;
  }
  static constexpr const char* kNow = "2023-11-14T22:13:20Z";
  TextFile out_;
  FixedClock clock_;
  std::unique_ptr<Renderer> renderer_ = make_rawjson_renderer(out_.file(), clock_);
};

TEST_F(RawJsonTest, VertexesStartAndCompleteAsInBuildKit) {
  renderer_->on_event(VertexAdded{vertex("a"), "a", {vertex("in")}});
  renderer_->on_event(started("a"));
  renderer_->on_event(ended("a", VertexOutcome::kCached));
  const auto all = lines();
  ASSERT_EQ(all.size(), 3U);
  const Json added = all[0]["vertexes"].elements().at(0);
  EXPECT_EQ(added["digest"].as_string(), vertex("a").to_string());
  EXPECT_EQ(added["inputs"].strings(), std::vector<std::string>{vertex("in").to_string()});
  EXPECT_EQ(added.find("started"), nullptr);
  const Json done = all[2]["vertexes"].elements().at(0);
  EXPECT_EQ(done["name"].as_string(), "a");
  EXPECT_EQ(done["started"].as_string(), kNow);
  EXPECT_EQ(done["completed"].as_string(), kNow);
  EXPECT_TRUE(done["cached"].as_bool());
}

TEST_F(RawJsonTest, AFailedVertexHasItsError) {
  renderer_->on_event(ended("a", VertexOutcome::kFailed));
  renderer_->on_event(ended("b", VertexOutcome::kCancelled));
  const auto all = lines();
  EXPECT_EQ(all[0]["vertexes"].elements().at(0)["error"].as_string(), "it broke");
  EXPECT_EQ(all[1]["vertexes"].elements().at(0)["error"].as_string(), "context canceled");
}

TEST_F(RawJsonTest, LogsAreTheRawBytesInBase64) {
  renderer_->on_event(output("a", "\033[1m\xff\n", 2));
  const Json log = lines()[0]["logs"].elements().at(0);
  EXPECT_EQ(log["data"].as_string(), "G1sxbf8K");
  EXPECT_EQ(log["stream"].dump(), "2");
  EXPECT_EQ(log["timestamp"].as_string(), kNow);
}

TEST_F(RawJsonTest, TransfersAreStatuses) {
  renderer_->on_event(transfer("a", "layer", 1, 2));
  renderer_->on_event(transfer("a", "layer", 2, 2, true));
  const auto all = lines();
  EXPECT_EQ(all[0]["statuses"].elements().at(0)["current"].dump(), "1");
  EXPECT_EQ(all[0]["statuses"].elements().at(0).find("completed"), nullptr);
  EXPECT_EQ(all[1]["statuses"].elements().at(0)["completed"].as_string(), kNow);
}

TEST_F(RawJsonTest, CacheMissesAreAListOfTheirOwn) {
  renderer_->on_event(CacheMiss{vertex("a"), {"one", "two"}});
  const Json miss = lines()[0]["cacheMisses"].elements().at(0);
  EXPECT_EQ(miss["vertex"].as_string(), vertex("a").to_string());
  EXPECT_EQ(miss["reasons"].strings(), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(miss["timestamp"].as_string(), kNow);
}

TEST(MakeRendererTest, AutoDependsOnTheTerminal) {
  const auto first_line = [](RenderOptions options) {
    TextFile out;
    const auto renderer = make_renderer(options, out.file());
    renderer->on_event(started("a"));
    renderer->finish(true);
    return out.text().substr(0, 4);
  };
  EXPECT_EQ(first_line({"auto", false}), "#1 a");
  EXPECT_EQ(first_line({"plain", true}), "#1 a");
  EXPECT_EQ(first_line({"auto", true}), "\033[?2");
  EXPECT_EQ(first_line({"tty", false}), "\033[?2");
  EXPECT_EQ(first_line({"quiet", true}), "");
  EXPECT_EQ(first_line({"none", true}), "");
  EXPECT_EQ(first_line({"rawjson", true}), "{\"ve");
}

}  // namespace
}  // namespace kiln::cmd
