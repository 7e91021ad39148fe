#include <sys/stat.h>
#include <unistd.h>

#include "solver/ops/cache_mounts.h"
#include "solver/ops/exec_key.h"
#include "tests/unit/ops/ops_world.h"

namespace kiln {
namespace {

using fake::normalized_tree;

llb::ExecMount root_mount() {
  llb::ExecMount mount;
  mount.input = 0;
  mount.output = 0;
  return mount;
}

llb::ExecOp shell(std::vector<llb::ExecMount> mounts) {
  llb::ExecOp op;
  op.meta.args = {"/bin/sh", "-c", "what"};
  op.mounts = std::move(mounts);
  op.mounts.insert(op.mounts.begin(), root_mount());
  return op;
}

llb::ExecMount cache_mount(const std::string& id, llb::CacheSharing sharing) {
  llb::ExecMount mount;
  mount.dest = "/cache";
  mount.type = llb::MountType::kCache;
  mount.cache = llb::CacheMountOpt{id, sharing};
  return mount;
}

class ExecOpTest : public fake::OpsWorld {};

TEST_F(ExecOpTest, CommitsWhatTheProcessWrote) {
  executor_.set([](const ExecRequest& request, std::stop_token) -> Result<ExitInfo> {
    KILN_TRY(write_file(request.rootfs + "/made", "x"));
    KILN_TRY(request.out->write(as_bytes("hello\n")));
    return ExitInfo{};
  });
  const auto made = execute(vertex(shell({}), 1), {snapshot_of("f b 0644 0:0 base")});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(listing(made->front()), normalized_tree("f b 0644 0:0 base; f made 0644 0:0 x"));
  EXPECT_EQ(progress_.log, "hello\n");
}

TEST_F(ExecOpTest, AnExitCodeIsAnErrorInBuildKitsWords) {
  executor_.set([](const auto&, auto) { return ExitInfo{127, 0, false, 0}; });
  const auto made = execute(vertex(shell({}), 1), {snapshot_of("")});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message(),
            "process \"/bin/sh -c what\" did not complete successfully: exit code: 127");
}

TEST_F(ExecOpTest, ValidExitCodesAreNoErrors) {
  executor_.set([](const auto&, auto) { return ExitInfo{3, 0, false, 0}; });
  llb::ExecOp op = shell({});
  op.meta.valid_exit_codes = {3};
  EXPECT_TRUE(execute(vertex(op, 1), {snapshot_of("")}));
  executor_.set([](const auto&, auto) { return ExitInfo{}; });
  EXPECT_FALSE(execute(vertex(op, 1), {snapshot_of("")}));
}

TEST_F(ExecOpTest, WritesToABindMountAreThrownAway) {
  llb::ExecMount bind;
  bind.input = 1;
  bind.dest = "/src";
  executor_.set([](const ExecRequest& request, std::stop_token) -> Result<ExitInfo> {
    EXPECT_EQ(request.mounts.front().target, "/src");
    EXPECT_FALSE(request.mounts.front().read_only);
    KILN_TRY(write_file(request.mounts.front().source + "/made", "x"));
    return ExitInfo{};
  });
  const RefPtr source = snapshot_of("f s 0644 0:0 s");
  ASSERT_TRUE(execute(vertex(shell({bind}), 2), {snapshot_of(""), source}));
  EXPECT_EQ(listing(source), normalized_tree("f s 0644 0:0 s"));
}

TEST_F(ExecOpTest, ABindMountShowsTheSelectedPathOfTheContext) {
  fake::make_tree(context(), "d d 0755; d d/e 0755; f d/e/f 0600 7:7 x; f ignored 0644 0:0 i");
  environment_.contexts["context"].exclude_patterns = {"ignored"};
  llb::ExecMount bind;
  bind.input = 1;
  bind.dest = "/src";
  bind.selector = "/d";
  bind.read_only = true;
  std::string seen;
  executor_.set([&](const ExecRequest& request, std::stop_token) -> Result<ExitInfo> {
    seen = fake::list_tree(request.mounts.front().source);
    return ExitInfo{};
  });
  const auto made = execute(vertex(shell({bind}), 2), {snapshot_of(""), context_ref()});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(seen, normalized_tree("d e 0755; f e/f 0600 0:0 x"));
}

TEST_F(ExecOpTest, ACacheKeepsWhatWasWrittenFromBuildToBuild) {
  executor_.set([](const ExecRequest& request, std::stop_token) -> Result<ExitInfo> {
    KILN_TRY(write_file(request.mounts.front().source + "/kept", "x"));
    return ExitInfo{};
  });
  const llb::Vertex one = vertex(shell({cache_mount("id", llb::CacheSharing::kShared)}), 1);
  ASSERT_TRUE(execute(one, {snapshot_of("")}));
  std::string seen;
  executor_.set([&](const ExecRequest& request, std::stop_token) -> Result<ExitInfo> {
    seen = fake::list_tree(request.mounts.front().source);
    return ExitInfo{};
  });
  const auto made = execute(one, {snapshot_of("")});
  ASSERT_TRUE(made);
  EXPECT_EQ(seen, "f kept 0644 0:0 x");
  EXPECT_EQ(listing(made->front()), "");
}

TEST_F(ExecOpTest, ANewCacheStartsWithItsSourceAndItsMetadata) {
  llb::ExecMount mount = cache_mount("id", llb::CacheSharing::kLocked);
  mount.input = 1;
  mount.selector = "/c";
  std::string seen;
  struct stat st {};
  executor_.set([&](const ExecRequest& request, std::stop_token) -> Result<ExitInfo> {
    seen = fake::list_tree(request.mounts.front().source);
    ::stat(request.mounts.front().source.c_str(), &st);
    return ExitInfo{};
  });
  ASSERT_TRUE(execute(vertex(shell({mount}), 2),
                      {snapshot_of(""), snapshot_of("d c 0700 5:6; f c/a 0644 0:0 x")}));
  EXPECT_EQ(seen, "f a 0644 0:0 x");
  EXPECT_EQ(st.st_mode & 07777U, 0700U);
  EXPECT_EQ(st.st_uid, 5U);
}

TEST_F(ExecOpTest, AStepThatIgnoresTheCacheStartsWithAnEmptyCacheMount) {
  executor_.set([](const ExecRequest& request, std::stop_token) -> Result<ExitInfo> {
    EXPECT_EQ(fake::list_tree(request.mounts.front().source), "");
    KILN_TRY(write_file(request.mounts.front().source + "/kept", "x"));
    return ExitInfo{};
  });
  llb::Vertex one = vertex(shell({cache_mount("id", llb::CacheSharing::kShared)}), 1);
  ASSERT_TRUE(execute(one, {snapshot_of("")}));
  one.meta.ignore_cache = true;
  ASSERT_TRUE(execute(one, {snapshot_of("")}));
}

TEST_F(ExecOpTest, PrivateCachesAreSeparateWhileInUse) {
  CacheMounts caches(environment_.cache_mount_directory);
  const FillCache nothing = [](const std::string&) { return Status(); };
  const llb::CacheMountOpt opt{"id", llb::CacheSharing::kPrivate};
  auto first = caches.acquire(opt, nothing, {});
  ASSERT_TRUE(first);
  const auto second = caches.acquire(opt, nothing, {});
  ASSERT_TRUE(second);
  EXPECT_NE(first->path, second->path);
  const std::string freed = first->path;
  { const CacheMount gone = *std::move(first); }
  EXPECT_EQ(caches.acquire(opt, nothing, {})->path, freed);
}

TEST_F(ExecOpTest, ASecretThatIsMissingIsAnErrorUnlessOptional) {
  llb::ExecMount mount;
  mount.dest = "/run/secrets/s";
  mount.type = llb::MountType::kSecret;
  mount.secret = llb::SecretMountOpt{"s", 0, 0, 0400, false};
  const auto made = execute(vertex(shell({mount}), 1), {snapshot_of("")});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message(), "secret s: not found");
  mount.secret->optional = true;
  EXPECT_TRUE(execute(vertex(shell({mount}), 1), {snapshot_of("")}));
  EXPECT_TRUE(executor_.requests().back().mounts.empty());
}

