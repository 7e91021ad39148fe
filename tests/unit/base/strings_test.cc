#include "base/strings.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::must;
using Strings = std::vector<std::string>;

TEST(StringsTest, ClosestMatchIsTheNearestWithinTwoEdits) {
  const Strings names = {"from", "run", "copy", "workdir"};
  EXPECT_EQ(closest_match("rum", names), "run");
  EXPECT_EQ(closest_match("WORKDI", names), "workdir");
  EXPECT_EQ(closest_match("form", names), "from");
  EXPECT_EQ(closest_match("entrypoint", names), "");
  EXPECT_EQ(closest_match("", names), "");
}

TEST(StringsTest, ClosestMatchIsSilentWhenTheWordIsACandidate) {
  EXPECT_EQ(closest_match("run", Strings{"rum", "run"}), "");
}

TEST(StringsTest, ClosestMatchTakesTheFirstOfEquals) {
  EXPECT_EQ(closest_match("bat", Strings{"cat", "hat"}), "cat");
}

TEST(StringsTest, ClosestMatchPrefersWhatBeginsAlike) {
  EXPECT_EQ(closest_match("RNU", Strings{"env", "run"}), "run");
  EXPECT_EQ(closest_match("RNU", Strings{"run", "env"}), "run");
}

TEST(StringsTest, NothingIsCloseToAnEmptyWord) {
  EXPECT_EQ(closest_match("", Strings{"io", "run"}), "");
}

TEST(StringsTest, DidYouMeanIsReadyToAppend) {
  EXPECT_EQ(did_you_mean("coyp", Strings{"copy"}), " (did you mean copy?)");
  EXPECT_EQ(did_you_mean("zzzzz", Strings{"copy"}), "");
}

TEST(StringsTest, CaseAndSpaceToolsKnowAsciiOnly) {
  EXPECT_EQ(to_lower("AbC\xC3\x84"), "abc\xC3\x84");
  EXPECT_EQ(to_upper("AbC"), "ABC");
  EXPECT_EQ(trim(" \t\r\n a b \v\f"), "a b");
  EXPECT_EQ(trim(" \t "), "");
  EXPECT_TRUE(equal_fold("Content-Type", "content-TYPE"));
  EXPECT_FALSE(equal_fold("a", "ab"));
}

TEST(StringsTest, SplitKeepsEmptyFields) {
  EXPECT_EQ(split("a,,b,", ','), (Strings{"a", "", "b", ""}));
  EXPECT_EQ(split("", ','), Strings{""});
  EXPECT_EQ(join(Strings{"a", "", "b"}, ", "), "a, , b");
  EXPECT_EQ(join(Strings{}, ","), "");
}

