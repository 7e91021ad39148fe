// CDI: specs of strangers, which device a name is, and what of the machine goes into a sandbox.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fs.h"
#include "solver/executor/cdi_registry.h"
#include "solver/executor/device_edits.h"
#include "tests/fakes/must.h"

namespace kiln {
namespace {

using fake::code_of;
using fake::message_of;
using fake::must;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Names = std::vector<std::string>;

Result<CdiSpec> yaml(const std::string& text) {
  return parse_cdi_spec(text, CdiSyntax::kYaml);
}

std::string with_edits(const std::string& edits) {
  return "{cdiVersion: 0.6.0, kind: v/c, devices: [{name: d, containerEdits: {" + edits + "}}]}";
}

TEST(CdiSpecTest, ReadsEverythingThatASpecCanSay) {
  const CdiSpec spec = must(yaml(R"(cdiVersion: "0.7.0"
kind: vendor.com/class
annotations: {a: b, autoallow: true}
containerEdits:
  env: [ALL=1]
devices:
- name: 0
  annotations: {n: 1}
  containerEdits:
    env: ["A=b=c"]
    deviceNodes:
    - path: /dev/x
    - {path: /dev/y, hostPath: /dev/z, type: c, major: 1, minor: 5, fileMode: 0600, permissions: r, uid: 1, gid: 2}
    mounts:
    - {hostPath: /usr/lib/x, containerPath: /lib/x, options: [ro, nosuid, rbind], type: bind}
    hooks:
    - {hookName: createContainer, path: /bin/hook, args: [hook, x], env: [E=1], timeout: 5}
    additionalGids: [5, 0]
    intelRdt: {closID: x}
)"));
  EXPECT_EQ(spec.kind, "vendor.com/class");
  EXPECT_THAT(spec.edits.env, ElementsAre("ALL=1"));
  EXPECT_EQ(spec.annotations, (CdiAnnotations{{"a", "b"}, {"autoallow", "true"}}));
  const CdiDevice& device = spec.devices.at(0);
  EXPECT_EQ(device.name, "0") << "a name without quotes is a name all the same";
  EXPECT_EQ(device.annotations.at("n"), "1");
  ASSERT_EQ(device.edits.nodes.size(), 2U);
  EXPECT_EQ(device.edits.nodes[0].path, "/dev/x");
  EXPECT_FALSE(device.edits.nodes[0].major);
  EXPECT_EQ(device.edits.nodes[1].minor, 5U);
  EXPECT_EQ(device.edits.nodes[1].file_mode, 0600U);
  EXPECT_THAT(device.edits.mounts.at(0).options, ElementsAre("ro", "nosuid", "rbind"));
  EXPECT_EQ(device.edits.hooks.at(0).timeout_seconds, 5U);
  EXPECT_THAT(device.edits.additional_gids, ElementsAre(5U, 0U));
  EXPECT_THAT(device.edits.unsupported, ElementsAre("intelRdt"));
}

TEST(CdiSpecTest, RefusesWhatIsNoSpecWithItsPlace) {
  const std::pair<std::string, std::string> cases[] = {
      {"[]", "it must be an object"},
      {"{kind: v/c, devices: [{name: a}]}", "cdiVersion: "},
      {"{cdiVersion: 2.0.0, kind: v/c, devices: [{name: a}]}", "cdiVersion: \"2.0.0\""},
      {"{cdiVersion: 0.6.0, kind: v, devices: [{name: a}]}", "kind: \"v\""},
      {"{cdiVersion: 0.6.0, kind: v/c/d, devices: [{name: a}]}", "no valid class"},
      {"{cdiVersion: 0.6.0, kind: ../c, devices: [{name: a}]}", "no valid vendor"},
      {"{cdiVersion: 0.6.0, kind: v/c, devices: []}", "devices: must not be empty"},
      {"{cdiVersion: 0.6.0, kind: v/c, devices: {name: a}}", "devices: must be an array"},
      {"{cdiVersion: 0.6.0, kind: v/c, devices: [{name: '*'}]}",
       "devices[0].name: \"*\" is no name"},
      {"{cdiVersion: 0.6.0, kind: v/c, devices: [{name: a}, {name: a}]}", "twice"},
      {"{cdiVersion: 0.6.0, kind: v/c, device: [{name: a}]}", "did you mean devices?"},
      {with_edits("env: [A]"), "env: \"A\" is not of the form NAME=VALUE"},
      {with_edits("env: ['=x']"), "NAME=VALUE"},
      {with_edits("env: [\"A=\\0\"]"), "zero byte"},
      {with_edits("env: [[A=b]]"), "devices[0].containerEdits.env[0]: must be a string"},
      {with_edits("deviceNodes: [{}]"), "deviceNodes[0].path: \"\" is not an absolute path"},
      {with_edits("deviceNodes: [{path: dev/x}]"), "not an absolute path"},
      {with_edits("deviceNodes: [{path: /dev/../etc/x}]"), "not a clean path"},
      {with_edits("deviceNodes: [{path: /dev/x, type: s}]"), "type: \"s\""},
      {with_edits("deviceNodes: [{path: /dev/x, major: -1}]"), "major: -1 is not between"},
      {with_edits("deviceNodes: [{path: /dev/x, major: 18446744073709551615}]"), "not between"},
      {with_edits("deviceNodes: [{path: /dev/x, minor: 1.5}]"), "must be a whole number"},
      {with_edits("deviceNodes: [{path: /dev/x, uid: 4294967295}]"), "uid: "},
      {with_edits("deviceNodes: [{path: /dev/x, permissions: rx}]"), "permissions: \"rx\""},
      {with_edits("mounts: [{hostPath: /a}]"), "containerPath: "},
      {with_edits("mounts: [{hostPath: /a, containerPath: /b, type: tmpfs}]"), "only bind mounts"},
      {with_edits("mounts: [{hostPath: /a, containerPath: /b, options: [rshared]}]"),
       "\"rshared\""},
      {with_edits("hooks: [{hookName: x, path: /x}]"), "hookName: \"x\" is no hook"},
      {with_edits("hooks: [{hookName: poststop, path: x}]"), "not an absolute path"},
      {with_edits("hooks: [{hookName: poststop, path: /x, timeout: 0}]"), "more than 0"},
      {with_edits("additionalGids: [x]"), "additionalGids[0]: must be a whole number"},
      {with_edits("devicenodes: []"), "unknown (did you mean deviceNodes?)"},
      {"a: &a 1", "anchor"},
  };
  for (const auto& [text, message] : cases) {
    const auto spec = yaml(text);
    EXPECT_EQ(code_of(spec), "invalid_argument") << text;
    EXPECT_THAT(message_of(spec), HasSubstr(message)) << text;
  }
  EXPECT_EQ(code_of(yaml(std::string((1U << 20U) + 1, ' '))), "resource_exhausted");
  EXPECT_EQ(code_of(parse_cdi_spec(std::string(100, '['), CdiSyntax::kJson)), "resource_exhausted");
}

class CdiRegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    must(make_dirs(etc()));
    must(make_dirs(run()));
  }
  std::string etc() const { return directory_.path() + "/etc"; }
  std::string run() const { return directory_.path() + "/run"; }
  static void add(const std::string& path, const std::string& kind, const std::string& rest) {
    must(write_file(path, "cdiVersion: 0.6.0\nkind: " + kind + "\n" + rest + "\n"));
  }
  CdiRegistry read() const { return CdiRegistry::read(Names{etc(), run(), "/nowhere/at/all"}); }
  static Names found(const CdiRegistry& registry, const std::string& name) {
    return must(registry.find({name, false}));
  }
  TempDir directory_ = must(TempDir::create("/tmp", "kiln-cdi-"));
};

TEST_F(CdiRegistryTest, FindsByNameKindStarAndClass) {
  add(etc() + "/a.yaml", "v.com/multi",
      "devices: [{name: foo}, {name: bar, annotations: {org.mobyproject.buildkit.device.class: "
      "big}}, {name: baz, annotations: {org.mobyproject.buildkit.device.class: big}}]");
  must(write_file(etc() + "/b.json",
                  R"({"cdiVersion":"0.6.0","kind":"v.com/one","devices":[{"name":"big"}],
                     "annotations":{"org.mobyproject.buildkit.device.class":"x"}})"));
  const CdiRegistry registry = read();
  EXPECT_THAT(registry.problems(), IsEmpty());
  EXPECT_THAT(found(registry, "v.com/multi=foo"), ElementsAre("v.com/multi=foo"));
  EXPECT_THAT(found(registry, "v.com/multi"), ElementsAre("v.com/multi=bar"));
  EXPECT_THAT(found(registry, "v.com/multi=*"),
              ElementsAre("v.com/multi=bar", "v.com/multi=baz", "v.com/multi=foo"));
  EXPECT_THAT(found(registry, "v.com/multi=big"),
              ElementsAre("v.com/multi=bar", "v.com/multi=baz"));
  EXPECT_THAT(found(registry, "v.com/one=x"), ElementsAre("v.com/one=big"));
  EXPECT_THAT(must(registry.find({"v.com/one=none", true})), IsEmpty());
  EXPECT_EQ(code_of(registry.find({"v.com/one=none", false})), "not_found");
  EXPECT_EQ(code_of(registry.find({"v.com", true})), "invalid_argument");
  EXPECT_EQ(code_of(registry.find({"v.com/", true})), "invalid_argument");
}

TEST_F(CdiRegistryTest, TheLaterDirectoryCountsAndTwiceInOneIsAnError) {
  add(etc() + "/a.yaml", "v/c", "devices: [{name: d, containerEdits: {env: [FROM=etc]}}]");
  add(run() + "/a.yaml", "v/c", "devices: [{name: d, containerEdits: {env: [FROM=run]}}]");
  EXPECT_THAT(must(read().edits(Names{"v/c=d"})).env, ElementsAre("FROM=run"));
  add(run() + "/b.yaml", "v/c", "devices: [{name: d}, {name: e}]");
  EXPECT_EQ(code_of(read().find({"v/c=d", false})), "failed_precondition");
  EXPECT_THAT(found(read(), "v/c=e"), ElementsAre("v/c=e"));
}

TEST_F(CdiRegistryTest, ASpecThatCannotBeUsedHidesNoOther) {
  add(etc() + "/good.yaml", "v/c", "devices: [{name: d}]");
  must(write_file(etc() + "/bad.yaml", "kind: ["));
  must(write_file(etc() + "/ignored.txt", "kind: ["));
  must(make_dirs(etc() + "/directory.json"));
  ASSERT_EQ(::mkfifo((etc() + "/fifo.json").c_str(), 0600), 0);
  const CdiRegistry registry = read();
  EXPECT_EQ(registry.problems().size(), 3U);
  EXPECT_THAT(found(registry, "v/c=d"), ElementsAre("v/c=d"));
  const auto missing = registry.find({"v/c=e", false});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().advice(), HasSubstr("bad.yaml")) << "it may be the one that is meant";
}