TEST_F(ExecOpTest, ASecretVariableIsPassedAndAnOptionalOneIsEmpty) {
  environment_.secrets["s"] = [] { return Result<std::string>("value"); };
  llb::ExecOp op = shell({});
  op.secret_env = {{"s", "TOKEN", false}, {"none", "OTHER", true}};
  ASSERT_TRUE(execute(vertex(op, 1), {snapshot_of("")}));
  EXPECT_EQ(executor_.requests().back().extra_env,
            (std::vector<std::string>{"TOKEN=value", "OTHER="}));
}

TEST_F(ExecOpTest, ReadOnlyMountsCountByContentOutputsByDefinition) {
  llb::ExecMount bind;
  bind.input = 1;
  bind.dest = "/src";
  bind.selector = "/d";
  bind.read_only = true;
  const llb::Vertex one = vertex(shell({bind}), 2);
  const CacheMap map = cache_map(one).value();
  EXPECT_FALSE(map.inputs[0].by_content);
  EXPECT_TRUE(map.inputs[1].by_content);
  const auto key = [&](const std::string& tree) {
    return content_key(one, 1, snapshot_of(tree)).value().to_string();
  };
  EXPECT_EQ(key("d d 0755; f d/a 0644 0:0 x; f other 0644 0:0 1"),
            key("d d 0755; f d/a 0644 0:0 x; f other 0644 0:0 2"));
  EXPECT_NE(key("d d 0755; f d/a 0644 0:0 x"), key("d d 0755; f d/a 0644 0:0 y"));
}

