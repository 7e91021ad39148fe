// The way to a bucket: signatures, what is repeated, what a refusal means.
#include <gmock/gmock.h>

#include "base/clock.h"
#include "cache/server/s3_client.h"
#include "cache/server/s3_xml.h"
#include "tests/fakes/fake_s3.h"
#include "tests/fakes/must.h"

namespace kiln::server {
namespace {

using fake::code_of;
using fake::FakeS3;
using fake::message_of;
using fake::must;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

// The example of the documentation ("Authenticating Requests: Using the Authorization Header").
TEST(S3SignerTest, SignsAsTheDocumentationDoes) {
  const S3Credentials credentials{"AKIAIOSFODNN7EXAMPLE",
                                  "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
  const std::string empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  S3SignedRequest request;
  request.method = "GET";
  request.path = "/test.txt";
  request.headers = {{"host", "examplebucket.s3.amazonaws.com"},
                     {"range", "bytes=0-9"},
                     {"x-amz-content-sha256", empty},
                     {"x-amz-date", "20130524T000000Z"}};
  request.payload_hash = empty;
  request.region = "us-east-1";
  request.time = "20130524T000000Z";
  EXPECT_THAT(
      s3_authorization(request, credentials),
      EndsWith("Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"));
  request.path = "/";
  request.query = {{"prefix", "J"}, {"max-keys", "2"}};
  request.headers.erase(request.headers.begin() + 1);
  EXPECT_THAT(
      s3_authorization(request, credentials),
      EndsWith("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST(S3SignerTest, EncodesAndSorts) {
  EXPECT_EQ(s3_encode_path("/a b/c+d/é~"), "/a%20b/c%2Bd/%C3%A9~");
  EXPECT_EQ(s3_encode_query({{"b", "x y"}, {"a", ""}, {"a-b", "/"}}), "a=&a-b=%2F&b=x%20y");
  EXPECT_EQ(s3_time(must(parse_rfc3339("2013-05-24T01:02:03.5Z"))), "20130524T010203Z");
}

TEST(S3XmlTest, ReadsTreesAndNothingClever) {
  const XmlElement xml =
      must(parse_xml(" <?xml version='1.0'?><a:r xmlns:a='x'><k>1 &amp; 2</k></a:r>"));
  EXPECT_EQ(xml.name, "r");
  EXPECT_EQ(xml.child("k"), "1 & 2");
  EXPECT_EQ(xml.child("other"), "");
  for (const char* bad : {"", "<a>", "<a></b>", "{}", "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
                          "<a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a>"})
    EXPECT_EQ(code_of(parse_xml(bad)), "data_loss") << bad;
  EXPECT_EQ(xml_escape("<\"&\">"), "&lt;&quot;&amp;&quot;&gt;");
}

class S3ClientTest : public ::testing::Test {
 protected:
  S3Options options() const {
    S3Options options;
    options.bucket = FakeS3::kBucket;
    options.endpoint = s3_.endpoint();
    options.credentials = {FakeS3::kAccessKey, FakeS3::kSecretKey, ""};
    options.attempts = 3;
    options.first_delay = std::chrono::milliseconds(1);
    return options;
  }
  FakeS3 s3_;
  std::unique_ptr<S3Client> client_ = must(S3Client::create(options()));
};

TEST_F(S3ClientTest, PutsGetsCopiesListsAndRemoves) {
  must(client_->put("other", ""));
  EXPECT_EQ(must(client_->head("other"))->size, 0U);
  must(client_->put("a+b/c", "0123456789"));
  EXPECT_EQ(must(client_->get("a+b/c", 10)), "0123456789");
  EXPECT_EQ(code_of(client_->get("a+b/c", 9)), "resource_exhausted");
  EXPECT_EQ(must(client_->get_range("a+b/c", 3, 4)), "3456");
  EXPECT_EQ(code_of(client_->get_range("a+b/c", 8, 4)), "data_loss");
  must(client_->copy("a+b/c", "a+b/d"));
  must(client_->copy("a+b/c", "a+b/c"));
  for (int i = 0; i < 7; ++i) must(client_->put("a+b/many/" + std::to_string(i), "x"));
  const S3Listing all = must(client_->list("a+b/"));
  EXPECT_EQ(all.objects.size(), 9U);
  const S3Listing top = must(client_->list("a+b/", "/"));
  EXPECT_THAT(top.prefixes, ElementsAre("a+b/many/"));
  EXPECT_EQ(top.objects.size(), 2U);
  EXPECT_EQ(must(client_->list_first("a+b/", 1)).objects.size(), 1U);
  must(client_->remove("a+b/d"));
  must(client_->remove("a+b/d"));
  EXPECT_FALSE(must(client_->head("a+b/d")));
  EXPECT_EQ(code_of(client_->get("a+b/d", 1)), "not_found");
  EXPECT_EQ(code_of(client_->copy("a+b/d", "e")), "not_found");
}

TEST_F(S3ClientTest, MakesObjectsFromParts) {
  must(client_->put("from", std::string(40, 'f')));
  const std::string id = must(client_->create_multipart("to"));
  std::vector<std::string> tags;
  tags.push_back(must(client_->copy_part("to", id, 1, "from", 10, 20)));
  tags.push_back(must(client_->upload_part("to", id, 2, "end")));
  EXPECT_FALSE(must(client_->head("to")));
  must(client_->complete_multipart("to", id, tags));
  EXPECT_EQ(s3_.get("to"), std::string(20, 'f') + "end");
  EXPECT_EQ(code_of(client_->complete_multipart("to", id, tags)), "not_found");
  must(client_->abort_multipart("to", must(client_->create_multipart("to"))));
  EXPECT_EQ(s3_.open_multiparts(), 0U);
}

TEST_F(S3ClientTest, RepeatsWhatTheStorageWasTooBusyFor) {
  for (const auto& trouble : {FakeS3::error(503, "SlowDown"), FakeS3::error(500, "InternalError"),
                              fake::Response{200, {}, "cut", fake::Fault::kClose, 1},
                              fake::Response{200, {}, "", fake::Fault::kReset, 0, true}}) {
    int left = 2;
    s3_.set_fault([&left, trouble](const fake::Request&) {
      return left-- > 0 ? std::optional(trouble) : std::nullopt;
    });
    must(client_->put("key", "value"));
    EXPECT_LT(left, 0);
  }
  // Copies tell in the body that they failed.
  int left = 1;
  fake::Response late = FakeS3::error(200, "InternalError");
  s3_.set_fault([&left, late](const fake::Request&) {
    return left-- > 0 ? std::optional(late) : std::nullopt;
  });
  must(client_->copy("key", "copy"));
  EXPECT_EQ(s3_.get("copy"), "value");
}

TEST_F(S3ClientTest, GivesUpAfterAFewAttempts) {
  std::atomic<int> asked{0};
  s3_.set_fault([&asked](const fake::Request&) {
    ++asked;
    return std::optional(FakeS3::error(503, "SlowDown"));
  });
  const auto put = client_->put("key", "value");
  EXPECT_EQ(code_of(put), "unavailable");
  EXPECT_THAT(message_of(put), HasSubstr("SlowDown"));
  EXPECT_EQ(asked, 3);
}

TEST_F(S3ClientTest, SaysWhatIsWrongWithTheSettings) {
  S3Options wrong = options();
  wrong.credentials.secret_key = "another-secret";
  const auto secret = must(S3Client::create(wrong))->list("");
  ASSERT_EQ(code_of(secret), "unauthenticated");
  EXPECT_THAT(secret.error().advice(), HasSubstr("secret_access_key"));
  EXPECT_EQ(message_of(secret).find("another-secret"), std::string::npos);
  wrong = options();
  wrong.bucket = "no-such-bucket";
  const auto bucket = must(S3Client::create(wrong))->list("");
  ASSERT_EQ(code_of(bucket), "permission_denied");
  EXPECT_THAT(bucket.error().advice(), HasSubstr("make the bucket"));
  s3_.set_skewed(true);
  const auto skewed = client_->list("");
  ASSERT_EQ(code_of(skewed), "permission_denied");
  EXPECT_THAT(skewed.error().advice(), HasSubstr("clock"));
  wrong = options();
  wrong.credentials = {};
  EXPECT_EQ(code_of(S3Client::create(wrong)), "invalid_argument");
  wrong = options();
  wrong.endpoint = "storage.example";
  EXPECT_EQ(code_of(S3Client::create(wrong)), "invalid_argument");
}

}  // namespace
}  // namespace kiln::server
