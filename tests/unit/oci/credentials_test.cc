#include "oci/credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/parallel.h"
#include "oci/credential_helper.h"

namespace kiln::oci {
namespace {

using testing::HasSubstr;
using testing::Not;

Credentials found(const CredentialStore& store, const std::string& domain) {
  const auto credentials = store.find(domain, {});
  EXPECT_TRUE(credentials) << domain;
  return credentials ? credentials->value_or(Credentials{}) : Credentials{};
}

TEST(CredentialStoreTest, ReadsAuthsAsDockerWritesThem) {
  const auto store = CredentialStore::parse(R"({"auths": {
    "https://index.docker.io/v1/": {"auth": "dXNlcjpwYTpzcw=="},
    "localhost:5000": {"username": "u", "password": "p"},
    "https://Registry.example/v2/": {"identitytoken": "refresh"},
    "empty.example": {}
  }})")
                         .value();
  EXPECT_EQ(found(store, "docker.io").username, "user");
  EXPECT_EQ(found(store, "docker.io").password, "pa:ss");
  EXPECT_EQ(found(store, "localhost:5000").password, "p");
  EXPECT_EQ(found(store, "registry.example").identity_token, "refresh");
  for (const char* none : {"empty.example", "localhost", "localhost:5001"})
    EXPECT_FALSE(store.find(none, {}).value()) << none;
}

TEST(CredentialStoreTest, DamagedFilesAreErrorsWithoutTheSecret) {
  EXPECT_FALSE(CredentialStore::parse("{"));
  const auto store =
      CredentialStore::parse(R"({"auths": {"r": {"auth": "c2VjcmV0"}, "s": {"auth": "dTpw"}}})")
          .value();
  EXPECT_EQ(store.find("s", {}).value()->username, "u");  // the other is its own affair
  const auto damaged = store.find("r", {});
  ASSERT_FALSE(damaged);
  EXPECT_THAT(damaged.error().message(), Not(HasSubstr("c2VjcmV0")));
  EXPECT_THAT(damaged.error().message(), Not(HasSubstr("secret")));
}

// A helper that keeps what it is given in files, and notes its arguments.
class CredentialHelperTest : public testing::Test {
 protected:
  void SetUp() override {
    install("files", "d='" + dir_.path() +
                         "'\necho \"$@\" >> $d/calls\n"
                         "case $1 in\n"
                         "store) cat > $d/kept;;\n"
                         "get) cat > $d/asked; if [ -f $d/kept ]; then cat $d/kept; else echo "
                         "'credentials not found in native keychain'; exit 1; fi;;\n"
                         "erase) cat > $d/erased; rm $d/kept;;\n"
                         "esac\n");
  }
  void install(const std::string& name, const std::string& script) {
    const std::string file = dir_.path() + "/docker-credential-" + name;
    ASSERT_TRUE(write_file(file, "#!/bin/sh\n" + script));
    ASSERT_EQ(::chmod(file.c_str(), 0700), 0);
  }
  std::string text(const std::string& name) const {
    return read_file(dir_.path() + "/" + name, 1 << 16).value_or("");
  }
  CredentialHelper helper(const std::string& name = "files") const {
    return CredentialHelper::named(place_, name).value();
  }
  TempDir dir_ = TempDir::create("/tmp", "helper").value();
  HelperPlace place_{dir_.path(), {"PATH=/usr/bin:/bin"}};
};

TEST_F(CredentialHelperTest, KeepsFindsAndForgetsWithNoSecretInItsArguments) {
  EXPECT_EQ(helper().get("r.example", {}).value(), std::nullopt);
  ASSERT_TRUE(helper().store("r.example", {"u", "geheim", ""}, {}));
  const auto kept = helper().get("r.example", {}).value();
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->username, "u");
  EXPECT_EQ(kept->password, "geheim");
  ASSERT_TRUE(helper().erase("r.example", {}));
  EXPECT_EQ(text("erased"), "r.example");
  EXPECT_EQ(text("calls"), "get\nstore\nget\nerase\n");
}