/// What may and may not change the key, a change a row.
TEST_F(ExecOpTest, TheKeyHoldsWhatChangesTheResultAndNothingElse) {
  using Change = std::function<void(llb::ExecOp&)>;
  const std::vector<std::pair<std::string, Change>> in_key = {
      {"argument", [](auto& op) { op.meta.args.push_back("x"); }},
      {"variable", [](auto& op) { op.meta.env.push_back("A=1"); }},
      {"directory", [](auto& op) { op.meta.cwd = "/x"; }},
      {"user", [](auto& op) { op.meta.user = "x"; }},
      {"hostname", [](auto& op) { op.meta.hostname = "x"; }},
      {"ulimit",
       [](auto& op) {
         op.meta.ulimits.push_back({"nofile", 1, 2});
       }},
      {"cgroup parent", [](auto& op) { op.meta.cgroup_parent = "x"; }},
      {"extra host's name",
       [](auto& op) {
         op.meta.extra_hosts.push_back({"x", "1.2.3.4"});
       }},
      {"network", [](auto& op) { op.network = llb::NetMode::kNone; }},
      {"mount's place", [](auto& op) { op.mounts[1].dest = "/x"; }},
      {"mount's leave to write", [](auto& op) { op.mounts[1].read_only = true; }},
      {"secret's id",
       [](auto& op) {
         op.secret_env.push_back({"a", "B", false});
       }},
  };
  const std::vector<std::pair<std::string, Change>> not_in_key = {
      {"proxy",
       [](auto& op) {
         op.meta.proxy_env = llb::ProxyEnv{"x", "", "", "", ""};
       }},
      {"cache id", [](auto& op) { op.mounts[1].cache->id = "x"; }},
      {"sharing", [](auto& op) { op.mounts[1].cache->sharing = llb::CacheSharing::kLocked; }},
      {"selector", [](auto& op) { op.mounts[1].selector = "/x"; }},
      {"result id", [](auto& op) { op.mounts[1].result_id = "x"; }},
  };
  const llb::ExecOp plain = shell({cache_mount("id", llb::CacheSharing::kShared)});
  const auto key_of = [&](const llb::ExecOp& op) {
    return cache_map(vertex(op, 1)).value().op.digest().to_string();
  };
  for (const auto& [name, change] : in_key) {
    llb::ExecOp op = plain;
    change(op);
    EXPECT_NE(key_of(plain), key_of(op)) << name;
  }
  for (const auto& [name, change] : not_in_key) {
    llb::ExecOp op = plain;
    change(op);
    EXPECT_EQ(key_of(plain), key_of(op)) << name;
  }
}

TEST_F(ExecOpTest, CredentialsOfUrlsAreInTheKeyButNotInItsFields) {
  const auto fields = [](const std::string& url) {
    llb::ExecOp op;
    op.meta.args = {"/bin/sh", "-c", "git clone " + url};
    op.meta.env = {"PLAIN=1", "URL=" + url};
    return exec_key(op, Platform{"linux", "amd64", ""});
  };
  const KeyFields one = fields("https://user:s3cr3t@h/r"), other = fields("https://user:0ther@h/r");
  for (const auto& [name, value] : one.fields) EXPECT_EQ(value.find("s3cr3t"), std::string::npos);
  EXPECT_NE(one.digest(), other.digest());
  EXPECT_EQ(one.digest(), fields("https://user:s3cr3t@h/r").digest());
  size_t digests = 0;
  for (const auto& [name, value] : fields("https://h/r").fields)
    digests += name.ends_with("_digest");
  EXPECT_EQ(digests, 0U) << "what has no credentials keeps its key";
}

