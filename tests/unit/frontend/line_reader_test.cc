#include "frontend/line_reader.h"

#include <gtest/gtest.h>

namespace kiln::dockerfile {
namespace {

std::vector<std::string> texts(std::string_view text) {
  LineReader reader(text);
  std::vector<std::string> out;
  while (auto line = reader.next()) out.push_back(line->text);
  return out;
}
using Texts = std::vector<std::string>;

TEST(LineReaderTest, DropsTheByteOrderMark) {
  EXPECT_EQ(texts("\xEF\xBB\xBF"
                  "FROM a"),
            Texts{"FROM a"});
}

TEST(LineReaderTest, AcceptsWindowsLineEnds) {
  EXPECT_EQ(texts("FROM a\r\nRUN b \\\r\n c\r\n"), (Texts{"FROM a", "RUN b  c"}));
}

TEST(LineReaderTest, StripsIndentationOfTheFirstLineOnly) {
  EXPECT_EQ(texts("  \tRUN a \\\n   b\\\n\tc"), Texts{"RUN a    b\tc"});
}

TEST(LineReaderTest, SkipsCommentsAndBlankLinesBetweenInstructions) {
  EXPECT_EQ(texts("# x\n\n  # y\nFROM a\n\n#z\nRUN b"), (Texts{"FROM a", "RUN b"}));
}

TEST(LineReaderTest, DropsCommentsInsideAContinuedInstruction) {
  EXPECT_EQ(texts("RUN a \\\n# c1\n   # c2 \\\n b"), Texts{"RUN a  b"});
}

TEST(LineReaderTest, KeepsAHashThatDoesNotStartALine) {
  EXPECT_EQ(texts("RUN a # b"), Texts{"RUN a # b"});
}

TEST(LineReaderTest, NotesBlankContinuationLines) {
  LineReader reader("RUN a \\\n\n  \n b\nRUN c");
  const auto first = reader.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->text, "RUN a  b");
  EXPECT_TRUE(first->empty_continuation);
  const auto second = reader.next();
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->empty_continuation);
}

TEST(LineReaderTest, AllowsBlanksAfterTheContinuation) {
  EXPECT_EQ(texts("RUN a \\ \t\nb"), Texts{"RUN a b"});
}

TEST(LineReaderTest, EndsAContinuationAtTheEndOfTheFile) {
  EXPECT_EQ(texts("RUN a \\"), Texts{"RUN a "});
  EXPECT_EQ(texts("RUN a \\\n"), Texts{"RUN a "});
}

TEST(LineReaderTest, TakesTwoEscapesAtTheEndAsText) {
  EXPECT_EQ(texts("RUN a \\\\\nRUN b"), (Texts{"RUN a \\\\", "RUN b"}));
}

TEST(LineReaderTest, TakesThreeEscapesAtTheEndAsTextAsUpstreamDoes) {
  EXPECT_EQ(texts("RUN a \\\\\\\nRUN b"), (Texts{"RUN a \\\\\\", "RUN b"}));
}

TEST(LineReaderTest, JoinsALineOfNothingButTheEscape) {
  EXPECT_EQ(texts("\\\nRUN a \\\n\\\n b"), Texts{"RUN a  b"});
}

TEST(LineReaderTest, CountsLinesOfContinuedInstructions) {
  LineReader reader("FROM a\n\nRUN b \\\n# c\n d\nRUN e");
  reader.next();
  const auto run = reader.next();
  ASSERT_TRUE(run);
  EXPECT_EQ(run->start, 3);
  EXPECT_EQ(run->end, 5);
  EXPECT_EQ(reader.next()->start, 6);
}

TEST(LineReaderTest, TakesTheEscapeCharacterFromTheDirective) {
  LineReader reader("# escape=`\nRUN a `\n b\\\nRUN c");
  EXPECT_EQ(reader.next()->text, "RUN a  b\\");
  EXPECT_EQ(reader.escape(), '`');
  EXPECT_TRUE(reader.problems().empty());
}

TEST(LineReaderTest, ReadsDirectivesWhateverTheirCaseAndSpacing) {
  LineReader reader("#  EsCaPe  =  `  \nRUN a");
  reader.next();
  EXPECT_EQ(reader.escape(), '`');
}

TEST(LineReaderTest, StopsLookingForDirectivesAtTheFirstOtherLine) {
  for (const std::string before : {"# note\n", "\n", "# other=x\n", "FROM a\n", "#\n"}) {
    const std::string text = before + "# escape=`\nRUN a";
    LineReader late{std::string_view(text)};
    while (late.next()) {
    }
    EXPECT_EQ(late.escape(), '\\') << before;
  }
}

