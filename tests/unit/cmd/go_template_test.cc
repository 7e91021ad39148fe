#include "cmd/go_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::cmd {
namespace {

const char* const kData = R"({"Id":"sha256:abc","Tags":["a:1","b:2"],"None":null,"Size":42,
  "Config":{"Labels":{"k":"v","a.b":"c"},"Cmd":["sh","-c"],"User":""},
  "low":{"mediaType":"m","os.version":"9","diff_ids":[1]}})";

std::string rendered(const std::string& text) {
  const auto parsed = GoTemplate::parse(text);
  if (!parsed) return "PARSE " + parsed.error().message();
  const auto done = parsed->render(Json::parse(kData).value());
  return done ? *done : "RENDER " + done.error().message();
}

TEST(GoTemplateTest, RendersAsGoDoes) {
  struct Row {
    const char *text, *expected;
  };
  for (const Row& row : std::vector<Row>{
           {"plain", "plain"},
           {"{{.Id}}", "sha256:abc"},
           {"<{{ .Size }}>", "<42>"},
           {"{{.Tags}} {{.Config.Labels}} {{.None}}", "[a:1 b:2] map[a.b:c k:v] <nil>"},
           {"{{.Low.MediaType}} {{.Low.OSVersion}} {{.Low.DiffIDs}}", "m 9 [1]"},
           {"{{json .Tags}}", R"(["a:1","b:2"])"},
           {"{{.Tags | json}}", R"(["a:1","b:2"])"},
           {"{{json .}}", "{\"Id\":"},
           {"{{join .Tags \", \"}}", "a:1, b:2"},
           {"{{range .Tags}}[{{.}}]{{end}}", "[a:1][b:2]"},
           {"{{range .None}}x{{else}}empty{{end}}", "empty"},
           {"{{range .Config.Labels}}{{.}};{{end}}", "c;v;"},
           {"{{index .Config.Labels \"a.b\"}}-{{index .Config.Labels \"no\"}}-", "c--"},
           {"{{index .Tags 1}}", "b:2"},
           {"{{if .Config.User}}user{{else}}root{{end}}", "root"},
           {"{{with .Config}}{{.Cmd}} {{$.Size}}{{end}}", "[sh -c] 42"},
           {"{{upper (index .Tags 0)}} {{len .Tags}}", "A:1 2"},
           {"{{(index .Tags 0) | printf \"%s=%q\" .Id}}", "sha256:abc=\"a:1\""},
           {"{{if and .Size (eq .Id \"x\" \"sha256:abc\")}}yes{{end}}", "yes"},
           {"a {{- .Size -}} b{{/* nothing */}}", "a42b"},
           {"{{println .Size `raw`}}", "42 raw\n"},
           {"{{title \"ab cd\"}}{{not .None}}{{ne 1 2}}", "Ab Cdtruetrue"},
       }) {
    EXPECT_THAT(rendered(row.text), testing::StartsWith(row.expected)) << row.text;
  }
}

TEST(GoTemplateTest, SaysWhatIsWrong) {
  struct Row {
    const char *text, *expected;
  };
  for (const Row& row : std::vector<Row>{
           {"{{.Id", "PARSE template: unclosed action"},
           {"{{}}", "PARSE template: missing value"},
           {"{{.Id | }}", "PARSE template: missing value"},
           {"{{range .Tags}}", "PARSE template: there is no {{end}}"},
           {"{{end}}", "PARSE template: unexpected {{end}}"},
           {"{{(.Id}}", "PARSE template: unclosed left paren"},
           {"{{.Id)}}", "PARSE template: unexpected \")\""},
           {"{{\"x}}", "PARSE template: unterminated string"},
           {"{{jsn .Id}}", "PARSE template: function \"jsn\" not defined (did you mean json?)"},
           {"{{$x}}", "PARSE template: undefined variable"},
           {"{{.Sise}}", "RENDER template: there is no field .Sise (did you mean Size?)"},
           {"{{.Id.More}}", "RENDER template: there is no field .More"},
           {"{{join .Tags}}", "RENDER template: wrong number of arguments for join"},
           {"{{index .Tags 7}}", "RENDER template: index out of range"},
           {"{{range .Id}}{{end}}", "RENDER template: range can't iterate"},
           {"{{printf \"%x\" 1}}", "RENDER template: printf knows"},
       }) {
    EXPECT_THAT(rendered(row.text), testing::StartsWith(row.expected)) << row.text;
  }
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "{{if .Id}}";
  EXPECT_THAT(rendered(deep), testing::HasSubstr("nested too deeply"));
}

TEST(GoTemplateTest, KnowsATablesColumns) {
  EXPECT_THAT(GoTemplate::parse("{{.Repository}}:{{upper .Tag}}\t{{.ID}}").value().top_fields(),
              testing::ElementsAre("Repository", "Tag", "ID"));
}

}  // namespace
}  // namespace kiln::cmd
