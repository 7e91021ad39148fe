#include "cache/server/cache_api.h"

#include <gmock/gmock.h>

#include <array>
#include <thread>

#include "cache/cache_protocol.h"
#include "cache/entry.h"
#include "cache/entry_manifest.h"
#include "oci/base64.h"
#include "tests/fakes/must.h"
#include "tests/unit/server/registry_fixture.h"

namespace kiln::server {
namespace {

using fake::must;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace protocol = cache::protocol;

KeyRecord step(const std::string& op) {
  KeyRecord record;
  record.op.add("op", op);
  return record;
}
std::string hex(const std::string& op) {
  return step(op).key().digest.hex();
}
// The empty tree, made at some time: two of them differ.
std::string entry_made_at(const std::string& op, int64_t seconds) {
  CacheResult result;
  result.empty_tree = true;
  result.created = std::chrono::sys_seconds(std::chrono::seconds(seconds));
  return oci::encode_base64(cache::encode_entry(cache::ResultEntry{step(op), result}));
}

class CacheApiTest : public testing::Test {
 protected:
  explicit CacheApiTest(ServerConfig config = TestRegistry::open_to_all())
      : registry_(std::move(config)),
        api_(registry_.registry(), registry_.mirror(),
             [this](std::string_view line) { log_.emplace_back(line); }) {
    registry_.service().mount(std::string(protocol::kRoot), api_);
  }
  void SetUp() override {
    const std::string config(cache::kEmptyDocument);
    ASSERT_EQ(registry_.ask({"POST", "/v2/app/blobs/uploads/?digest=" + digest_of(config), config})
                  .status,
              201);
  }
  Reply post(const std::string& what, const std::string& body,
             const std::string& place = "repository=app&tag=main") {
    return registry_.ask({"POST", std::string(protocol::kRoot) + "/" + what + "?" + place, body});
  }
  static std::string publishing(const std::string& op, const std::string& entry) {
    return R"({"entries":[{"key":")" + hex(op) + R"(","entry":")" + entry + R"(","blobs":[]}]})";
  }
  std::string found(const std::string& op) {
    const Reply reply = post("lookup", R"({"keys":[")" + hex(op) + R"("]})");
    EXPECT_EQ(reply.status, 200) << reply.body;
    return must(Json::parse(reply.body))["entries"][hex(op)].as_string();
  }