TEST(LineReaderTest, ReportsRepeatedAndInvalidDirectives) {
  LineReader reader("# escape=x\n# syntax=a\n# syntax=b\nRUN a");
  EXPECT_TRUE(reader.next());
  ASSERT_EQ(reader.problems().size(), 2U);
  EXPECT_EQ(reader.problems()[0].message, "invalid escape token 'x' does not match ` or \\");
  EXPECT_EQ(reader.problems()[0].line, 1);
  EXPECT_EQ(reader.problems()[1].message, "only one syntax parser directive can be used");
  EXPECT_EQ(reader.problems()[1].line, 3);
}

TEST(LineReaderTest, AttachesTheCommentsDirectlyAbove) {
  LineReader reader(
      "# syntax=x\n# first\n#  second\n# check=skip=all\nFROM a\n# lost\n\n# kept\nRUN b");
  const auto from = reader.next();
  EXPECT_EQ(from->comments.lines, (Texts{"first", "second"}));
  EXPECT_EQ(from->comments.check, "skip=all");
  EXPECT_EQ(from->comments.check_line, 4);
  const auto run = reader.next();
  EXPECT_EQ(run->comments.lines, Texts{"kept"});
  EXPECT_FALSE(run->comments.check);
}

TEST(LineReaderTest, AcceptsALineAtTheLimitAndRefusesOneAboveIt) {
  const std::string longest = "RUN " + std::string(65531, 'x');
  EXPECT_EQ(texts(longest + "\nRUN b").size(), 2U);
  const std::string too_long = "FROM a\n" + longest + "x\nRUN b";
  LineReader reader(too_long);
  EXPECT_TRUE(reader.next());
  EXPECT_FALSE(reader.next());
  ASSERT_EQ(reader.problems().size(), 1U);
  EXPECT_EQ(reader.problems()[0].line, 2);
  EXPECT_EQ(reader.problems()[0].message, "dockerfile line greater than max allowed size of 65535");
}

TEST(LineReaderTest, KeepsHeredocBodyVerbatim) {
  LineReader reader("RUN <<A\n# no comment\n\n  x \\\n\ty\r\nA\nRUN b");
  reader.next();
  Heredoc heredoc;
  heredoc.name = "A";
  EXPECT_TRUE(reader.read_body(heredoc));
  EXPECT_EQ(heredoc.body, "# no comment\n\n  x \\\n\ty\r\n");
  EXPECT_EQ(reader.next()->text, "RUN b");
}

TEST(LineReaderTest, FindsAnIndentedTerminatorOnlyIfTabsAreChomped) {
  LineReader strict("RUN <<A\n\tA\nA\n");
  strict.next();
  Heredoc plain;
  plain.name = "A";
  EXPECT_TRUE(strict.read_body(plain));
  EXPECT_EQ(plain.body, "\tA\n");

  LineReader lenient("RUN <<-A\n\tx\n\t\tA\n");
  lenient.next();
  Heredoc chomped;
  chomped.name = "A";
  chomped.chomp = true;
  EXPECT_TRUE(lenient.read_body(chomped));
  EXPECT_EQ(chomped.body, "\tx\n");
  EXPECT_EQ(chomped.content(), "x\n");
}

TEST(LineReaderTest, SaysWhenAHeredocNeverEnds) {
  LineReader reader("RUN <<A\nx\n A\nAA\n");
  reader.next();
  Heredoc heredoc;
  heredoc.name = "A";
  EXPECT_FALSE(reader.read_body(heredoc));
}

TEST(DirectivesTest, DetectsTheFrontendInEveryFormatThatMayNameIt) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"# syntax=docker/dockerfile:1 x\nFROM a", "docker/dockerfile:1 x"},
      {"\xEF\xBB\xBF#syntax = a\n", "a"},
      {"#!/usr/bin/env x\n# syntax=b\n", "b"},
      {"# escape=`\n# Syntax=c\r\n", "c"},
      {"// syntax=d\n", "d"},
      {"{ \"x\": 1, \"syntax\": \"e\" }", "e"}};
  for (const auto& [text, expected] : cases) {
    const auto found = detect_syntax(text);
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(found->value, expected);
  }
  for (const std::string text :
       {"FROM a\n# syntax=x", "\n# syntax=x", "# a\n# syntax=x", "{ \"syntax\": 1 }", "[]",
        "# syntax=", "# syntax=a\n# syntax=b"}) {
    const auto found = detect_syntax(text);
    EXPECT_EQ(found.has_value(), text.find("a\n# syntax=b") != std::string::npos) << text;
  }
}

}  // namespace
}  // namespace kiln::dockerfile
