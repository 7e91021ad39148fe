#include "frontend/image_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace kiln::frontend {
namespace {

ImageConfig config_of(const std::string& text) {
  auto config = ImageConfig::parse(text);
  EXPECT_TRUE(config) << config.error().message();
  return config ? *config : ImageConfig();
}

TEST(ImageConfigTest, MapsAreInOrderOfKeysWhateverTheBaseImageHas) {
  ImageConfig config = config_of(R"({"config":{"Labels":{"b":"1","a":"2"},"Volumes":null}})");
  config.set_entry("Labels", "aa", "3");
  config.set_entry("Labels", "b", "4");
  config.set_entry("Volumes", "/v", Json::object());
  EXPECT_THAT(config.to_json(),
              testing::HasSubstr(R"("Labels":{"a":"2","aa":"3","b":"4"},"Volumes":{"/v":{}})"));
}

TEST(ImageConfigTest, AVariableKeepsItsPlaceWhenItChanges) {
  ImageConfig config = config_of(R"({"config":{"Env":["A=1","B","AB=2"]}})");
  config.set_env("B", "3");
  config.set_env("A", "4");
  config.set_env("C", "");
  EXPECT_THAT(config.env(), testing::ElementsAre("A=4", "B=3", "AB=2", "C="));
}

TEST(ImageConfigTest, AMemberOfAnotherTypeIsAnError) {
  const struct {
    const char* text;
    const char* message;
  } rows[] = {
      {R"([])", "image config is not an object"},
      {R"({"config":{"Labels":["a"]}})", R"(image config: "Labels" is not an object)"},
      {R"({"config":{"ExposedPorts":"80"}})", R"(image config: "ExposedPorts" is not an object)"},
      {R"({"config":{"Env":{"A":"1"}}})", R"(image config: "Env" is not a list)"},
  };
  for (const auto& row : rows) {
    const auto config = ImageConfig::parse(row.text);
    ASSERT_FALSE(config) << row.text;
    EXPECT_EQ(config.error().code(), Code::kInvalidArgument) << row.text;
    EXPECT_EQ(config.error().message(), row.message);
  }
}

}  // namespace
}  // namespace kiln::frontend
