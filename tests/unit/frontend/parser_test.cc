#include "frontend/parser.h"

#include <gtest/gtest.h>

#include <chrono>

namespace kiln::dockerfile {
namespace {

using Words = std::vector<std::string>;

Instruction only(std::string_view text) {
  const Parsed parsed = parse(text, "Dockerfile");
  EXPECT_TRUE(parsed.errors.empty()) << text << ": " << parsed.errors.front().to_string();
  EXPECT_EQ(parsed.ast.instructions.size(), 1U) << text;
  return parsed.ast.instructions.empty() ? Instruction() : parsed.ast.instructions.front();
}

std::string first_error(std::string_view text) {
  const Parsed parsed = parse(text, "Dockerfile");
  return parsed.errors.empty() ? "" : parsed.errors.front().to_string();
}

struct ArgsCase {
  std::string text;
  Words args;
  bool json = false;
};

TEST(ParserTest, SplitsTheArgumentsOfEveryInstruction) {
  const std::vector<ArgsCase> cases = {{"FROM a AS b", {"a", "AS", "b"}},
                                       {"FROM", {}},
                                       {"EXPOSE 80 \"8 1\"", {"80", "\"8", "1\""}},
                                       {"RUN echo  'a  b' | c", {"echo  'a  b' | c"}},
                                       {"RUN", {}},
                                       {"RUN   ", {}},
                                       {"CMD -x", {"-x"}},
                                       {"CMD -", {"-"}},
                                       {"CMD x --y", {"x --y"}},
                                       {"RUN \"a b\"", {"\"a b\""}},
                                       {"WORKDIR /a b", {"/a b"}},
                                       {"MAINTAINER A B <a@b>", {"A B <a@b>"}},
                                       {"USER  u:g ", {"u:g"}},
                                       {"STOPSIGNAL 9", {"9"}},
                                       {"COPY a  b\tc", {"a", "b", "c"}},
                                       {"ADD \"a b\" c", {"\"a", "b\"", "c"}},
                                       {"VOLUME /a /b", {"/a", "/b"}},
                                       {"ARG a=1 'b'=\"c d\" e", {"a=1", "'b'=\"c d\"", "e"}},
                                       {"ARG -a --b", {"-a", "--b"}},
                                       {"ONBUILD RUN a  b", {"RUN a  b"}},
                                       {"HEALTHCHECK NONE", {"NONE"}},
                                       {"HEALTHCHECK CMD a  --b", {"CMD", "a  --b"}},
                                       {"HEALTHCHECK --interval=1s CMD a", {"CMD", "a"}},
                                       {"UNKNOWN a  b", {"a  b"}}};
  for (const ArgsCase& c : cases) EXPECT_EQ(only(c.text).args, c.args) << c.text;
}

TEST(ParserTest, TakesAnArrayOfStringsAsJsonAndAnythingElseAsText) {
  const std::vector<ArgsCase> cases = {
      {R"(RUN ["a", "b c"])", {"a", "b c"}, true},
      {R"(RUN [ ])", {}, true},
      {R"(RUN [])", {}, true},
      {"CMD [\t\"a\" ,\"b\"] ", {"a", "b"}, true},
      {R"(CMD ["\"\\\/\b\f\n\r\t"])", {"\"\\/\b\f\n\r\t"}, true},
      {R"(CMD ["\u00e9\u20AC\ud83d\ude00"])", {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"}, true},
      {R"(CMD ["\ud83d", "\ude00x"])", {"\xEF\xBF\xBD", "\xEF\xBF\xBDx"}, true},
      {R"(COPY ["a b", "c"])", {"a b", "c"}, true},
      {R"(VOLUME ["/a"])", {"/a"}, true},
      {R"(SHELL ["x"])", {"x"}, true},
      {R"(HEALTHCHECK CMD ["a"])", {"CMD", "a"}, true},
      {R"(ENTRYPOINT ['a'])", {"['a']"}, false},
      {R"(RUN ["a",])", {R"(["a",])"}, false},
      {R"(RUN ["a"] x)", {R"(["a"] x)"}, false},
      {R"(RUN ["a" "b"])", {R"(["a" "b"])"}, false},
      {R"(RUN ["\x"])", {R"(["\x"])"}, false},
      {R"(RUN ["a)", {R"(["a)"}, false},
      {R"(RUN [ -f x ] && echo "y")", {R"([ -f x ] && echo "y")"}, false},
      {R"(RUN [ "$a" = "b" ])", {R"([ "$a" = "b" ])"}, false},
      {R"(COPY [ab]*.c /d)", {"[ab]*.c", "/d"}, false},
      {R"(WORKDIR ["a"])", {R"(["a"])"}, false}};
  for (const ArgsCase& c : cases) {
    const Instruction instruction = only(c.text);
    EXPECT_EQ(instruction.args, c.args) << c.text;
    EXPECT_EQ(instruction.json, c.json) << c.text;
  }
}

TEST(ParserTest, RefusesAnArrayThatHoldsMoreThanStrings) {
  for (const std::string text : {"RUN [\"a\", 1]", "CMD [null]", "COPY [[\"a\"], \"b\"]",
                                 "RUN [true]", "HEALTHCHECK CMD [{}]", "ONBUILD RUN [1]"}) {
    EXPECT_EQ(
        first_error(text),
        "Dockerfile:1: dockerfile parse error on line 1: when using JSON array syntax, arrays must "
        "be comprised of strings only")
        << text;
  }
}

TEST(ParserTest, SplitsEnvAndLabelIntoKeyValueAndSeparator) {
  const std::vector<ArgsCase> cases = {
      {"ENV a=b", {"a", "b", "="}},
      {"ENV a= b=\"c d\" e=f\\ g", {"a", "", "=", "b", "\"c d\"", "=", "e", "f\\ g", "="}},
      {"ENV a=b=c", {"a", "b=c", "="}},
      {"ENV a  b c=d  e", {"a", "b c=d  e", ""}},
      {"ENV a \"b", {"a", "\"b", ""}},
      {"LABEL 'a b'=c", {"'a b'", "c", "="}},
      {"ENV =a", {"", "a", "="}},
      {"ENV", {}},
      {"ENV a='b\"c' d", {}},
      {"ENV -a=b", {"-a", "b", "="}},
      {"ENV -- --a=b", {"--a", "b", "="}},
      {"ENV a=\"b \\\" c\"", {"a", "\"b \\\" c\"", "="}},
      {"ENV a=\"b c d", {"a", "\"b c d", "="}},
      {"ENV a=x\"b c", {"a", "x\"b c", "="}},
      {"ENV a=\\\"b", {"a", "\\\"b", "="}},
      {"ENV a='b\\' c=d", {"a", "'b\\'", "=", "c", "d", "="}}};
  for (const ArgsCase& c : cases) {
    if (c.text == "ENV a='b\"c' d") {
      EXPECT_NE(first_error(c.text).find(
                    "Syntax error - can't find = in \"d\". Must be of the form: name=value"),
                std::string::npos);
      continue;
    }
    EXPECT_EQ(only(c.text).args, c.args) << c.text;
  }
  EXPECT_NE(first_error("ENV a").find("ENV must have two arguments"), std::string::npos);
  EXPECT_NE(first_error("LABEL a").find("LABEL must have two arguments"), std::string::npos);
}

TEST(ParserTest, UsesTheEscapeDirectiveInWordsButNotInFlags) {
  const Parsed parsed =
      parse("# escape=`\nENV a=b` c d=e\\ f=g\nRUN --x=a\\ b c:\\d\\", "Dockerfile");
  ASSERT_TRUE(parsed.errors.empty());
  EXPECT_EQ(parsed.ast.instructions[0].args,
            (Words{"a", "b` c", "=", "d", "e\\", "=", "f", "g", "="}));
  EXPECT_EQ(parsed.ast.instructions[1].flags[0].raw, "--x=a b");
  EXPECT_EQ(parsed.ast.instructions[1].args, Words{"c:\\d\\"});
}

TEST(ParserTest, TakesFlagsWithQuotesAndStopsAtTheFirstOtherWord) {
  const Instruction run = only(R"(RUN --a --b= --c=d=e --"f g"='h i' --j=k\ l -x --y)");
  Words raw;
  for (const Flag& flag : run.flags) raw.push_back(flag.raw);
  EXPECT_EQ(raw, (Words{"--a", "--b=", "--c=d=e", "--f g=h i", "--j=k l"}));
  EXPECT_EQ(run.flags[0].value, std::nullopt);
  EXPECT_EQ(run.flags[1].value, "");
  EXPECT_EQ(run.flags[2].name, "c");
  EXPECT_EQ(run.flags[2].value, "d=e");
  EXPECT_EQ(run.args, Words{"-x --y"});
}

TEST(ParserTest, EndsFlagsAtTwoDashes) {
  const Instruction run = only("RUN --a -- --b");
  EXPECT_EQ(run.flags.size(), 1U);
  EXPECT_EQ(run.args, Words{"--b"});
  EXPECT_EQ(only("COPY -- --a b").args, (Words{"--a", "b"}));
  EXPECT_EQ(only("HEALTHCHECK -- CMD x").args, (Words{"CMD", "x"}));
  EXPECT_EQ(only("WORKDIR -- --a").args, Words{"--a"});
  EXPECT_EQ(only("FROM -- --a").args, Words{"--a"});
}

TEST(ParserTest, TakesTheRestOfTheLineIntoAFlagWhoseQuoteNeverCloses) {
  const Instruction run = only("RUN --mount=\"type=bind x y");
  ASSERT_EQ(run.flags.size(), 1U);
  EXPECT_EQ(run.flags[0].raw, "--mount=type=bind x y");
  EXPECT_TRUE(run.args.empty());
}

TEST(ParserTest, ReadsHeredocsWhereTheyAreAllowed) {
  struct Case {
    std::string text;
    size_t heredocs;
  };
  const std::vector<Case> cases = {{"RUN <<A\nx\nA\n", 1},
                                   {"run cat <<A >f 3<<'B'\nx\nA\ny\nB\n", 2},
                                   {"COPY <<A <<B /d\nA\nB\n", 2},
                                   {"ADD <<A /d\nA\n", 1},
                                   {"ONBUILD COPY <<A /d\nx\nA\n", 1},
                                   {"CMD <<A", 0},
                                   {"RUN [\"<<A\"]", 0},
                                   {"ONBUILD CMD <<A", 0},
                                   {"RUN a<<A", 0},
                                   {"RUN << A", 0},
                                   {"RUN <<<A", 0},
                                   {"RUN \"<<A\"", 0},
                                   {"RUN it's <<A", 0},
                                   {"LABEL a=<<A", 0}};
  for (const Case& c : cases) EXPECT_EQ(only(c.text).heredocs.size(), c.heredocs) << c.text;
}

TEST(ParserTest, KnowsWhatAHeredocWordSays) {
  const Instruction run = only("RUN 3<<-\"A B\" <<\\C <<D$x\nA B\nC\nD$x\n");
  ASSERT_EQ(run.heredocs.size(), 3U);
  EXPECT_EQ(run.heredocs[0].name, "A B");
  EXPECT_EQ(run.heredocs[0].fd, 3);
  EXPECT_TRUE(run.heredocs[0].chomp);
  EXPECT_FALSE(run.heredocs[0].expand);
  EXPECT_EQ(run.heredocs[1].name, "C");
  EXPECT_FALSE(run.heredocs[1].expand);
  EXPECT_EQ(run.heredocs[2].name, "D$x");
  EXPECT_TRUE(run.heredocs[2].expand);
  EXPECT_EQ(run.end, 4);
}

TEST(ParserTest, EscapesHeredocWordsWithABackslashWhateverTheDirective) {
  const Parsed parsed = parse("# escape=`\nRUN <<\\A\nx\nA\n", "Dockerfile");
  ASSERT_TRUE(parsed.errors.empty());
  EXPECT_EQ(parsed.ast.instructions[0].heredocs[0].name, "A");
  EXPECT_FALSE(parsed.ast.instructions[0].heredocs[0].expand);
}

TEST(ParserTest, PlacesAnUnterminatedHeredoc) {
  const Parsed parsed = parse("FROM a\nRUN <<A\nx\n", "Dockerfile");
  ASSERT_EQ(parsed.errors.size(), 1U);
  EXPECT_EQ(parsed.errors[0].message(), "dockerfile parse error on line 2: unterminated heredoc");
  EXPECT_EQ(parsed.errors[0].where(), (SourceRange{"Dockerfile", 2, 3}));
}

TEST(ParserTest, ReportsSeveralErrorsInOrderOfLines) {
  const Parsed parsed = parse("# escape=x\nENV a\nRUN ok\nLABEL b\nCMD [1]", "D");
  std::vector<int> lines;
  for (const Error& error : parsed.errors) lines.push_back(error.where()->first_line);
  EXPECT_EQ(lines, (std::vector<int>{1, 2, 4, 5}));
  EXPECT_EQ(parsed.ast.instructions.size(), 4U);
  const Error all = combine_errors(parsed.errors);
  EXPECT_EQ(all.where()->first_line, 1);
  ASSERT_EQ(all.others().size(), 3U);
  EXPECT_NE(all.others()[1].message().find("line 4: LABEL must have two arguments"),
            std::string::npos);
}

TEST(ParserTest, RefusesFilesWithoutInstructions) {
  EXPECT_EQ(first_error(""), "the Dockerfile cannot be empty");
  EXPECT_EQ(first_error("# only a comment\n\n"), "file with no instructions");
}

TEST(ParserTest, KeepsTheLogicalLineAsText) {
  const Instruction run = only("  Run --x=\"y\" a \\\n  b  ");
  EXPECT_EQ(run.text, "Run --x=\"y\" a   b  ");
  EXPECT_EQ(run.name, "run");
  EXPECT_EQ(run.original_name, "Run");
}

TEST(ParserTest, KeepsBytesThatAreNotUtf8) {
  EXPECT_EQ(only("RUN \xFF\xC3 \xE2\x82\xAC").args, Words{"\xFF\xC3 \xE2\x82\xAC"});
  EXPECT_EQ(only("ENV a=\"\xFF b\"").args, (Words{"a", "\"\xFF b\"", "="}));
  EXPECT_EQ(only(std::string("RUN a\0b", 7)).args, Words{std::string("a\0b", 3)});
}

TEST(ParserTest, ReadsFragmentsAtAFixedPlace) {
  const Parsed parsed = parse_fragment("ENV a\n", '\\', {"base", 7, 7});
  ASSERT_EQ(parsed.errors.size(), 1U);
  EXPECT_EQ(parsed.errors[0].to_string(),
            "base:7: dockerfile parse error on line 7: ENV must have two arguments");
  const Parsed nowhere = parse_fragment("ENV a\n", '\\', {});
  EXPECT_EQ(nowhere.errors[0].to_string(), "ENV must have two arguments");
}

TEST(ParserTest, StaysQuickOnTextsMadeToBeSlow) {
  const std::string wide(60'000, '[');
  std::string quotes;
  for (int i = 0; i < 20'000; ++i) quotes += "\"b";
  std::string array = "[";
  for (int i = 0; i < 12'000; ++i) array += "\"a\",";
  std::string nested;
  for (int i = 0; i < 7'000; ++i) nested += "ONBUILD ";
  const std::string text = "RUN " + wide + "\nENV a=" + quotes + "\"\nRUN " + array + "\nRUN --x" +
                           quotes + "\n" + nested + "\n";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(parse(text, "D").ast.instructions.size(), 5U);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

}  // namespace
}  // namespace kiln::dockerfile
