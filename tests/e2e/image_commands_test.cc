// What the image commands print: compared with what Docker prints, times left out.
#include <gmock/gmock.h>

#include "tests/e2e/kiln_runner.h"

namespace kiln::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;

class ImageCommandsTest : public KilnTest {
 protected:
  void SetUp() override {
    KilnTest::SetUp();
    if (IsSkipped()) return;
    const std::string c = context("c", {{"Dockerfile",
                                         "FROM base\n"
                                         "LABEL kind=sample a.b=c\n"
                                         "COPY Dockerfile /d\n"
                                         "CMD [\"sh\", \"-c\", \"id\"]\n"}});
    // Older than the base that it is made of, whose time is its import's.
    (void)build(c, {"-t", "app:1", "-t", "team/app:2", "--build-arg", "SOURCE_DATE_EPOCH=1000"});
  }
  std::string out(const std::vector<std::string>& args) const {
    const Output output = kiln(args);
    EXPECT_EQ(output.exit_code, 0) << output.err;
    return output.out;
  }
};

TEST_F(ImageCommandsTest, ImagesAreListedFilteredAndFormatted) {
  EXPECT_EQ(out({"images", "--format", "{{.Repository}}:{{.Tag}}"}),
            "base:latest\napp:1\nteam/app:2\n");  // the newest first
  EXPECT_EQ(out({"images", "-q", "app:1"}), out({"images", "-q", "*/app"}));
  EXPECT_EQ(out({"images", "--format", "{{.Tag}} {{.CreatedAt}} {{.Containers}}", "ap*"}),
            "1 1970-01-01 00:16:40 +0000 UTC N/A\n");
  EXPECT_THAT(out({"images", "--format", "table {{.Repository}}\\t{{.ID}}", "app"}),
              MatchesRegex("REPOSITORY   IMAGE ID\napp          [0-9a-f]{12}\n"));
  const std::vector<std::pair<std::string, std::string>> filters = {
      {"label=kind", "1\n2\n"},   {"label=kind=other", ""},
      {"reference=*/app", "2\n"}, {"reference=app:*", "1\n"},
      {"before=base", "1\n2\n"},  {"since=app:1", "latest\n"},
      {"dangling=true", ""},      {"dangling=false", "latest\n1\n2\n"}};
  for (const auto& [filter, expected] : filters)
    EXPECT_EQ(out({"images", "--filter", filter, "--format", "{{.Tag}}"}), expected) << filter;
  const Output bad = kiln({"images", "--filter", "labels=x"});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.err, HasSubstr("unknown key \"labels\" (did you mean label?)"));
}

TEST_F(ImageCommandsTest, ADamagedImageHidesNoOther) {
  const std::string id = out({"inspect", "-f", "{{.Id}}", "app:1"}).substr(7, 64);
  ASSERT_TRUE(remove_tree(root() + "/content/blobs/sha256/" + id));
  const Output listed = kiln({"images", "--format", "{{.Repository}} {{.CreatedSince}}"});
  EXPECT_EQ(listed.exit_code, 0);
  EXPECT_THAT(listed.out, MatchesRegex("base .* ago\napp N/A\nteam/app N/A\n"));
  EXPECT_THAT(listed.err, HasSubstr("WARNING: image app:1 is damaged: "));
}

TEST_F(ImageCommandsTest, InspectShowsWhatIsThereAndSaysWhatIsNot) {
  EXPECT_EQ(
      out({"inspect", "-f", "{{json .Config.Cmd}} {{index .Config.Labels \"a.b\"}}", "app:1"}),
      "[\"sh\",\"-c\",\"id\"] c\n");
  EXPECT_EQ(
      out({"inspect", "-f", "{{range .RepoTags}}{{.}};{{end}}{{len .RootFS.Layers}}", "app:1"}),
      "app:1;team/app:2;2\n");
  const Output half = kiln({"inspect", "app:1", "appp:1"});
  EXPECT_EQ(half.exit_code, 1);
  EXPECT_THAT(half.out, AllOf(HasSubstr("\"RepoTags\""), HasSubstr("\"Os\": \"linux\"")));
  EXPECT_THAT(half.err, HasSubstr("no such image: appp:1 (did you mean app:1?)"));
  EXPECT_THAT(kiln({"inspect", "-f", "{{.Sise}}", "app:1"}).err,
              HasSubstr("no field .Sise (did you mean Size?)"));
}

