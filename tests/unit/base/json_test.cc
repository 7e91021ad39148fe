#include "base/json.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::message_of;
using fake::must;

TEST(JsonTest, RoundTripKeepsOrderAndNumbers) {
  const char* texts[] = {R"({"z":1,"a":[true,false,null],"m":{"k":"v"}})",
                         R"([9223372036854775807,-9223372036854775808,18446744073709551615])",
                         R"([1.5,1.0,1e+100,-0.25])",
                         R"({})",
                         R"([])",
                         R"("<a>&\u0001\n\"\\")",
                         "\"\xC3\xBC\xF0\x9F\x98\x80\"",
                         R"({"":{"":[]}})"};
  for (const char* text : texts) EXPECT_EQ(must(Json::parse(text)).dump(), text);
}

TEST(JsonTest, SurrogatePairsBecomeUtf8) {
  EXPECT_EQ(must(Json::parse(R"("\ud83d\ude00")")).as_string(), "\xF0\x9F\x98\x80");
}

TEST(JsonTest, ErrorsNameLineAndColumn) {
  const auto parsed = Json::parse("{\n  \"a\": 1,\n  \"b\": x\n}");
  EXPECT_EQ(code_of(parsed), "invalid_argument");
  EXPECT_NE(message_of(parsed).find("line 3, column 8"), std::string::npos) << message_of(parsed);
}

TEST(JsonTest, RefusesWhatIsNotOneJsonText) {
  for (const char* text : {"", "{", "[1,]", "{\"a\":1,}", "1 2", "'a'", "// c\n1", "nul", "01",
                           "1e999", "\"\xff\"", "\"\xC0\x80\"", "\"\\ud800\"", "\"a\nb\"", "[NaN]"})
    EXPECT_EQ(code_of(Json::parse(text)), "invalid_argument") << text;
}

TEST(JsonTest, DuplicateKeysAreRefusedInSmallAndLargeObjects) {
  EXPECT_EQ(code_of(Json::parse(R"({"a":1,"a":1})")), "invalid_argument");
  EXPECT_EQ(code_of(Json::parse(R"({"a":{"b":1},"b":2})")), "ok");
  std::string large = "{";
  for (int i = 0; i < 100; ++i) large += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_EQ(code_of(Json::parse(large + "\"last\":0}")), "ok");
  EXPECT_EQ(code_of(Json::parse(large + "\"k3\":0}")), "invalid_argument");
  EXPECT_EQ(code_of(Json::parse(large + "\"k77\":0}")), "invalid_argument");
}

TEST(JsonTest, SizeAndDepthAreBounded) {
  const std::string deep = std::string(64, '[') + std::string(64, ']');
  EXPECT_EQ(code_of(Json::parse(deep)), "ok");
  EXPECT_EQ(code_of(Json::parse("[" + deep + "]")), "resource_exhausted");
  EXPECT_EQ(code_of(Json::parse(std::string(1U << 20U, '['))), "resource_exhausted");
  EXPECT_EQ(code_of(Json::parse("[1,2]", {4, 64})), "resource_exhausted");
  EXPECT_EQ(code_of(Json::parse("[12]", {4, 64})), "ok");
}

TEST(JsonTest, ReadersAreLenient) {
  const Json json = must(
      Json::parse(R"({"n":3,"s":"x","f":2.0,"u":18446744073709551615,"neg":-1,"a":["p",1,"q"]})"));
  EXPECT_EQ(json["n"].as_int(), 3);
  EXPECT_EQ(json["n"].as_uint(), 3U);
  EXPECT_EQ(json["n"].as_double(), 3.0);
  EXPECT_EQ(json["f"].as_int(), 2);
  EXPECT_EQ(json["s"].as_int(7), 7);
  EXPECT_EQ(json["u"].as_int(7), 7);
  EXPECT_EQ(json["u"].as_uint(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(json["neg"].as_uint(9), 9U);
  EXPECT_EQ(json["missing"]["deeper"].as_string(), "");
  EXPECT_EQ(json["a"].strings(), (std::vector<std::string>{"p", "q"}));
  EXPECT_EQ(json.find("missing"), nullptr);
  EXPECT_TRUE(json["missing"].is_null());
}

TEST(JsonTest, SetReplacesInPlaceAndAppends) {
  Json json = Json::object({{"a", 1}, {"b", 2}});
  json.set("a", "x");
  json.set("c", Json::array_of({"y"}));
  json.erase("b");
  EXPECT_EQ(json.dump(), R"({"a":"x","c":["y"]})");
  Json list;
  list.push_back(1);
  list.push_back(Json::object());
  EXPECT_EQ(list.dump(), "[1,{}]");
}

TEST(JsonTest, InvalidUtf8IsReplacedInOutput) {
  EXPECT_EQ(Json("a\xff").dump(), "\"a\xEF\xBF\xBD\"");
}

TEST(JsonTest, PrettyIndents) {
  const Json json = must(Json::parse(R"({"a":[1,2],"b":{},"c":[]})"));
  EXPECT_EQ(json.dump_pretty(), "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {},\n  \"c\": []\n}");
}

TEST(JsonTest, NonFiniteDoublesBecomeNull) {
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).dump(), "null");
}

}  // namespace
}  // namespace kiln