TEST_F(CredentialHelperTest, AnIdentityTokenTravelsAsTheSecretOfToken) {
  ASSERT_TRUE(helper().store("r.example", {"u", "", "refresh"}, {}));
  EXPECT_THAT(text("kept"), HasSubstr(R"("Username":"<token>")"));
  EXPECT_EQ(helper().get("r.example", {}).value()->identity_token, "refresh");
}

TEST_F(CredentialHelperTest, ManyWhoAskAtOnceHaveItRunOnce) {
  ASSERT_TRUE(helper().store("r.example", {"u", "geheim", ""}, {}));
  const CredentialStore store =
      CredentialStore::parse(R"({"credHelpers": {"r.example": "files"}})", &place_).value();
  ASSERT_TRUE(for_each_at_once(8, 8, [&](size_t) -> Status {
    KILN_TRY_ASSIGN(const auto found, store.find("r.example", {}));
    EXPECT_EQ(found.value_or(Credentials()).password, "geheim");
    return {};
  }));
  EXPECT_EQ(text("calls"), "store\nget\n");
}

TEST_F(CredentialHelperTest, WhatAHelperMayDoWrongIsAnError) {
  install("fails", "echo 'the vault is shut'; exit 1\n");
  install("talks", "head -c 100000 /dev/zero\n");
  install("garbage", "echo nonsense\n");
  const std::pair<const char*, const char*> cases[] = {{"fails", "the vault is shut"},
                                                       {"talks", "more than 64 KiB"},
                                                       {"garbage", "no credential"},
                                                       {"absent", "is not installed"}};
  for (const auto& [name, why] : cases) {
    const auto got = helper(name).get("r.example", {});
    ASSERT_FALSE(got) << name;
    EXPECT_THAT(got.error().message(), HasSubstr(why));
  }
  for (const char* name : {"", "../x", "a b", "/bin/sh"})
    EXPECT_FALSE(CredentialHelper::named(place_, name)) << name;
}

TEST_F(CredentialHelperTest, TheStoreAsksTheHelperOfADomainOnceAndTheFileForTheRest) {
  ASSERT_TRUE(helper().store("x", {"u", "p", ""}, {}));
  const auto store = CredentialStore::parse(R"({"auths": {"b.example": {"auth": "dTpw"}},
    "credHelpers": {"a.example": "files"}})",
                                            &place_)
                         .value();
  EXPECT_EQ(found(store, "a.example").password, "p");
  EXPECT_EQ(found(store, "a.example").password, "p");
  EXPECT_EQ(found(store, "b.example").password, "p");
  EXPECT_EQ(text("calls"), "store\nget\n");
  const auto all = CredentialStore::parse(R"({"credsStore": "files"})", &place_).value();
  EXPECT_EQ(found(all, "docker.io").password, "p");
  EXPECT_EQ(text("asked"), "https://index.docker.io/v1/");
}

TEST(CredentialFileTest, ChangesItsOwnEntryAndNothingElse) {
  const std::string before =
      R"({"HttpHeaders":{"a":"b"},"auths":{"docker.io/v1":{},"x":{"auth":"eDp5"}},"psFormat":"t"})";
  auto file = CredentialFile::parse(before).value();
  file.set("docker.io", {"u", "p", ""});
  EXPECT_EQ(Json::parse(file.text()).value().dump(),
            R"({"HttpHeaders":{"a":"b"},"auths":{"x":{"auth":"eDp5"},)"
            R"("https://index.docker.io/v1/":{"auth":"dTpw"}},"psFormat":"t"})");
  EXPECT_TRUE(file.has("docker.io"));
  file.set("y", {"u", "not kept", "refresh"});
  EXPECT_THAT(file.text(), HasSubstr("\"auth\": \"dTo=\""));
  file.erase("docker.io");
  file.erase("y");
  EXPECT_EQ(Json::parse(file.text()).value().dump(),
            R"({"HttpHeaders":{"a":"b"},"auths":{"x":{"auth":"eDp5"}},"psFormat":"t"})");
  EXPECT_FALSE(CredentialFile::parse(R"({"auths": 1})"));
  EXPECT_FALSE(CredentialFile::parse("[]"));
}

}  // namespace
}  // namespace kiln::oci