TEST_F(ImageCommandsTest, HistoryIsNewestFirst) {
  const std::string history = out({"history", "--no-trunc", "--format", "{{.CreatedBy}}", "app:1"});
  EXPECT_THAT(history, MatchesRegex("CMD .*\nCOPY Dockerfile /d .*\nLABEL .*\n(.|\n)*"));
  EXPECT_THAT(out({"history", "app:1"}), HasSubstr("IMAGE          CREATED"));
  EXPECT_THAT(out({"history", "-H=false", "app:1"}),
              MatchesRegex("IMAGE +CREATED AT +CREATED BY (.|\n)*1970-01-01T00:16:40Z(.|\n)*"));
  EXPECT_THAT(out({"history", "-q", "app:1"}), MatchesRegex("[0-9a-f]{12}\n(<missing>\n)+"));
}

TEST_F(ImageCommandsTest, WhatIsNoArchiveOrHalfOfOneIsRefused) {
  (void)out({"save", "-o", path("whole.tar"), "base"});
  const std::string whole = read_file(path("whole.tar"), 1U << 30U).value();
  (void)context("bad", {{"half.tar", whole.substr(0, whole.size() / 2)}, {"text.tar", "no\n"}});
  for (const char* file : {"bad/half.tar", "bad/text.tar"}) {
    for (const char* command : {"import", "load"}) {
      std::vector<std::string> args{command, path(file)};
      if (args[0] == "load") args.insert(args.begin() + 1, "-i");
      const Output refused = kiln(args);
      EXPECT_EQ(refused.exit_code, 1) << command << " " << file;
      EXPECT_THAT(refused.err, HasSubstr(", or damaged: tar: ")) << command << " " << file;
    }
  }
  EXPECT_EQ(out({"images", "-q", "-f", "dangling=true"}), "");
}

TEST_F(ImageCommandsTest, SeveralAreSavedAndRemovedAndEachFailureIsTold) {
  (void)out({"tag", "app:1", "app:3"});
  EXPECT_EQ(kiln({"tag", "app:1", "app@sha256:" + std::string(64, '0')}).exit_code, 2);
  // A name without a tag is all of its tags, and an image is in an archive once.
  (void)out({"save", "-o", path("all.tar"), "app", "app:1", "base"});
  const Output listed = command({"tar", "-xOf", path("all.tar"), "manifest.json"});
  const Json manifest = Json::parse(listed.out).value_or(Json());
  ASSERT_EQ(manifest.elements().size(), 2U) << listed.out;
  EXPECT_EQ(manifest.elements()[0]["RepoTags"].dump(), R"(["app:1","app:3"])");
  EXPECT_THAT(kiln({"push", "ap:1"}).err, HasSubstr("(did you mean app:1?)"));

  const Output removed = kiln({"rmi", "nobody", "app:1", "bse", "app:3"});
  EXPECT_EQ(removed.exit_code, 1);
  EXPECT_EQ(removed.out, "Untagged: app:1\nUntagged: app:3\n");
  EXPECT_THAT(removed.err, AllOf(HasSubstr("no such image: nobody"),
                                 HasSubstr("no such image: bse (did you mean base:latest?)")));
  const std::string id = out({"inspect", "-f", "{{.Id}}", "team/app:2"});
  EXPECT_EQ(out({"rmi", "team/app:2"}), "Untagged: team/app:2\nDeleted: " + id);
  EXPECT_EQ(out({"images", "--format", "{{.Repository}}"}), "base\n");
}

}  // namespace
}  // namespace kiln::e2e
