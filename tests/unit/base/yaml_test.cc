#include "base/yaml.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/fakes/must.h"

namespace kiln {
namespace {

constexpr Json::Limits kLimits = {4096, 8};

struct YamlCase {
  const char* text;
  const char* json;
};

TEST(YamlTest, ReadsWhatJsonCanHold) {
  const YamlCase cases[] = {
      {"", "null"},
      {"a: 1\nb: [x, 'y', \"z\\n\"]\n", R"({"a":1,"b":["x","y","z\n"]})"},
      {"{\"json\": [true, {\"is\": \"yaml\"}]}", R"({"json":[true,{"is":"yaml"}]})"},
      {"- ~\n- null\n-\n- true\n- False\n", "[null,null,null,true,false]"},
      {"[0, 07, 0o17, 0x1f, -3, +4, 0666]", "[0,7,15,31,-3,4,438]"},
      {"[9223372036854775807, 18446744073709551615]", "[9223372036854775807,18446744073709551615]"},
      {"[18446744073709551616, 1.5, 0.6.0, 08, yes, 0x, -, --1]",
       R"(["18446744073709551616","1.5","0.6.0","08","yes","0x","-","--1"])"},
      {"['1', \"true\", !!str 2]", R"(["1","true","2"])"},
      {"a: |\n  one\n  two\nb: >-\n  one\n  two\n", R"({"a":"one\ntwo\n","b":"one two"})"},
      {"# comment\n---\nnested:\n- name: foo\n  env:\n  - A=b\n",
       R"({"nested":[{"name":"foo","env":["A=b"]}]})"},
  };
  for (const YamlCase& row : cases) {
    const auto read = parse_yaml(row.text, kLimits);
    ASSERT_TRUE(read) << row.text << read.error().to_string();
    EXPECT_EQ(read->dump(), row.json) << row.text;
  }
}

TEST(YamlTest, RefusesWhatMeansMoreThanItSays) {
  const char* texts[] = {"a: &x 1\nb: *x\n",
                         "&x [1]",
                         "*x",
                         "a: 1\na: 2\n",
                         "? [a]\n: b\n",
                         "{[a]: 1}",
                         "a: 1\n---\nb: 2\n",
                         "!!int 1",
                         "!x {a: 1}",
                         "a: b: c",
                         "[",
                         "a:\n\t- b",
                         "\xff",
                         "'open",
                         "a: 'b' c",
                         "{a: 1",
                         "%TAG ! x\n",
                         "- a\nb: c\n"};
  for (const char* text : texts)
    EXPECT_EQ(fake::code_of(parse_yaml(text, kLimits)), "invalid_argument") << text;
}

TEST(YamlTest, ErrorsNameTheLine) {
  EXPECT_NE(fake::message_of(parse_yaml("a: 1\nb: 2\na: 3\n", kLimits)).find("line 3"),
            std::string::npos);
}

TEST(YamlTest, IsBoundedInSizeAndDepth) {
  EXPECT_EQ(fake::code_of(parse_yaml(std::string(5000, 'a'), kLimits)), "resource_exhausted");
  EXPECT_EQ(fake::code_of(parse_yaml(std::string(9, '['), kLimits)), "resource_exhausted");
  EXPECT_EQ(fake::code_of(parse_yaml("[[[[[[[[]]]]]]]]", kLimits)), "ok");
}

}  // namespace
}  // namespace kiln
