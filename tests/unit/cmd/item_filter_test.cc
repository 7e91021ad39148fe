#include "cmd/item_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::cmd {
namespace {

using std::chrono::hours;

class ItemFilterTest : public testing::Test {
 protected:
  void SetUp() override {
    StoreItem image;
    image.id = "cafe";
    image.type = "image";
    image.description = "app:1";
    image.last_used = now_ - hours(1);
    image.labels = Json::parse(R"({"kind":"sample"})").value();
    image.reclaimable = false;
    image.shared = true;
    StoreItem step;
    step.id = "7";
    step.type = "regular";
    step.description = "[2/3] RUN make -j";
    step.parents = {"6"};
    step.last_used = now_ - hours(48);
    StoreItem mount;
    mount.id = "beef-1";
    mount.type = "exec.cachemount";
    mount.description = "cache mount /root/.cache";
    mount.last_used = now_ - hours(30);
    mount.changes = mount.in_use = true;
    items_ = {image, step, mount};
  }
  // The IDs of what is accepted, or the error.
  std::string accepted(const std::vector<std::string>& filters) const {
    const Result<ItemFilter> filter = ItemFilter::parse(filters, now_);
    if (!filter) return filter.error().to_string();
    std::string ids;
    for (const StoreItem& item : items_)
      if (filter->accepts(item)) ids += (ids.empty() ? "" : " ") + item.id;
    return ids;
  }
  const StoreItem::Time now_{hours(1'000'000)};
  std::vector<StoreItem> items_;
};

TEST_F(ItemFilterTest, AcceptsWhatAllTermsHoldFor) {
  const struct {
    std::vector<std::string> filters;
    std::string expected;
  } kCases[] = {
      {{}, "cafe 7 beef-1"},
      {{"id=7"}, "7"},
      {{"id==7"}, "7"},
      {{"id!=7"}, "cafe beef-1"},
      {{"id~=^[a-f]+"}, "cafe beef-1"},
      {{"type=regular"}, "7"},
      {{"type~=cache|image", "inuse=false"}, "cafe"},
      {{"description~=make"}, "7"},
      {{"parents=6"}, "7"},
      {{"shared"}, "cafe"},
      {{"private=true"}, "7 beef-1"},
      {{"mutable"}, "beef-1"},
      {{"immutable=1"}, "cafe 7"},
      {{"inuse!=true"}, "cafe 7"},
      {{"reclaimable=0"}, "cafe"},
      {{"label=kind"}, "cafe"},
      {{"label=kind=sample"}, "cafe"},
      {{"label=kind=other"}, ""},
      {{"label!=kind=other"}, "cafe"},
      {{"until=24h"}, "7 beef-1"},
      {{"until=1984-01-30T00:00:00Z"}, ""},
  };
  for (const auto& c : kCases)
    EXPECT_EQ(accepted(c.filters), c.expected) << testing::PrintToString(c.filters);
}

TEST_F(ItemFilterTest, SaysWhatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"typ=image", "--filter: unknown key \"typ\" (did you mean type?)"},
      {"type", "--filter \"type\" is not KEY=VALUE"},
      {"id=", "--filter \"id=\" is not KEY=VALUE"},
      {"shared=maybe", "--filter \"shared=maybe\": expected true or false"},
      {"until=soon",
       "--filter until=\"soon\": expected a duration (24h) or a time (2026-01-31T12:00:00Z)"},
      {"until~=1h", "--filter \"until~=1h\": until takes = only"},
  };
  for (const auto& [filter, error] : cases) EXPECT_EQ(accepted({filter}), error);
  EXPECT_THAT(accepted({"id~=("}), testing::HasSubstr("--filter \"id~=(\": "));
}

}  // namespace
}  // namespace kiln::cmd
