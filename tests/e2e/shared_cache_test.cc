// Caches that machines share: another root stands for another machine.
#include <gmock/gmock.h>

#include "base/fs.h"
#include "tests/e2e/kiln_runner.h"
#include "tests/fakes/fake_registry.h"

namespace kiln::e2e {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

enum class Place : uint8_t { kDirectory, kRegistry };

constexpr const char* kPrivateKey =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
    "-----END PRIVATE KEY-----\n";
constexpr const char* kPublicKey =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n"
    "-----END PUBLIC KEY-----\n";
constexpr const char* kOtherPublicKey =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
    "-----END PUBLIC KEY-----\n";

class SharedCacheTest : public KilnTest, public testing::WithParamInterface<Place> {
 protected:
  void SetUp() override {
    KilnTest::SetUp();
    if (IsSkipped()) return;
    // One base image for both machines: an import has a time of its own.
    ASSERT_EQ(kiln({"save", "base", "-o", path("base.tar")}).exit_code, 0);
    ASSERT_EQ(kiln_at(path("other"), {"load", "-q", "-i", path("base.tar")}).exit_code, 0);
    context_ =
        context("c", {{"f", "data"},
                      {"Dockerfile", kBuildStage + "RUN echo ran-$((2))\n"
                                                   "FROM base\n"
                                                   "RUN echo ran-$((3)); date +%s.%N > /made\n"
                                                   "COPY --from=build /out /stamp /\n"
                                                   "ENV A=b\n"}});
  }
  Output build_on(const std::string& where, std::vector<std::string> more) const {
    std::vector<std::string> args = {"build", "--progress=plain", "-t", "app", context_};
    args.insert(args.begin() + 1, more.begin(), more.end());
    Output output = kiln_at(where, args);
    EXPECT_EQ(output.exit_code, 0) << output.err;
    return output;
  }
  std::string image_id(const std::string& where) const {
    return kiln_at(where, {"images", "-q", "--no-trunc", "app"}).out;
  }
  std::string to(const std::string& more = {}) const {
    return GetParam() == Place::kDirectory
               ? "--cache-to=type=local,dest=" + path("cache") + more
               : "--cache-to=type=registry,ref=" + registry_.host() + "/team/app:cache" + more;
  }
  std::string from() const {
    return GetParam() == Place::kDirectory
               ? "--cache-from=type=local,src=" + path("cache")
               : "--cache-from=type=registry,ref=" + registry_.host() + "/team/app:cache";
  }
  void lose_layers() {
    if (GetParam() == Place::kDirectory)
      ASSERT_TRUE(remove_tree(path("cache/blobs")));
    else
      registry_.script("GET", "/blobs/", fake::FakeRegistry::status(404), 1000);
  }
  void must_write(const std::string& file, const std::string& text) const {
    ASSERT_TRUE(write_file(context_ + "/" + file, text));
  }
  // What a step prints only if it runs.
  static bool ran(const Output& build, int step) {
    return build.err.find("ran-" + std::to_string(step)) != std::string::npos;
  }
  const std::string kBuildStage =
      "FROM base AS build\nCOPY f /f\nRUN echo ran-$((1)); cat f > out; date +%s.%N > stamp\n";
  std::string context_;
  fake::FakeRegistry registry_;
};

INSTANTIATE_TEST_SUITE_P(Places, SharedCacheTest,
                         testing::Values(Place::kDirectory, Place::kRegistry),
                         [](const auto& place) {
                           return place.param == Place::kDirectory ? "Directory" : "Registry";
                         });

TEST_P(SharedCacheTest, AnotherMachineRunsNothingAndGetsTheSameImage) {
  const Output first = build_on(root(), {to(",mode=max")});
  EXPECT_TRUE(ran(first, 1) && ran(first, 3));
  const Output again = build_on(path("other"), {from()});
  EXPECT_THAT(again.err, Not(ContainsRegex("ran-[0-9]")));
  EXPECT_EQ(image_id(path("other")), image_id(root()));
}

TEST_P(SharedCacheTest, WhatChangedRunsOnWhatIsShared) {
  (void)build_on(root(), {to(",mode=max")});
  must_write("Dockerfile", kBuildStage + "RUN echo ran-$((4)); cat stamp out > both\n");
  const Output changed = build_on(path("other"), {from()});
  EXPECT_FALSE(ran(changed, 1)) << changed.err;
  EXPECT_TRUE(ran(changed, 4)) << changed.err;
}

TEST_P(SharedCacheTest, MinKeepsWhatIsInTheImage) {
  (void)build_on(root(), {to()});
  EXPECT_THAT(build_on(path("other"), {from()}).err, Not(ContainsRegex("ran-[0-9]")));
  EXPECT_EQ(image_id(path("other")), image_id(root()));
  must_write("Dockerfile", kBuildStage);
  EXPECT_TRUE(ran(build_on(path("other"), {from()}), 1));
}

TEST_P(SharedCacheTest, ACacheThatLostItsLayersCostsAWarningAndARebuild) {
  (void)build_on(root(), {to(",mode=max")});
  lose_layers();
  const Output again = build_on(path("other"), {from()});
  EXPECT_TRUE(ran(again, 1) && ran(again, 3)) << again.err;
  EXPECT_THAT(again.err, HasSubstr("building without the shared caches"));
}

// What succeeded before a step failed was sent while the build ran.
TEST_P(SharedCacheTest, AFailedBuildSharesWhatItGotTo) {
  must_write("Dockerfile", kBuildStage + "RUN exit 3\n");
  const Output failed = kiln({"build", "--progress=plain", to(",mode=max"), context_});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_TRUE(ran(failed, 1)) << failed.err;
  must_write("Dockerfile", kBuildStage);
  EXPECT_FALSE(ran(build_on(path("other"), {from()}), 1));
}

TEST_P(SharedCacheTest, CacheMountsTravelIfTheyAreNamed) {
  const auto write_step = [&](const std::string& step) {
    must_write("Dockerfile",
               "FROM base\nRUN --mount=type=cache,id=work,target=/w "
               "--mount=type=cache,target=/v echo " +
                   step + " >>/w/n; echo v >>/v/n; echo got-$(cat /w/n)-$(cat /v/n)\n");
  };
  write_step("one");
  (void)build_on(root(), {to(",mounts=work")});
  write_step("two");
  EXPECT_THAT(build_on(path("other"), {from() + ",mounts=all", to(",mounts=all")}).err,
              HasSubstr("got-one two-v\n"));
  write_step("three");
  ASSERT_TRUE(remove_tree(path("other/cachemounts")));
  EXPECT_THAT(build_on(path("other"), {from() + ",mounts=/v;none"}).err,
              HasSubstr("got-three-v v\n"));
  // A step that is built anew starts with an empty one.
  EXPECT_THAT(build_on(path("other"), {from() + ",mounts=all", "--no-cache"}).err,
              HasSubstr("got-three-v\n"));
}

TEST_P(SharedCacheTest, OnlyWhatSomebodyTrustedSignedIsUsed) {
  ASSERT_TRUE(write_file(path("ours"), kPrivateKey));
  ASSERT_TRUE(write_file(path("ours.pub"), kPublicKey));
  ASSERT_TRUE(write_file(path("theirs.pub"), kOtherPublicKey));
  (void)build_on(root(), {to(",mode=max,sign=" + path("ours"))});
  const Output refused = build_on(path("other"), {from() + ",trust=" + path("theirs.pub")});
  EXPECT_TRUE(ran(refused, 1));
  EXPECT_THAT(refused.err, HasSubstr("nobody trusted has signed"));
  ASSERT_TRUE(remove_tree(path("other")));
  ASSERT_EQ(kiln_at(path("other"), {"load", "-q", "-i", path("base.tar")}).exit_code, 0);
  EXPECT_FALSE(ran(build_on(path("other"), {from() + ",trust=" + path("ours.pub")}), 1));
}

TEST_P(SharedCacheTest, AnotherExportKeepsWhatIsThere) {
  const std::string reset = GetParam() == Place::kDirectory ? ",reset=true" : "";
  (void)build_on(root(), {to(",mode=max" + reset)});
  (void)build_on(root(), {to(",mode=max,wait=false")});
  (void)build_on(root(), {to(",mode=max" + reset)});  // all of it cached
  EXPECT_THAT(build_on(path("other"), {from()}).err, Not(ContainsRegex("ran-[0-9]")));
}

// A cache in the config of the image itself.
class InlineCacheTest : public SharedCacheTest {
 protected:
  std::vector<std::string> push(const std::string& name) const {
    return {"-o", "type=registry,name=" + registry_.host() + "/team/" + name,
            "--cache-to=type=inline"};
  }
  std::string image() const { return "--cache-from=" + registry_.host() + "/team/app:1"; }
};
INSTANTIATE_TEST_SUITE_P(Places, InlineCacheTest, testing::Values(Place::kRegistry));

TEST_P(InlineCacheTest, AnotherMachineRunsNothingAndMakesTheSameImage) {
  std::vector<std::string> both = push("app:1");
  both.insert(both.end(), {"-o", "type=oci,dest=" + path("app.tar")});
  (void)build_on(root(), both);
  std::vector<std::string> again = push("app:2");
  again.push_back(image());
  EXPECT_THAT(build_on(path("other"), again).err, Not(ContainsRegex("ran-[0-9]")));
  EXPECT_EQ(registry_.manifest("team/app", "2"), registry_.manifest("team/app", "1"));

  // What stands on it says nothing of its cache; what changed runs on what is shared.
  must_write("Dockerfile", kBuildStage +
                               "FROM base\nRUN echo ran-$((3)); date +%s.%N > /made\n"
                               "RUN echo ran-$((4))\n");
  again = push("app:3");
  again.push_back(image());
  ASSERT_EQ(kiln_at(path("third"), {"load", "-q", "-i", path("base.tar")}).exit_code, 0);
  const Output changed = build_on(path("third"), again);
  EXPECT_FALSE(ran(changed, 3)) << changed.err;
  EXPECT_TRUE(ran(changed, 4)) << changed.err;
  const std::string c =
      context("on", {{"Dockerfile", "FROM " + registry_.host() + "/team/app:1\nLABEL a=b\n"}});
  ASSERT_EQ(kiln({"build", "-t", "on", c}).exit_code, 0);
  EXPECT_EQ(image_config("on").find("kiln.cache.v1"), nullptr);
}

// It answers what it is asked, and then sends and takes no layers: layers, cache mounts and exports
// lose patience with it together.
class SilentServerTest : public SharedCacheTest {};
INSTANTIATE_TEST_SUITE_P(Places, SilentServerTest, testing::Values(Place::kRegistry));

TEST_P(SilentServerTest, CostsOneWarningAndIsLeftAloneByAll) {
  const std::string mount = "RUN --mount=type=cache,target=/w echo w >>/w/n; echo ran-$((2))";
  must_write("Dockerfile", kBuildStage + mount + "\n");
  (void)build_on(root(), {to(",mode=max,mounts=all")});
  const fake::FakeRegistry::Act silence = [](const fake::Request&, const auto&) {
    return fake::Response{.fault = fake::Fault::kStall, .silent = true};
  };
  registry_.script("GET", "/blobs/", silence, 1000);
  registry_.script("POST", "/blobs/", silence, 1000);
  const size_t sent = registry_.asked("/blobs/", "POST");
  must_write("Dockerfile", kBuildStage + mount + "; echo ran-$((3)) got-$(cat /w/n)\n");
  const Output again =
      build_on(path("other"), {from() + ",mounts=all", to(",mode=max,mounts=all")});
  EXPECT_TRUE(ran(again, 1) && ran(again, 2)) << again.err;
  EXPECT_THAT(again.err, HasSubstr("ran-3 got-w\n"));
  EXPECT_THAT(again.err, HasSubstr("kept the build waiting for 5000 ms"));
  EXPECT_EQ(count(again.err, "WARN: CacheUnavailable"), 1) << again.err;
  EXPECT_EQ(registry_.asked("/blobs/", "POST"), sent);
  EXPECT_THAT(again.err, Not(HasSubstr("exporting cache")));
}

class CacheTroubleTest : public KilnTest {
 protected:
  std::string context_;
  void SetUp() override {
    KilnTest::SetUp();
    if (!IsSkipped())
      context_ = context("c", {{"f", "data"}, {"Dockerfile", "FROM scratch\nCOPY f /\n"}});
  }
};

// Not there, not writable, nobody listening.
TEST_F(CacheTroubleTest, ACacheThatIsNotThereCostsAWarning) {
  const std::string unwritable = "/proc/kiln-cache", nobody = "127.0.0.1:1/app:cache";
  struct Row {
    std::string option, text;
  };
  for (const Row& row : std::vector<Row>{
           {"--cache-from=type=local,src=" + path("absent"), "there is no such directory"},
           {"--cache-to=type=local,dest=" + unwritable, "exporting cache to cache directory"},
           {"--cache-from=type=registry,ref=" + nobody, "importing cache from registry cache"},
           {"--cache-to=type=registry,ref=" + nobody, "exporting cache to registry cache"},
       }) {
    // A file that no build has had: what is cached here is not looked for elsewhere.
    ASSERT_TRUE(write_file(context_ + "/f", row.option));
    const Output built = kiln({"build", "--progress=plain", row.option, context_});
    EXPECT_EQ(built.exit_code, 0) << row.option << built.err;
    EXPECT_THAT(built.err, HasSubstr(row.text)) << row.option;
  }
  const Output strict =
      kiln({"build", "--progress=plain",
            "--cache-to=type=local,ignore-error=false,dest=" + unwritable, context_});
  EXPECT_EQ(strict.exit_code, 1) << strict.err;
}

TEST_F(CacheTroubleTest, OptionsAreCheckedBeforeAnythingIsDone) {
  struct Row {
    std::string option, text;
  };
  for (const Row& row : std::vector<Row>{
           {"--cache-from=type=local", "it needs src=DIRECTORY"},
           {"--cache-to=type=local,dest=x,mod=max", "did you mean mode?"},
           {"--cache-to=type=local,dest=x,mode=most", "expected min or max"},
           {"--cache-to=type=local,dest=x,sign=/dev/null", "expected a private key in PEM"},
           {"--cache-from=type=local,src=x,trust=/absent", "/absent"},
           {"--cache-to=type=local,dest=x,mounts=a;;b", "expected all or ID;ID"},
           {"--cache-to=type=gha", "kiln has no type=gha"},
           {"--cache-to=type=inline", "no output takes the image anywhere"},
           {"--cache-to=type=inline,mode=max", "its own layers only (min)"},
           {"--cache-from=type=inline", "read it with type=registry,ref=IMAGE"},
           {"--cache-to=type=local,dest=x,wait=false,ignore-error=false", "exclude each other"},
           {"--cache-from=type=foo", "unknown type \"foo\": expected local"},
           {"--cache-to=type=local,dest=x,dest=y", "\"dest\" is given twice"},
           {"--cache-from=type=registry,ref=UPPER", "--cache-from"},
       }) {
    const Output refused = kiln({"build", row.option, context_});
    EXPECT_EQ(refused.exit_code, 2) << row.option << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(row.text)) << row.option;
  }
}

}  // namespace
}  // namespace kiln::e2e