  TestRegistry registry_;
  std::vector<std::string> log_;
  CacheApi api_;
};

TEST_F(CacheApiTest, TheFirstWriterWinsAndTheSecondIsWrittenDown) {
  EXPECT_EQ(post("publish", publishing("a", entry_made_at("a", 1))).body, R"({"kept":0})");
  EXPECT_EQ(post("publish", publishing("a", entry_made_at("a", 1))).body, R"({"kept":1})");
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_EQ(post("publish", publishing("a", entry_made_at("a", 2))).body, R"({"kept":1})");
  EXPECT_THAT(log_, ElementsAre(HasSubstr("another result for " + hex("a"))));
  EXPECT_EQ(found("a"), entry_made_at("a", 1));
  EXPECT_EQ(found("b"), "");
}

TEST_F(CacheApiTest, OfTwoThatComeAtOnceOneIsTheFirst) {
  for (int round = 0; round < 20; ++round) {
    const std::string op = "at once " + std::to_string(round);
    std::array<int, 2> statuses{};
    {
      std::array<std::jthread, 2> writers;
      for (size_t i = 0; i < writers.size(); ++i)
        writers[i] = std::jthread([&, i] {
          const std::string entry = entry_made_at(op, static_cast<int64_t>(i));
          statuses[i] =
              registry_
                  .ask({"PUT",
                        "/v2/app/manifests/main." + hex(op),
                        cache::entry_manifest({step(op).key(), *oci::decode_base64(entry), {}}),
                        {{"Content-Type", kManifestType}}})
                  .status;
        });
    }
    EXPECT_THAT(statuses, testing::UnorderedElementsAre(201, 409));
  }
}

TEST_F(CacheApiTest, NoOtherRouteReplacesAnEntry) {
  const std::string tag = "main." + hex("a");
  const auto put = [&](const std::string& entry) {
    const std::string text =
        cache::entry_manifest({step("a").key(), *oci::decode_base64(entry), {}});
    return registry_
        .ask({"PUT", "/v2/app/manifests/" + tag, text, {{"Content-Type", kManifestType}}})
        .status;
  };
  EXPECT_EQ(put(entry_made_at("b", 1)), 201);  // of another key: none
  EXPECT_EQ(put(entry_made_at("a", 1)), 201);
  EXPECT_EQ(put(entry_made_at("a", 1)), 201);
  EXPECT_EQ(put(entry_made_at("a", 2)), 409);
  EXPECT_EQ(put(entry_made_at("b", 1)), 409);
  EXPECT_EQ(found("a"), entry_made_at("a", 1));
}

TEST_F(CacheApiTest, AnEntryWhoseBytesAreGoneIsNoneAndIsTakenAnew) {
  const auto lose = [&] {
    const Reply head = registry_.ask({"HEAD", "/v2/app/manifests/main." + hex("a")});
    must(registry_.storage().remove_blob(
        must(BlobDigest::parse(head.header("docker-content-digest")))));
  };
  EXPECT_EQ(post("publish", publishing("b", entry_made_at("b", 1))).status, 200);
  EXPECT_EQ(post("publish", publishing("a", entry_made_at("a", 1))).status, 200);
  lose();
  const Reply both = post("lookup", R"({"keys":[")" + hex("a") + R"(",")" + hex("b") + R"("]})");
  EXPECT_EQ(both.status, 200) << both.body;
  EXPECT_EQ(must(Json::parse(both.body))["entries"].members().size(), 1U);
  EXPECT_EQ(post("publish", publishing("a", entry_made_at("a", 2))).body, R"({"kept":0})");
  EXPECT_EQ(found("a"), entry_made_at("a", 2));
  lose();
  const std::string text =
      cache::entry_manifest({step("a").key(), *oci::decode_base64(entry_made_at("a", 3)), {}});
  EXPECT_EQ(registry_.ask({"PUT", "/v2/app/manifests/main." + hex("a"), text}).status, 201);
}

TEST_F(CacheApiTest, RefusesWhatIsNoEntryOfItsKey) {
  struct Row {
    std::string what, body, text, place = "repository=app&tag=main";
  };
  std::string keys = "\"" + hex("a") + "\"";
  for (size_t i = 0; i < protocol::kMaxKeys; ++i) keys += ",\"" + hex("a") + "\"";
  for (const Row& row : std::vector<Row>{
           {"publish", publishing("a", entry_made_at("b", 1)), "not one of this key"},
           {"publish", publishing("a", "AAAA"), "not one of this key"},
           {"publish", "{", "CACHE_REQUEST_INVALID"},
           {"publish", "{}", "no repository's name", "repository=../x&tag=main"},
           {"publish", "{}", "no tag", "repository=app&tag=a/b"},
           {"lookup", R"({"keys":["xyz"]})", "is no key"},
           {"lookup", R"({"keys":[)" + keys + "]}", "at most 1000"},
       }) {
    const Reply reply = post(row.what, row.body, row.place);
    EXPECT_EQ(reply.status, 400) << row.body.substr(0, 100);
    EXPECT_THAT(reply.body, HasSubstr(row.text));
  }
  EXPECT_EQ(post("nothing", "{}").status, 404);
  EXPECT_EQ(registry_.ask({"GET", std::string(protocol::kRoot) + "/lookup"}).status, 405);
}

TEST_F(CacheApiTest, WhatDoesNotFitIntoAnAnswerIsToBeAskedForAgain) {
  std::string keys;
  for (int i = 0; i < 6; ++i) {
    const KeyRecord record = [&] {
      KeyRecord made = step(std::to_string(i));
      made.name = std::string(700'000, 'n');
      return made;
    }();
    CacheResult empty;
    empty.empty_tree = true;
    const std::string entry =
        oci::encode_base64(cache::encode_entry(cache::ResultEntry{record, empty}));
    ASSERT_EQ(post("publish", publishing(std::to_string(i), entry)).status, 200);
    keys += (i == 0 ? "\"" : ",\"") + hex(std::to_string(i)) + "\"";
  }
  const Json answer = must(Json::parse(post("lookup", R"({"keys":[)" + keys + "]}").body));
  EXPECT_EQ(answer["entries"].members().size(), 5U);
  EXPECT_THAT(answer["more"].strings(), ElementsAre(hex("5")));
}

TEST_F(CacheApiTest, ABodyIsBounded) {
  EXPECT_EQ(post("publish", std::string(protocol::kMaxBodyBytes + 1, ' ')).status, 413);
}

TEST_F(CacheApiTest, AnEntryNeedsItsLayers) {
  std::string body = publishing("a", entry_made_at("a", 1));
  const oci::Descriptor absent{"application/x", Digest::of("absent"), 6, std::nullopt, {}};
  body.replace(body.find("[]"), 2, "[" + to_json(absent).dump() + "]");
  EXPECT_EQ(post("publish", body).code(), "MANIFEST_BLOB_UNKNOWN");
  EXPECT_EQ(found("a"), "");
}

ServerConfig readers_and_writers() {
  ServerConfig config;
  config.access.grants = {{{"anonymous"}, {"app"}, {Action::kPull}}};
  return config;
}
class CacheRightsTest : public CacheApiTest {
 protected:
  CacheRightsTest() : CacheApiTest(readers_and_writers()) {}
  void SetUp() override {}
};

TEST_F(CacheRightsTest, ReadingAndWritingAreTheRepositorysRights) {
  EXPECT_EQ(found("a"), "");
  EXPECT_EQ(post("publish", publishing("a", entry_made_at("a", 1))).status, 401);
  EXPECT_EQ(post("lookup", "{}", "repository=other&tag=main").status, 401);
}

ServerConfig mirroring() {
  ServerConfig config = TestRegistry::open_to_all();
  Upstream& hub = config.upstreams.emplace_back();
  hub.prefix = "hub";
  hub.remote = "127.0.0.1:1";
  return config;
}
class CacheOfMirrorTest : public CacheApiTest {
 protected:
  CacheOfMirrorTest() : CacheApiTest(mirroring()) {}
};

TEST_F(CacheOfMirrorTest, NobodyPublishesWhereNobodyPushes) {
  const std::string place = "repository=hub/app&tag=main";
  EXPECT_EQ(post("publish", R"({"entries":[]})", place).status, 405);
  EXPECT_EQ(post("lookup", R"({"keys":[]})", place).status, 200);
  EXPECT_EQ(post("publish", R"({"entries":[]})").status, 200);
}

}  // namespace
}  // namespace kiln::server