TEST_F(ExecOpTest, HostNetworkAndInsecureModeNeedLeave) {
  llb::ExecOp op = shell({});
  op.network = llb::NetMode::kHost;
  EXPECT_EQ(factory_(vertex(op, 1)).error().code(), Code::kPermissionDenied);
  op.network = llb::NetMode::kSandbox;
  op.security = llb::SecurityMode::kInsecure;
  EXPECT_EQ(factory_(vertex(op, 1)).error().code(), Code::kPermissionDenied);
  environment_.insecure_steps = InsecureSteps::kAllowed;
  EXPECT_TRUE(factory_(vertex(op, 1)));
}

class ExecDevicesTest : public ExecOpTest {
 protected:
  void SetUp() override {
    ExecOpTest::SetUp();
    if (IsSkipped()) return;
    environment_.cdi_directories = {directory_->path() + "/cdi"};
    ASSERT_TRUE(make_dirs(environment_.cdi_directories.front()));
    ASSERT_TRUE(write_file(environment_.cdi_directories.front() + "/v.yaml", R"(
cdiVersion: 0.6.0
kind: v/c
devices:
- {name: a, containerEdits: {env: [A=1], deviceNodes: [{path: /dev/a, hostPath: /dev/zero}]}}
- {name: b, containerEdits: {env: [B=1]}}
- {name: free, annotations: {org.mobyproject.buildkit.device.autoallow: true}}
)"));
  }
  llb::Vertex asking(std::vector<llb::CdiDevice> devices) const {
    llb::ExecOp op = shell({});
    op.cdi_devices = std::move(devices);
    return vertex(op, 1);
  }
  void allow(std::string_view text) { ASSERT_TRUE(environment_.device_grants.add(text)); }
  std::string key(const llb::Vertex& asked) {
    return cache_map(asked).value().op.digest().to_string();
  }
};

TEST_F(ExecDevicesTest, NeedLeaveUnlessTheirSpecGivesIt) {
  const auto code = [&](const std::string& name) {
    const auto made = factory_(asking({{name, false}}));
    return made ? "ok" : std::string(to_string(made.error().code()));
  };
  EXPECT_EQ(code("v/c=a"), "permission_denied");
  EXPECT_EQ(code("v/c=*"), "permission_denied") << "one of three allows itself";
  EXPECT_EQ(code("v/c=free"), "ok");
  EXPECT_EQ(code("v/c=none"), "not_found");
  allow("v/c=a");
  allow("v/other");
  EXPECT_EQ(code("v/c=a"), "ok");
  EXPECT_EQ(code("v/c=b"), "permission_denied");
  allow("v/c=b,alias=wanted");
  EXPECT_EQ(code("wanted"), "ok");
  EXPECT_EQ(code("v/c=b"), "permission_denied") << "granted under its other name alone";
  allow("");
  EXPECT_EQ(code("v/c=*"), "ok");
  for (const char* text : {"v", "v/c,x=y", "\"", "v/c,alias"})
    EXPECT_FALSE(environment_.device_grants.add(text)) << text;
}

TEST_F(ExecDevicesTest, WhatTheyNeedReachesTheSandbox) {
  allow("");
  ASSERT_TRUE(
      execute(asking({{"v/c=b", false}, {"v/c=a", true}, {"v/c=none", true}}), {snapshot_of("")}));
  const DeviceEdits got = executor_.requests().back().devices;
  EXPECT_EQ(got.env, (std::vector<std::string>{"B=1", "A=1"}));
  ASSERT_EQ(got.nodes.size(), 1U);
  EXPECT_EQ(got.nodes[0].minor, 5U);
}

TEST_F(ExecDevicesTest, TheKeyHoldsTheDevicesThatAreThere) {
  allow("");
  const std::string plain = key(vertex(shell({}), 1)), a = key(asking({{"v/c=a", false}}));
  EXPECT_NE(plain, a);
  EXPECT_NE(a, key(asking({{"v/c=b", false}})));
  EXPECT_EQ(a, key(asking({{"v/c=a", true}})));
  EXPECT_EQ(a, key(asking({{"v/c", false}}))) << "the first of its class";
  EXPECT_EQ(plain, key(asking({{"v/c=none", true}}))) << "no device, no difference";
}

}  // namespace
}  // namespace kiln
