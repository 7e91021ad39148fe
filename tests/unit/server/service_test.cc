// Who may what, how often, and what is written down of it.
#include <gmock/gmock.h>
#include <algorithm>
#include <array>
#include <thread>

#include "cache/server/names.h"
#include "oci/base64.h"
#include "tests/fakes/must.h"
#include "tests/unit/server/registry_fixture.h"

namespace kiln::server {
namespace {

using fake::must;
using ::testing::HasSubstr;

// htpasswd -nbB -C 4 alice wonderland
constexpr const char* kAlice = "$2y$04$Ul4PnDF/h8Sk.qNXXxs8W.aY1jvwux3CzjZe3RuferGai./I3in1C";

ServerConfig config_of(const std::string& text) {
  ServerConfig config = must(parse_config(text, "kiln.toml"));
  config.credentials.passwords["alice"] = kAlice;
  return config;
}
const std::string kToken = "a-token";
std::string with_token() {
  return "[[auth.token]]\nname = 'ci'\nsha256 = '" +
         BlobDigest::of(HashAlgorithm::kSha256, kToken).hex() + "'\n";
}
constexpr const char* kRules =
    "[auth]\nadministrators = ['alice']\n"
    "[[access]]\nwho = ['alice']\nrepositories = ['**']\nallow = ['pull', 'push', 'delete']\n"
    "[[access]]\nwho = ['ci']\nrepositories = ['team/*']\nallow = ['pull', 'push']\n";
constexpr const char* kPublic =
    "[[access]]\nwho = ['*', 'anonymous']\nrepositories = ['public/**']\nallow = ['pull']\n";

Headers basic(const std::string& user, const std::string& password) {
  return {{"Authorization", "Basic " + oci::encode_base64(user + ":" + password)}};
}
Headers bearer(const std::string& token) {
  return {{"Authorization", "Bearer " + token}};
}
Ask push(const std::string& repository, const Headers& as) {
  return {"POST", "/v2/" + repository + "/blobs/uploads/?digest=" + digest_of("x"), "x", as};
}
Ask pull(const std::string& repository, const Headers& as) {
  return {"GET", "/v2/" + repository + "/blobs/" + digest_of("x"), "", as};
}

TEST(ServiceTest, RulesSayWhoMayWhat) {
  TestRegistry registry(config_of(std::string(kRules) + with_token() + kPublic));
  const Headers alice = basic("alice", "wonderland"), ci = bearer(kToken), nobody;
  struct Row {
    Ask ask;
    int status;
  };
  for (const Row& row : {
           Row{push("team/a", alice), 201},
           Row{push("public/a", alice), 201},
           Row{push("team/b", ci), 201},
           Row{push("team/b/c", ci), 403},
           Row{push("public/a", ci), 403},
           Row{push("public/a", nobody), 401},
           Row{push("team/a", basic("ci", kToken)), 201},  // as docker login sends it
           Row{pull("team/a", ci), 200},
           Row{pull("team/a", nobody), 401},
           Row{pull("public/a", nobody), 200},
           Row{pull("public/a", ci), 200},
           Row{pull("public/a", basic("alice", "wrong")), 401},
           Row{pull("public/a", basic("bob", "wonderland")), 401},
           Row{pull("public/a", bearer("other")), 401},
           Row{pull("public/a", {{"Authorization", "Nonsense"}}), 401},
           Row{{"DELETE", "/v2/team/a/blobs/" + digest_of("x"), "", ci}, 403},
           Row{{"DELETE", "/v2/team/a/blobs/" + digest_of("x"), "", alice}, 202},
       }) {
    const Reply reply = registry.ask(row.ask);
    EXPECT_EQ(reply.status, row.status) << row.ask.method << " " << row.ask.target << "\n"
                                        << reply.body;
    EXPECT_EQ(reply.header("www-authenticate").empty(), row.status != 401);
  }
  EXPECT_EQ(registry.ask({"GET", "/v2/_catalog", "", ci}).body,
            R"({"repositories":["public/a","team/b"]})");
  // A blob that one may not read is not mounted either.
  (void)registry.ask(push("secret/a", alice));
  EXPECT_EQ(
      registry
          .ask({"POST", "/v2/team/m/blobs/uploads/?mount=" + digest_of("x") + "&from=secret/a", "",
                ci})
          .status,
      202);
}

TEST(ServiceTest, ThePingChallengesWhoeverShouldLogIn) {
  TestRegistry closed(config_of(kRules));
  const Reply reply = closed.ask({"GET", "/v2/"});
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(reply.header("www-authenticate"), "Basic realm=\"kiln\"");
  EXPECT_EQ(closed.ask({"GET", "/v2/", "", basic("alice", "wonderland")}).status, 200);

  // Where some come without a password, clients are sent for a token, even one for nobody.
  TestRegistry open(config_of(std::string(kRules) + kPublic));
  (void)open.ask(push("public/a", basic("alice", "wonderland")));
  EXPECT_EQ(open.ask({"GET", "/v2/"}).header("www-authenticate"),
            "Bearer realm=\"http://registry.test/kiln/token\",service=\"kiln\"");
  EXPECT_THAT(open.ask(push("a", {})).header("www-authenticate"),
              HasSubstr("scope=\"repository:a:pull,push\""));
  const auto token_for = [&](const Headers& who) {
    const Reply token = open.ask({"GET", "/kiln/token?service=kiln", "", who});
    return bearer(must(Json::parse(token.body))["token"].as_string());
  };
  EXPECT_EQ(open.ask({"GET", "/v2/", "", token_for({})}).status, 200);
  EXPECT_EQ(open.ask(pull("public/a", token_for({}))).status, 200);
  EXPECT_EQ(open.ask(push("public/a", token_for({}))).status, 401);
  EXPECT_EQ(open.ask(push("public/a", token_for(basic("alice", "wonderland")))).status, 201);
  EXPECT_EQ(open.ask({"GET", "/kiln/token", "", basic("alice", "no")}).status, 401);
  Headers forged = token_for({});
  forged[0].second[forged[0].second.size() - 1] ^= 1;
  EXPECT_EQ(open.ask(pull("public/a", forged)).status, 401);
}

TEST(ServiceTest, TokensOfOurOwnExpire) {
  Authenticator authenticator({{{"alice", kAlice}}, {}, ""});
  const auto now = std::chrono::system_clock::now();
  Request request{"GET", "/", ""};
  request.headers = {{"authorization", "Bearer " + authenticator.issue_token("alice", now)}};
  ASSERT_TRUE(authenticator.authenticate(request, now));
  EXPECT_EQ(authenticator.authenticate(request, now)->name, "alice");
  EXPECT_FALSE(authenticator.authenticate(request, now + std::chrono::minutes(6)));
  EXPECT_FALSE(Authenticator({{{"alice", kAlice}}, {}, ""}).authenticate(request, now))
      << "of another process";
}

TEST(ServiceTest, WhoAsksTooOftenWaits) {
  ServerConfig config = config_of(kRules);
  config.requests = {0.001, 3};
  TestRegistry registry(config);
  const Headers alice = basic("alice", "wonderland");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(registry.ask({"GET", "/v2/", "", alice}).status, 200);
  const Reply limited = registry.ask({"GET", "/v2/", "", alice});
  EXPECT_EQ(limited.status, 429);
  EXPECT_EQ(limited.code(), "TOOMANYREQUESTS");
  EXPECT_EQ(limited.header("retry-after"), "1");
  EXPECT_EQ(std::count_if(limited.headers.begin(), limited.headers.end(),
                          [](const auto& header) { return header.first == "Retry-After"; }),
            1);
  EXPECT_EQ(registry.ask({"GET", "/healthz"}).status, 200);

  config.requests = {};
  config.failed_logins = {0.001, 2};
  TestRegistry guessed(config);
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(guessed.ask({"GET", "/v2/", "", basic("alice", "guess")}).status, 401);
  EXPECT_EQ(guessed.ask({"GET", "/v2/", "", basic("alice", "guess")}).status, 429);
}

TEST(ServiceTest, ClientsBehindATrustedProxyAreToldApart) {
  ServerConfig config =
      config_of("[listen]\ntrusted_proxies = ['127.0.0.1']\n" + std::string(kRules));
  config.failed_logins = {0.001, 1};
  TestRegistry registry(config);
  const auto guess = [&](const std::string& from) {
    Headers headers = basic("alice", "a-guess");
    headers.emplace_back("X-Forwarded-For", from);
    return registry.ask({"GET", "/v2/", "", headers}).status;
  };
  EXPECT_EQ(guess("192.0.2.1"), 401);
  EXPECT_EQ(guess("192.0.2.1"), 429);
  EXPECT_EQ(guess("192.0.2.9, 192.0.2.1"), 429) << "what it says of itself does not help";
  EXPECT_EQ(guess("192.0.2.2"), 401);
  EXPECT_EQ(registry.ask({"GET", "/metrics", "", {{"X-Forwarded-For", "192.0.2.3"}}}).status, 401);
  const Json event = must(Json::parse(registry.audit().front()));
  EXPECT_EQ(event["client"].as_string(), "192.0.2.1");
  EXPECT_EQ(event["proxy"].as_string(), "127.0.0.1");
}

TEST(ServiceTest, ChangesAndRefusalsAreWrittenDown) {
  ServerConfig config = config_of(kRules);
  TestRegistry registry(config);
  (void)registry.ask(push("team/a", basic("alice", "wonderland")));
  (void)registry.ask(pull("team/a", basic("alice", "wonderland")));
  (void)registry.ask(pull("team/a", basic("alice", "a-guess")));
  const std::vector<std::string> audit = registry.audit();
  ASSERT_EQ(audit.size(), 2U);
  const Json event = must(Json::parse(audit[0]));
  EXPECT_EQ(event["who"].as_string(), "alice");
  EXPECT_EQ(event["method"].as_string(), "POST");
  EXPECT_EQ(event["status"].as_int(), 201);
  EXPECT_EQ(event["received"].as_int(), 1);
  EXPECT_EQ(must(Json::parse(audit[1]))["status"].as_int(), 401);
  for (const std::string& line : audit) EXPECT_EQ(line.find("a-guess"), std::string::npos);
}

TEST(ServiceTest, MetricsAndCollectionAreForAdministrators) {
  TestRegistry registry(config_of(std::string(kRules) + with_token()));
  (void)registry.ask(push("team/a", basic("alice", "wonderland")));
  const Reply metrics = registry.ask({"GET", "/metrics"});  // from loopback
  EXPECT_EQ(metrics.status, 200);
  EXPECT_THAT(metrics.body, HasSubstr("requests_total{method=\"POST\",code=\"2xx\"} 1\n"));
  const std::string collect = "/kiln/admin/collect";
  EXPECT_EQ(registry.ask({"POST", collect}).status, 401);
  EXPECT_EQ(registry.ask({"POST", collect, "", bearer(kToken)}).status, 403);
  EXPECT_EQ(registry.ask({"GET", collect, "", basic("alice", "wonderland")}).status, 405);
  EXPECT_EQ(registry.ask({"POST", collect, "", basic("alice", "wonderland")}).body,
            R"({"blobs":0,"bytes":0,"holdings":0,"uploads":0})");
  EXPECT_EQ(registry.ask({"GET", "/readyz"}).status, 200);
  registry.service().set_draining();
  EXPECT_EQ(registry.ask({"GET", "/readyz"}).status, 503);
}

TEST(ServiceTest, ItIsReadyWhileItsStorageIsThere) {
  TestRegistry registry;
  EXPECT_EQ(registry.ask({"GET", "/readyz"}).status, 200);
  const std::string store = registry.path("store"), away = registry.path("away");
  ASSERT_EQ(std::rename(store.c_str(), away.c_str()), 0);
  EXPECT_EQ(registry.ask({"GET", "/readyz"}).status, 503);
  ASSERT_EQ(std::rename(away.c_str(), store.c_str()), 0);
  EXPECT_EQ(registry.ask({"GET", "/readyz"}).status, 200);
}

TEST(ServiceTest, ABlobThatTwoPushAtOnceCountsOnce) {
  const std::string blob(40, 'b'), other(50, 'o');
  const auto push = [](const TestRegistry& registry, const std::string& bytes) {
    return registry.ask({"POST", "/v2/a/blobs/uploads/?digest=" + digest_of(bytes), bytes}).status;
  };
  for (int round = 0; round < 20; ++round) {
    ServerConfig config = TestRegistry::open_to_all();
    config.quotas = {{"**", 100}};
    const TestRegistry registry(config);
    std::array<int, 2> statuses{};
    {
      std::array<std::jthread, 2> threads;
      for (size_t i = 0; i < threads.size(); ++i)
        threads[i] = std::jthread([&, i] { statuses[i] = push(registry, blob); });
    }
    EXPECT_THAT(statuses, ::testing::ElementsAre(201, 201));
    EXPECT_EQ(push(registry, other), 201);
  }
}

TEST(ServiceTest, QuotasBoundWhatRepositoriesHoldTogether) {
  ServerConfig config = TestRegistry::open_to_all();
  config.quotas = {{"team/**", 10}};
  TestRegistry registry(config);
  const auto put = [&](const std::string& repository, const std::string& bytes) {
    return registry
        .ask({"POST", "/v2/" + repository + "/blobs/uploads/?digest=" + digest_of(bytes), bytes})
        .status;
  };
  EXPECT_EQ(put("team/a", "12345"), 201);
  EXPECT_EQ(put("team/b", "1234567"), 403);
  EXPECT_EQ(put("team/b", "12345"), 201);
  EXPECT_EQ(put("team/a", "12345"), 201) << "it holds that one already";
  EXPECT_EQ(put("team/a", "1"), 403);
  EXPECT_EQ(put("free", "1234567890123"), 201);
  EXPECT_EQ(registry.ask({"DELETE", "/v2/team/b/blobs/" + digest_of("12345")}).status, 202);
  EXPECT_EQ(put("team/a", "1"), 201);
}

TEST(ServiceTest, FurtherHandlersAnswerBelowTheirPrefix) {
  class Echo : public RouteHandler {
   public:
    Started start(const Request& request, const Principal& who) override {
      return Response{200, {}, request.path + " " + who.name(), {}};
    }
  };
  TestRegistry registry(config_of(kRules));
  Echo echo;
  registry.service().mount("/kiln/cache/v1", echo);
  EXPECT_EQ(registry.ask({"GET", "/kiln/cache/v1/x", "", basic("alice", "wonderland")}).body,
            "/kiln/cache/v1/x alice");
  EXPECT_EQ(registry.ask({"GET", "/kiln/cache/v12"}).status, 404);
}

TEST(ConfigTest, MistakesAreToldWithTheirLine) {
  struct Row {
    const char* text;
    int line;
    const char* message;
  };
  for (const Row& row : {
           Row{"[limits]\nblobs = 3\n", 2, "[limits]: knows no \"blobs\" (did you mean blob?)"},
           Row{"[nonsense]\n", 1, "knows no \"nonsense\""},
           Row{"[limits]\n\nblob = 'many'\n", 3, "\"blob\" is not a size"},
           Row{"[collect]\ngrace = 3\n", 2, "\"grace\" is not a duration"},
           Row{"[tls]\nkey = 'k'\n", 1, "[tls]: has no \"certificate\""},
           Row{"[audit]\nreads = 'yes'\n", 2, "\"reads\" is neither true nor false"},
           Row{"[[access]]\nwho = ['a']\nrepositories = ['b']\nallow = ['pul']\n", 4,
               "knows pull, push and delete, not \"pul\""},
           Row{"[[access]]\nwho = 'a'\n", 1, "has no \"repositories\""},
           Row{"[[auth.token]]\nname = 'a'\nsha256 = 'b'\n", 3, "is not 64 lower-case hex digits"},
           Row{"[limits\n", 1, ""},
           Row{"[listen]\ntrusted_proxies = ['10.0.0.0/8',\n'proxy']\n", 2,
               "\"proxy\" is no address or network"},
       }) {
    const Result<ServerConfig> config = parse_config(row.text, "kiln.toml");
    ASSERT_FALSE(config) << row.text;
    EXPECT_THAT(config.error().message(), HasSubstr(row.message)) << row.text;
    ASSERT_TRUE(config.error().where()) << row.text;
    EXPECT_EQ(config.error().where()->file, "kiln.toml");
    EXPECT_EQ(config.error().where()->first_line, row.line) << row.text;
  }
  const auto passwords = parse_htpasswd("# users\nalice:$apr1$x\n", "users");
  ASSERT_FALSE(passwords);
  EXPECT_EQ(passwords.error().where()->first_line, 2);
}

TEST(NamesTest, FollowTheSpecification) {
  for (const char* name : {"a", "a/b", "a-b", "a--b", "a_b", "a__b", "a.b/c0", "0"})
    EXPECT_TRUE(is_repository_name(name)) << name;
  for (const char* name :
       {"", "/", "a/", "/a", "A", "a___b", "a..b", "a-", "_a", "a+b", "a b", "..", "a/./b"})
    EXPECT_FALSE(is_repository_name(name)) << name;
  EXPECT_FALSE(is_repository_name(std::string(256, 'a')));
  for (const char* tag : {"a", "V1.0", "_x", "a-b.c"}) EXPECT_TRUE(is_tag(tag)) << tag;
  for (const char* tag : {"", ".a", "-a", "a/b", "a b", "..", "é"})
    EXPECT_FALSE(is_tag(tag)) << tag;
  EXPECT_FALSE(is_tag(std::string(129, 'a')));
}

TEST(NamesTest, PatternsMatchWithinOrAcrossComponents) {
  struct Row {
    const char *pattern, *name;
    bool matches;
  };
  for (const Row& row : {
           Row{"a/b", "a/b", true},
           Row{"a/b", "a/bc", false},
           Row{"a/*", "a/b", true},
           Row{"a/*", "a/b/c", false},
           Row{"a/**", "a/b/c", true},
           Row{"**", "a/b", true},
           Row{"*", "a/b", false},
           Row{"*", "a", true},
           Row{"**/c", "a/b/c", true},
           Row{"a*c/d", "abbc/d", true},
           Row{"a*c", "ab/c", false},
           Row{"**b*/d", "a/bc/d", true},
           Row{"a/**", "a", false},
           Row{"", "", true},
           Row{"a**c*e", "abcde", true},
       })
    EXPECT_EQ(matches_repository(row.pattern, row.name), row.matches)
        << row.pattern << " " << row.name;
}

TEST(AuthenticatorTest, ServersOfOneRegistryTakeEachOthersTokens) {
  Credentials credentials;
  credentials.passwords = {{"alice", kAlice}};
  const auto now = std::chrono::system_clock::now();
  const auto name_at = [&](const std::string& key, const std::string& token) {
    credentials.token_key = key;
    Request request{"GET", "/v2/", "", {{"authorization", "Bearer " + token}}};
    const auto outcome = Authenticator(credentials).authenticate(request, now);
    return outcome ? outcome->name : "nobody";
  };
  credentials.token_key = "one key";
  const std::string token = Authenticator(credentials).issue_token("alice", now);
  EXPECT_EQ(name_at("one key", token), "alice");
  EXPECT_EQ(name_at("another", token), "nobody");
  EXPECT_EQ(name_at("", token), "nobody");
  credentials.passwords = {{"bob", kAlice}};
  EXPECT_EQ(name_at("one key", token), "nobody") << "who is not known any more";
}

}  // namespace
}  // namespace kiln::server