TEST_F(CdiRegistryTest, ADeviceMayAllowItself) {
  constexpr const char* kAllow = "annotations: {org.mobyproject.buildkit.device.autoallow: true}";
  add(etc() + "/a.yaml", "v/all", std::string("devices: [{name: d}]\n") + kAllow);
  add(etc() + "/b.yaml", "v/one", std::string("devices: [{name: a}, {name: b, ") + kAllow + "}]");
  const CdiRegistry registry = read();
  EXPECT_TRUE(registry.allows_itself("v/all=d"));
  EXPECT_FALSE(registry.allows_itself("v/one=a"));
  EXPECT_TRUE(registry.allows_itself("v/one=b"));
  EXPECT_FALSE(registry.allows_itself("v/one=c"));
}

TEST_F(CdiRegistryTest, EditsOfASpecComeOnceAndBeforeItsDevices) {
  add(etc() + "/a.yaml", "v/c",
      "containerEdits: {env: [SPEC=1]}\n"
      "devices: [{name: a, containerEdits: {env: [A=1]}}, {name: b, containerEdits: {env: [B=1]}}, "
      "{name: net, containerEdits: {netDevices: [{hostInterfaceName: e, name: e}]}}]");
  const CdiRegistry registry = read();
  EXPECT_THAT(must(registry.edits(Names{"v/c=b", "v/c=a"})).env,
              ElementsAre("SPEC=1", "B=1", "A=1"));
  EXPECT_THAT(message_of(registry.edits(Names{"v/c=net"})), HasSubstr("netDevices"));
}

