#include "solver/ops/mode_change.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace kiln {
namespace {

struct ModeCase {
  const char* text;
  uint32_t before, after;
};

TEST(ModeChangeTest, ChangesBitsAsChmodDoes) {
  const ModeCase cases[] = {
      {"0644", S_IFREG | 0777, S_IFREG | 0644},
      {"755", S_IFDIR | 0, S_IFDIR | 0755},
      {"4755", S_IFREG | 0, S_IFREG | 04755},
      {"0", S_IFREG | 0777, S_IFREG | 0},
      {"+x", S_IFREG | 0644, S_IFREG | 0755},
      {"a-w", S_IFREG | 0666, S_IFREG | 0444},
      {"u=rwX,go=rX", S_IFREG | 0600, S_IFREG | 0644},
      {"u=rwX,go=rX", S_IFREG | 0700, S_IFREG | 0755},
      {"u=rwX,go=rX", S_IFDIR | 0600, S_IFDIR | 0755},
      {"g=u", S_IFREG | 0640, S_IFREG | 0660},
      {"o=g", S_IFREG | 0640, S_IFREG | 0644},
      {"u+s", S_IFREG | 0755, S_IFREG | 04755},
      {"g+s", S_IFDIR | 0755, S_IFDIR | 02755},
      {"+t", S_IFDIR | 0777, S_IFDIR | 01777},
      {"u=", S_IFREG | 0777, S_IFREG | 0077},
      {"go-rwx,u+x", S_IFREG | 0644, S_IFREG | 0700},
      {"u+r-x", S_IFREG | 0300, S_IFREG | 0600},
  };
  for (const ModeCase& one : cases) {
    const auto change = ModeChange::parse(one.text);
    ASSERT_TRUE(change) << one.text;
    EXPECT_EQ(change->apply(one.before), one.after) << one.text;
  }
}

TEST(ModeChangeTest, RefusesWhatIsNoMode) {
  for (const char* text : {"64a", "8", "10000", "77777777777777", "", "u", "z+x", "u~w", "u+q,"})
    EXPECT_FALSE(ModeChange::parse(text)) << text;
}

TEST(ModeChangeTest, OnlyOctalModesAreForCreatedDirectories) {
  EXPECT_EQ(ModeChange::parse("0700")->octal(), 0700U);
  EXPECT_EQ(ModeChange::parse("u+x")->octal(), std::nullopt);
}

}  // namespace
}  // namespace kiln