TEST(StringsTest, QuoteIsGosStrconvQuote) {
  EXPECT_EQ(quote("plain \xC3\xBC"), "\"plain \xC3\xBC\"");
  EXPECT_EQ(quote("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(quote("\a\b\f\n\r\t\v"), R"("\a\b\f\n\r\t\v")");
  EXPECT_EQ(quote("\x01\x7f"), R"("\x01\x7f")");
  EXPECT_EQ(quote("\xff\xC3"), R"("\xff\xc3")");
  EXPECT_EQ(quote("\xE2\x80\xA8"), R"("\u2028")");
  EXPECT_EQ(quote("\xF3\xA0\x80\x81"), R"("\U000e0001")");
  EXPECT_EQ(quote(std::string_view("\0", 1)), R"("\x00")");
}

TEST(StringsTest, PrintableDefusesTerminalControls) {
  EXPECT_EQ(printable("\x1b[31mred"), "\\x1b[31mred");
  EXPECT_EQ(printable("a\nb\tc"), "a\\x0ab\\x09c");
  EXPECT_EQ(printable("a\nb\tc\r", KeepLines::kYes), "a\nb\tc\\x0d");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m"),
            "\\xc2\\x9b31m")
      << "CSI as an encoded C1 control";
  EXPECT_EQ(printable("\x9b"), "\\x9b") << "CSI as a raw byte";
  EXPECT_EQ(printable("\xC3\xBC \xF0\x9F\x98\x80"), "\xC3\xBC \xF0\x9F\x98\x80");
}

struct SizeCase {
  const char* text;
  uint64_t bytes;
};

TEST(StringsTest, RamBytesAreBinary) {
  const SizeCase cases[] = {{"0", 0},
                            {"512", 512},
                            {"32b", 32},
                            {"64k", 65536},
                            {"64KB", 65536},
                            {"2MiB", 2U << 20U},
                            {"1.5g", 3U << 29U},
                            {"1 g", 1U << 30U},
                            {"1t", 1ULL << 40U},
                            {".5k", 512},
                            {"1p", 1ULL << 50U},
                            {"9007199254740993", 9007199254740993ULL}};
  for (const SizeCase& c : cases) EXPECT_EQ(must(parse_ram_bytes(c.text)), c.bytes) << c.text;
}

TEST(StringsTest, RamBytesRefusesWhatDockerRefuses) {
  for (const char* text :
       {"", "k", "-1", "1x", "1kk", "1kib2", "1 ", "1.2.3", "0x10", "1e3", "99999999p", "1bb"})
    EXPECT_EQ(code_of(parse_ram_bytes(text)), "invalid_argument") << text;
}

TEST(StringsTest, IntegersAreWholeStrings) {
  EXPECT_EQ(must(parse_int("-42")), -42);
  EXPECT_EQ(must(parse_int("9223372036854775807")), std::numeric_limits<int64_t>::max());
  for (const char* text : {"", " 1", "1 ", "+1", "0x1", "1.0", "9223372036854775808"})
    EXPECT_EQ(code_of(parse_int(text)), "invalid_argument") << text;
}

TEST(StringsTest, HumanBytesShowFourDigits) {
  EXPECT_EQ(human_bytes(0), "0B");
  EXPECT_EQ(human_bytes(999), "999B");
  EXPECT_EQ(human_bytes(1000), "1kB");
  EXPECT_EQ(human_bytes(12345), "12.35kB");
  EXPECT_EQ(human_bytes(1234567890), "1.235GB");
  EXPECT_EQ(human_bytes(std::numeric_limits<uint64_t>::max()), "18.45EB");
}

TEST(StringsTest, CredentialsOfUrlsAreLeftOut) {
  struct Row {
    const char *text, *safe;
  };
  for (const Row& row : {Row{"GET https://u:p@h/x@y failed", "GET https://h/x@y failed"},
                         {"https://token@h and http://a:b@c", "https://h and http://c"},
                         {"ssh://git@h/r", "ssh://git@h/r"},
                         {"ssh://git:pw@h/r", "ssh://h/r"},
                         {"git@h:r.git", "git@h:r.git"},
                         {"a://b c@d", "a://b c@d"},
                         {"://", "://"}})
    EXPECT_EQ(without_credentials(row.text), row.safe);
}

TEST(StringsTest, CsvReadsOneRecordAsGoDoes) {
  EXPECT_EQ(must(parse_csv("type=bind,source=a")), (Strings{"type=bind", "source=a"}));
  EXPECT_EQ(must(parse_csv(R"("a,b","c ""d""",)")), (Strings{"a,b", "c \"d\"", ""}));
  EXPECT_EQ(must(parse_csv("\"two\nlines\",x\n")), (Strings{"two\nlines", "x"}));
  EXPECT_EQ(must(parse_csv(" a , b")), (Strings{" a ", " b"}));
  EXPECT_EQ(must(parse_csv("")), Strings{""});
}

TEST(StringsTest, CsvRefusesStrayQuotesAndFurtherRecords) {
  for (const char* line : {"a\"b", "\"a\"b", "\"a", "a\nb"})
    EXPECT_EQ(code_of(parse_csv(line)), "invalid_argument") << line;
}

}  // namespace
}  // namespace kiln
