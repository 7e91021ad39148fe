#include "cache/claim.h"

#include <gmock/gmock.h>

#include "tests/fakes/fake_transport.h"
#include "tests/fakes/must.h"

namespace kiln::cache {
namespace {

using fake::code_of;
using fake::must;
using testing::HasSubstr;

// RFC 8032, 7.1, test 2, as OpenSSL writes its keys; and another pair.
constexpr const char* kPrivate =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
    "-----END PRIVATE KEY-----\n";
constexpr const char* kPublic =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n"
    "-----END PUBLIC KEY-----\n";
constexpr const char* kOtherPublic =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
    "-----END PUBLIC KEY-----\n";

SigningKey signing_key() {
  return must(SigningKey::parse_pem(kPrivate));
}
std::vector<PublicKey> keys(const std::string& pem) {
  return must(PublicKey::parse_pem(pem));
}

TEST(Ed25519, GivesTheKnownSignature) {
  const std::string signature = signing_key().sign("\x72");
  std::string hex;
  for (const char byte : signature) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex += kDigits[static_cast<unsigned char>(byte) >> 4U];
    hex += kDigits[static_cast<unsigned char>(byte) & 15U];
  }
  EXPECT_EQ(hex,
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f36"
            "13d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  EXPECT_TRUE(keys(kPublic)[0].verifies("\x72", signature));
  EXPECT_FALSE(keys(kPublic)[0].verifies("\x73", signature));
  EXPECT_FALSE(keys(kOtherPublic)[0].verifies("\x72", signature));
  EXPECT_FALSE(keys(kPublic)[0].verifies("\x72", "short"));
}

TEST(Ed25519, ReadsAllKeysOfAFileAndNoOthers) {
  EXPECT_EQ(keys(std::string(kPublic) + kOtherPublic).size(), 2);
  EXPECT_EQ(keys(kPublic)[0].id(), signing_key().public_key().id());
  const std::string ec =
      "-----BEGIN PUBLIC KEY-----\n"
      "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaMO079WpmXAziibgKeaPsm7Eiuh2\n"
      "rg2xINyhWlC9UiNlu0dZWOkkwu3fExVCCJtt7jOECoJdmUwhqQJDJNnpZg==\n"
      "-----END PUBLIC KEY-----\n";
  EXPECT_EQ(code_of(PublicKey::parse_pem(ec)), "invalid_argument");
  for (const std::string text : {"", "garbage", "-----BEGIN PUBLIC KEY-----\nAAAA\n"}) {
    EXPECT_EQ(code_of(PublicKey::parse_pem(text)), "invalid_argument") << text;
    EXPECT_EQ(code_of(SigningKey::parse_pem(text)), "invalid_argument") << text;
  }
  EXPECT_EQ(code_of(SigningKey::parse_pem(kPublic)), "invalid_argument");
}

TEST(Claim, HoldsIfSomebodyTrustedSignedJustThat) {
  const std::string bytes = encode_claim("an entry", signing_key());
  const Claim claim = must(decode_claim(bytes));
  EXPECT_EQ(claim.entry, "an entry");
  EXPECT_TRUE(holds(claim, keys(std::string(kOtherPublic) + kPublic)));
  EXPECT_FALSE(holds(claim, keys(kOtherPublic)));
  Claim other = claim;
  other.entry = "another one";
  EXPECT_FALSE(holds(other, keys(kPublic)));
  Claim impostor = claim;
  impostor.signer = keys(kOtherPublic)[0].id();
  EXPECT_FALSE(holds(impostor, keys(std::string(kOtherPublic) + kPublic)));
  EXPECT_FALSE(holds(must(decode_claim("an entry")), keys(kPublic)));
  EXPECT_EQ(code_of(decode_claim(bytes.substr(0, bytes.size() - 1))), "data_loss");
}

TEST(SignedTransport, PassesOverWhatNobodyTrustedSigned) {
  const auto memory = std::make_shared<fake::FakeTransport>();
  const CacheKey mine{Digest::of("mine")}, foreign{Digest::of("foreign")}, none{Digest::of("-")};
  SignedTransport writer({memory, {}, signing_key(), {}});
  must(writer.publish(std::vector{Publication{mine, "my entry", {}}}, {}));
  must(memory->publish(std::vector{Publication{foreign, "an entry", {}}}, {}));
  int refused = 0;
  SignedTransport reader({memory, keys(kPublic), std::nullopt, [&] { ++refused; }});
  using Found = std::vector<std::optional<std::string>>;
  EXPECT_EQ(must(reader.lookup(std::vector{mine, none}, {})), (Found{"my entry", std::nullopt}));
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(must(reader.lookup(std::vector{foreign, foreign}, {})),
            (Found{std::nullopt, std::nullopt}));
  EXPECT_EQ(refused, 1);
  SignedTransport anybody({memory, {}, std::nullopt, {}});
  EXPECT_THAT(*must(anybody.lookup(std::vector{mine}, {}))[0], HasSubstr("my entry"));
}

}  // namespace
}  // namespace kiln::cache