CdiEdits node(const std::string& path, const std::string& host = "") {
  CdiEdits edits;
  edits.nodes.emplace_back();
  edits.nodes.back().path = path;
  edits.nodes.back().host_path = host;
  return edits;
}

TEST(DeviceEditsTest, WhatASpecLeavesOutIsTheHostsNodes) {
  CdiEdits edits = node("/dev/kiln0", "/dev/zero");
  const DeviceEdits resolved = must(resolve_devices(edits));
  ASSERT_EQ(resolved.nodes.size(), 1U);
  EXPECT_EQ(resolved.nodes[0].path, "/dev/kiln0");
  EXPECT_EQ(resolved.nodes[0].type, 'c');
  EXPECT_EQ(resolved.nodes[0].major, 1U);
  EXPECT_EQ(resolved.nodes[0].minor, 5U);
  EXPECT_EQ(resolved.nodes[0].access, "rwm");
  edits.nodes[0].type = "b";
  EXPECT_EQ(code_of(resolve_devices(edits)), "invalid_argument") << "the host's is another type";
  edits.nodes[0].major = 7;
  edits.nodes[0].permissions = "none";
  const DeviceEdits told = must(resolve_devices(edits));
  EXPECT_EQ(told.nodes[0].major, 7U) << "complete: nothing is looked at";
  EXPECT_EQ(told.nodes[0].access, "");
}

