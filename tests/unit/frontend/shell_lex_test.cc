#include "frontend/shell_lex.h"

#include <gtest/gtest.h>

#include "frontend/environment.h"
#include "frontend/shell_pattern.h"
#include "table.h"

namespace kiln::dockerfile {
namespace {

Environment table_environment() {
  return Environment::from_strings({"V=value", "V2=second", "E=", "P=/usr/local/bin",
                                    "F=archive.tar.gz", "GZ=.gz", "D=a.b.c.d", "S=one two", "N=123",
                                    "STAR=a*b", "R=aXbXc", "_u=under", "UNI=a\xC3\xA9\xED\x95\x9C",
                                    "\xC3\x9C=uml"});
}

std::string outcome(const TableRow& row, const EnvLookup& env) {
  const std::string& kind = row.cells[0];
  ExpandOptions options;
  options.escape = row.cells[1].front();
  if (kind == "literal") options.quotes = Quotes::kLiteral;
  if (kind == "words") options.split = Split::kYes;
  const Result<Expansion> expansion = expand(row.cells[2], env, options);
  if (!expansion) {
    const std::string wrapping = "failed to process " + quote(row.cells[2]) + ": ";
    const std::string& message = expansion.error().message();
    EXPECT_EQ(message.substr(0, wrapping.size()), wrapping);
    return "error: " + message.substr(std::min(wrapping.size(), message.size()));
  }
  return kind == "words" ? join(expansion->words, "|") : expansion->text;
}

TEST(ShellLexTest, ExpandsEveryRowOfTheTable) {
  const Environment environment = table_environment();
  const std::vector<TableRow> rows = read_table("frontend/shell_lex.tsv");
  ASSERT_GE(rows.size(), 150U);
  for (const TableRow& row : rows) {
    ASSERT_EQ(row.cells.size(), 4U) << "line " << row.line;
    const std::string expected = (row.cells[0] == "error" ? "error: " : "") + row.cells[3];
    EXPECT_EQ(outcome(row, environment.lookup()), expected)
        << "line " << row.line << ": " << row.cells[2];
  }
}

TEST(ShellLexTest, ReportsWhatWasUsedAndWhatWasUndefined) {
  const Environment environment = table_environment();
  const auto expansion = expand("$V ${V2} $U ${X:-d} ${Y+a} ${Z%x} $U", environment.lookup());
  ASSERT_TRUE(expansion);
  EXPECT_EQ(expansion->used, (std::vector<std::string>{"V", "V2"}));
  EXPECT_EQ(expansion->undefined, (std::vector<std::string>{"U", "Z"}));
}

TEST(ShellLexTest, KeepsReferencesToUnsetVariablesIfAsked) {
  const Environment environment = table_environment();
  ExpandOptions options;
  options.unset = Unset::kKeep;
  const auto expansion =
      expand("$U ${U} ${U:-d} ${U-d} ${U#p} ${U%%p} ${U/a/b} $V", environment.lookup(), options);
  ASSERT_TRUE(expansion);
  EXPECT_EQ(expansion->text, "$U ${U} ${U:-d} ${U-d} ${U#p} ${U%%p} ${U/a/b} value");
}

TEST(ShellLexTest, KeepsQuotesAndEscapesIfAsked) {
  const ExpandOptions options{'\\', Quotes::kKeep, Escapes::kKeep, Unset::kKeep, Split::kYes};
  const auto expansion = expand(R"(a 'b c' "d\" e" f\ g)", nullptr, options);
  ASSERT_TRUE(expansion);
  EXPECT_EQ(expansion->words, (std::vector<std::string>{"a", "'b c'", R"("d\" e")", R"(f\ g)"}));
}

TEST(ShellLexTest, RefusesNestingThatWouldExhaustTheStack) {
  std::string word;
  for (int i = 0; i < 50'000; ++i) word += "${U:-";
  const auto expansion = expand(word, nullptr);
  ASSERT_FALSE(expansion);
  EXPECT_EQ(expansion.error().code(), Code::kInvalidArgument);
}

TEST(ShellPatternTest, TakesTimeLinearInTheValueWhateverTheStars) {
  const std::string value(20'000, 'a');
  const auto stripped = strip_affix(value, "*a*a*a*a*a*a*a*a*b", Affix::kPrefix, Greed::kLongest);
  ASSERT_TRUE(stripped);
  EXPECT_EQ(*stripped, value);
}

TEST(ShellPatternTest, TreatsInvalidUtf8AsCharactersOfOneByte) {
  const auto stripped = strip_affix("\xFF\xFE!", "??", Affix::kPrefix, Greed::kShortest);
  ASSERT_TRUE(stripped);
  EXPECT_EQ(*stripped, "!");
}

TEST(EnvironmentTest, ReplacesInPlaceAndAppendsWhatIsNew) {
  Environment environment = Environment::from_strings({"A=1", "B=2", "A=3", "C"});
  environment.set("D", "4");
  environment.set("B", "5");
  EXPECT_EQ(environment.to_strings(), (std::vector<std::string>{"A=3", "B=5", "C=", "D=4"}));
  environment.erase("A");
  EXPECT_EQ(environment.get("A"), std::nullopt);
  EXPECT_EQ(environment.get("D"), "4");
}

}  // namespace
}  // namespace kiln::dockerfile
