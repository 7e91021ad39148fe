#include "oci/combine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::oci {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string digest(const std::string& name) {
  return Digest::of(name).to_string();
}

class CombineTest : public testing::Test {
 protected:
  static std::string entry(const std::string& name, const std::string& type,
                           const std::string& more) {
    return R"({"mediaType":")" + type + R"(","digest":")" + digest(name) + R"(","size":7)" + more +
           "}";
  }
  static std::string on(const std::string& architecture) {
    return R"(,"platform":{"architecture":")" + architecture + R"(","os":"linux"})";
  }
  void add(const std::string& descriptor, const std::string& text = {}) {
    request_.parts.push_back({Json::parse(descriptor).value(), text});
  }
  void add_index(const std::string& name, const std::vector<std::string>& entries) {
    std::string all;
    for (const std::string& one : entries) all += (all.empty() ? "" : ",") + one;
    add(entry(name, kIndexType, ""), R"({"schemaVersion":2,"manifests":[)" + all + "]}");
  }
  // "amd64 arm64", or the error.
  std::string platforms() {
    const auto image = combine(request_);
    if (!image) return image.error().to_string();
    type_ = image->media_type;
    std::string text;
    for (const CombinedImage::Entry& made : image->entries) parts_.push_back(made.part);
    last_ = Json::parse(image->text).value();
    for (const Json& each : last_["manifests"].elements())
      text += each["platform"]["architecture"].as_string() + " ";
    return text;
  }
  const std::string kOci{media_type::kManifest}, kDocker{media_type::kDockerManifest},
      kIndexType{media_type::kIndex};
  CombineRequest request_;
  std::string type_;
  std::vector<size_t> parts_;
  Json last_;
};

TEST_F(CombineTest, TakesEachManifestOnceAndKeepsWhatIsSaidOfIt) {
  add_index("i", {entry("a", kOci, on("amd64") + R"(,"urls":["u"],"annotations":{"x":"1"})"),
                  entry("b", kOci, on("arm64"))});
  add(entry("c", kDocker, R"(,"platform":{"architecture":"s390x","os":"linux","os.version":"9"})"));
  add(entry("a", kOci, on("amd64") + R"(,"annotations":{"y":"2"})"));
  EXPECT_EQ(platforms(), "amd64 arm64 s390x ");
  EXPECT_EQ(type_, media_type::kIndex);
  EXPECT_THAT(parts_, ElementsAre(0U, 0U, 1U));
  const auto& entries = last_["manifests"].elements();
  EXPECT_EQ(entries[0]["urls"].dump(), R"(["u"])");
  EXPECT_EQ(entries[0]["annotations"].dump(), R"({"x":"1","y":"2"})");
  EXPECT_EQ(entries[2]["platform"]["os.version"].as_string(), "9");
}

TEST_F(CombineTest, AListOfDockersManifestsIsDockers) {
  add(entry("a", kDocker, on("amd64")));
  add(entry("b", kDocker, on("arm64")));
  EXPECT_EQ(platforms(), "amd64 arm64 ");
  EXPECT_EQ(type_, media_type::kDockerIndex);
  request_.annotations["k"] = "v";  // which Docker's type does not have
  EXPECT_EQ(platforms(), "amd64 arm64 ");
  EXPECT_EQ(type_, media_type::kIndex);
  EXPECT_EQ(last_["annotations"].dump(), R"({"k":"v"})");
}

TEST_F(CombineTest, ASingleIndexIsCopiedByteForByte) {
  add_index("i", {entry("a", kOci, on("amd64"))});
  EXPECT_EQ(combine(request_)->text, request_.parts[0].text);
  request_.platforms = {Platform::parse("amd64").value()};
  EXPECT_NE(combine(request_)->text, request_.parts[0].text);
}

TEST_F(CombineTest, ASingleManifestIsCopiedOnlyIfAsked) {
  add(entry("a", kOci, on("amd64")), "text");
  EXPECT_EQ(platforms(), "amd64 ");
  request_.single = CombineRequest::Single::kCopy;
  const auto copy = combine(request_).value();
  EXPECT_EQ(copy.text, "text");
  EXPECT_EQ(copy.media_type, kOci);
  EXPECT_EQ(copy.entries.size(), 1U);
}

TEST_F(CombineTest, KeepsPlatformsAndTheirAttestations) {
  const auto attests = [&](const std::string& of) {
    return R"(,"platform":{"architecture":"unknown","os":"unknown"},"annotations":{)"
           R"("vnd.docker.reference.digest":")" +
           digest(of) + R"("})";
  };
  add_index("i", {entry("a", kOci, on("amd64")), entry("b", kOci, on("arm64")),
                  entry("pa", kOci, attests("a")), entry("pb", kOci, attests("b"))});
  request_.platforms = {Platform::parse("linux/arm64/v8").value()};
  EXPECT_EQ(platforms(), "arm64 unknown ");
  request_.platforms = {Platform::parse("riscv64").value()};
  EXPECT_EQ(platforms(), "no source has a manifest for linux/riscv64");
}

TEST_F(CombineTest, AnnotatesEntries) {
  add(entry("a", kOci, on("amd64")));
  add(entry("b", kOci, on("arm64")));
  request_.entry_annotations = {{std::nullopt, "all", "1"},
                                {Platform::parse("arm64").value(), "one", "2"}};
  EXPECT_EQ(platforms(), "amd64 arm64 ");
  EXPECT_EQ(last_["manifests"].elements()[0]["annotations"].dump(), R"({"all":"1"})");
  EXPECT_EQ(last_["manifests"].elements()[1]["annotations"].dump(), R"({"all":"1","one":"2"})");
}

TEST_F(CombineTest, RefusesWhatIsNoImage) {
  add(entry("a", "application/vnd.oci.image.layer.v1.tar", ""));
  EXPECT_THAT(platforms(), HasSubstr("cannot be in an image index"));
}

}  // namespace
}  // namespace kiln::oci