TEST(DeviceEditsTest, NodesLieBelowDevAlone) {
  for (const char* path : {"/", "/dev", "/etc/zero", "/dev/pts/0", "/dev/shm/x", "/devices/x"})
    EXPECT_EQ(code_of(resolve_devices(node(path, "/dev/zero"))), "invalid_argument") << path;
  EXPECT_EQ(code_of(resolve_devices(node("/dev/sub/zero", "/dev/zero"))), "ok");
  EXPECT_EQ(code_of(resolve_devices(node("/dev/x", "/etc/passwd"))), "invalid_argument");
  EXPECT_EQ(code_of(resolve_devices(node("/dev/x", "/dev/kiln-is-not-there"))), "not_found");
}

TEST(DeviceEditsTest, MountsAreSortedAndTheLastOfATargetCounts) {
  CdiEdits edits;
  edits.mounts = {{"/usr", "/a/b/c", "", {"ro", "nosuid", "rbind"}},
                  {"/usr", "/a", "", {}},
                  {"/etc", "/a", "", {"ro", "rw"}}};
  edits.additional_gids = {0, 5};
  const DeviceEdits resolved = must(resolve_devices(edits));
  ASSERT_EQ(resolved.mounts.size(), 2U);
  EXPECT_EQ(resolved.mounts[0].source, "/etc");
  EXPECT_FALSE(resolved.mounts[0].read_only);
  EXPECT_TRUE(resolved.mounts[1].read_only);
  EXPECT_THAT(resolved.mounts[1].options, ElementsAre("nosuid"));
  EXPECT_THAT(resolved.additional_gids, ElementsAre(5U));
  edits.mounts = {{"/nowhere/at/all", "/a", "", {}}};
  EXPECT_EQ(code_of(resolve_devices(edits)), "not_found");
}

}  // namespace
}  // namespace kiln
