#include "tests/unit/frontend/convert_support.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln::frontend {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ConvertRunTest, WrapsShellFormsAndKeepsExecForms) {
  const Converted c(
      "FROM alpine\nRUN a $B\nRUN [\"x\",\"$y\"]\nSHELL [\"/bin/bash\",\"-ec\"]\nRUN z\n");
  EXPECT_THAT(c.op<llb::ExecOp>(0).meta.args, ElementsAre("/bin/sh", "-c", "a $B"));
  EXPECT_THAT(c.op<llb::ExecOp>(1).meta.args, ElementsAre("x", "$y"));
  EXPECT_THAT(c.op<llb::ExecOp>(2).meta.args, ElementsAre("/bin/bash", "-ec", "z"));
  EXPECT_THAT(c.config()["Shell"].strings(), ElementsAre("/bin/bash", "-ec"));
}

TEST(ConvertRunTest, RunsInTheStagesDirectoryAsItsUserWithItsEnvironment) {
  const Converted c("FROM app:1\nWORKDIR sub\nUSER 7:8\nENV X=1 Y=2\nRUN a\n");
  const llb::ExecMeta& meta = c.op<llb::ExecOp>().meta;
  EXPECT_EQ(meta.cwd, "/srv/sub");
  EXPECT_EQ(meta.user, "7:8");
  EXPECT_THAT(meta.env, ElementsAre("PATH=/bin", "X=1", "Y=2"));
  EXPECT_TRUE(meta.remove_mount_stubs_recursive);
}

TEST(ConvertRunTest, GivesRunItsArgsAndHistoryTheirValues) {
  const Converted c("ARG G=g\nFROM alpine\nARG G\nARG A=1 B=$A\nARG N\nRUN a\nENV A=env\nRUN b\n");
  EXPECT_THAT(c.op<llb::ExecOp>(0).meta.env, ElementsAre("PATH=/bin", "G=g", "A=1", "B=1"));
  EXPECT_THAT(c.op<llb::ExecOp>(1).meta.env, ElementsAre("PATH=/bin", "G=g", "B=1", "A=env"));
  const auto history = c.history();
  EXPECT_EQ(history[1], "ARG G=g");
  EXPECT_EQ(history[2], "ARG A=1 B=1");
  EXPECT_EQ(history[3], "ARG N");
  EXPECT_EQ(history[4], "RUN |4 G=g A=1 B=1 N= /bin/sh -c a # buildkit");
  EXPECT_EQ(history[6], "RUN |4 G=g A=env B=1 N= /bin/sh -c b # buildkit");
}

TEST(ConvertRunTest, PrefersBuildArgsUnexpandedOverDefaults) {
  const Converted c("ARG A=global\nFROM alpine\nARG A=stage\nRUN a\n", [](FrontendRequest& r) {
    r.build_args = {{"A", "x"}, {"A", "$B"}};
  });
  EXPECT_THAT(c.op<llb::ExecOp>().meta.env, ElementsAre("PATH=/bin", "A=$B"));
}

TEST(ConvertRunTest, LetsAnArgAfterEnvWinInRunButNotInTheConfig) {
  const Converted c("FROM alpine\nENV X=1\nARG X=2\nRUN a\n");
  EXPECT_THAT(c.op<llb::ExecOp>().meta.env, ElementsAre("PATH=/bin", "X=2"));
  EXPECT_THAT(c.config()["Env"].strings(), ElementsAre("PATH=/bin", "X=1"));
}

TEST(ConvertRunTest, PassesArgsOnToStagesBuiltOnThis) {
  const Converted c("FROM alpine AS a\nARG X=1\nFROM a\nRUN x\n");
  EXPECT_THAT(c.op<llb::ExecOp>().meta.env, ElementsAre("X=1", "PATH=/bin"));
  EXPECT_THAT(c.history().back(), HasSubstr("|1 X=1"));
}

TEST(ConvertRunTest, PassesProxiesBesideTheEnvironment) {
  const Converted c("FROM alpine\nRUN a\n", [](FrontendRequest& r) {
    r.build_args = {{"HTTP_PROXY", "p"}, {"no_proxy", "n"}};
  });
  EXPECT_EQ(c.op<llb::ExecOp>().meta.proxy_env, (llb::ProxyEnv{"p", "", "", "n", ""}));
  EXPECT_THAT(c.op<llb::ExecOp>().meta.env, ElementsAre("PATH=/bin"));
  EXPECT_EQ(c.history().back(), "RUN /bin/sh -c a # buildkit");
}

TEST(ConvertRunTest, TakesNetworkSecurityAndLimits) {
  const Converted c(
      "FROM alpine\nRUN a\nRUN --network=none b\nRUN --network=default --security=insecure c\n",
      [](FrontendRequest& r) {
        r.network = llb::NetMode::kHost;
        r.hostname = "box";
        r.cgroup_parent = "/p";
        r.extra_hosts = {{"db", "10.0.0.1"}};
        r.ulimits = {{"nofile", 1, 2}};
        r.resources.memory_bytes = 5;
      });
  EXPECT_EQ(c.op<llb::ExecOp>(0).network, llb::NetMode::kHost);
  EXPECT_EQ(c.op<llb::ExecOp>(1).network, llb::NetMode::kNone);
  EXPECT_EQ(c.op<llb::ExecOp>(2).network, llb::NetMode::kHost);
  EXPECT_EQ(c.op<llb::ExecOp>(2).security, llb::SecurityMode::kInsecure);
  const llb::ExecMeta& meta = c.op<llb::ExecOp>().meta;
  EXPECT_EQ(meta.hostname, "box");
  EXPECT_EQ(meta.cgroup_parent, "/p");
  EXPECT_EQ(meta.extra_hosts, (std::vector<llb::HostIp>{{"db", "10.0.0.1"}}));
  EXPECT_EQ(meta.ulimits, (std::vector<llb::Ulimit>{{"nofile", 1, 2}}));
  EXPECT_EQ(c.result().graph.vertex(1).meta.resources->memory_bytes, 5);
}

TEST(ConvertRunTest, KeepsLimitsOutOfTheDigest) {
  const Converted plain("FROM alpine\nRUN a\n");
  const Converted limited("FROM alpine\nRUN a\n", [](FrontendRequest& r) {
    r.resources.memory_bytes = 5;
    r.no_cache.all = true;
  });
  EXPECT_EQ(plain.result().graph.vertex(1).digest, limited.result().graph.vertex(1).digest);
  EXPECT_TRUE(limited.result().graph.vertex(1).meta.ignore_cache);
}

TEST(ConvertRunTest, IgnoresTheCacheInTheStagesNamed) {
  const Converted c("FROM alpine AS a\nRUN a\nFROM a AS b\nRUN b\n",
                    [](FrontendRequest& r) { r.no_cache.stages = {"B"}; });
  EXPECT_FALSE(c.named("[a 2/2] RUN a").meta.ignore_cache);
  EXPECT_TRUE(c.named("[b 1/1] RUN b").meta.ignore_cache);
}

// ---- mounts ----

TEST(ConvertRunTest, MountsTheContextReadOnlyAndTransfersOnlyItsPart) {
  const Converted c("FROM alpine\nRUN --mount=target=/in,source=sub a\n");
  const llb::ExecMount& mount = c.op<llb::ExecOp>().mounts.at(1);
  EXPECT_EQ(mount.dest, "/in");
  EXPECT_EQ(mount.selector, "/sub");
  EXPECT_TRUE(mount.read_only);
  EXPECT_EQ(mount.output, llb::kNoIndex);
  EXPECT_EQ(c.named("[internal] load build context").meta.where.size(), 0U);
  EXPECT_EQ(c.op<llb::SourceOp>(1).attrs.at("local.followpaths"), R"(["sub"])");
}

TEST(ConvertRunTest, OrdersMountsByTheirTarget) {
  const Converted c(
      "FROM alpine\nWORKDIR /w\nRUN --mount=type=tmpfs,target=z --mount=type=cache,target=/b "
      "--mount=type=secret,id=s a\n");
  const auto& mounts = c.op<llb::ExecOp>().mounts;
  ASSERT_EQ(mounts.size(), 4U);
  EXPECT_EQ(mounts[0].dest, "/");
  EXPECT_EQ(mounts[0].output, 0);
  EXPECT_EQ(mounts[1].dest, "/b");
  EXPECT_EQ(mounts[2].dest, "/w/z");
  EXPECT_EQ(mounts[3].dest, "/run/secrets/s");
  EXPECT_EQ(mounts[3].secret, (llb::SecretMountOpt{"s", 0, 0, 0400, true}));
}

TEST(ConvertRunTest, NamesCachesByTargetIdAndNamespace) {
  const Converted c(
      "FROM alpine\nRUN --mount=type=cache,target=/c/ "
      "--mount=type=cache,target=/d,id=x,sharing=locked a\n",
      [](FrontendRequest& r) {
        r.build_args = {{"BUILDKIT_CACHE_MOUNT_NS", "ns"}};
      });
  const auto& mounts = c.op<llb::ExecOp>().mounts;
  EXPECT_EQ(mounts[1].cache, (llb::CacheMountOpt{"ns//c", llb::CacheSharing::kShared}));
  EXPECT_EQ(mounts[2].cache, (llb::CacheMountOpt{"ns/x", llb::CacheSharing::kLocked}));
  EXPECT_EQ(mounts[1].input, llb::kNoIndex);
}

TEST(ConvertRunTest, GivesACacheItsOwnerAndModeThroughADirectory) {
  const Converted c("FROM alpine\nRUN --mount=type=cache,target=/c,uid=5,mode=0700 a\n");
  const auto& mkdir = std::get<llb::MkDirAction>(c.op<llb::FileOp>().actions[0].action);
  EXPECT_EQ(mkdir.mode, 0700);
  EXPECT_EQ(mkdir.owner->user->id, 5U);
  EXPECT_EQ(c.op<llb::ExecOp>().mounts[1].selector, "/cache");
}

TEST(ConvertRunTest, MountsFromStagesAndImages) {
  const Converted c(
      "FROM alpine AS a\nRUN x\nFROM alpine\nRUN --mount=from=a,source=/o,target=/a,rw "
      "--mount=from=app:1,target=/b y\n");
  const auto& mounts = c.op<llb::ExecOp>(1).mounts;
  EXPECT_FALSE(mounts[1].read_only);
  EXPECT_EQ(mounts[1].output, llb::kNoIndex);
  EXPECT_EQ(mounts[1].input, 1);
  EXPECT_EQ(mounts[2].input, 2);
}

TEST(ConvertRunTest, SetsSecretsAsVariablesAndMasksThem) {
  const Converted c(
      "FROM alpine\nENV TOKEN=old\nRUN --mount=type=secret,id=t,env=TOKEN,required use $TOKEN "
      "$X\n");
  EXPECT_EQ(c.op<llb::ExecOp>().secret_env, (std::vector<llb::SecretEnv>{{"t", "TOKEN", false}}));
  EXPECT_EQ(c.op<llb::ExecOp>().mounts.size(), 1U);
  EXPECT_THAT(c.steps().back(), HasSubstr("use **** $X"));
}

TEST(ConvertRunTest, OffersSshSockets) {
  const Converted c("FROM alpine\nRUN --mount=type=ssh --mount=type=ssh,id=two,target=/s a\n");
  const auto& mounts = c.op<llb::ExecOp>().mounts;
  EXPECT_EQ(mounts[1].dest, "/run/buildkit/ssh_agent.0");
  EXPECT_EQ(mounts[1].ssh, (llb::SshMountOpt{"default", 0, 0, 0600, true}));
  EXPECT_EQ(mounts[2].dest, "/s");
  EXPECT_THAT(c.op<llb::ExecOp>().meta.env,
              ElementsAre("PATH=/bin", "SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0"));
}

TEST(ConvertRunTest, ExpandsMountValues) {
  const Converted c("FROM alpine\nARG D=/deep\nRUN --mount=type=cache,target=$D/x a\n");
  EXPECT_EQ(c.op<llb::ExecOp>().mounts[1].dest, "/deep/x");
}

// ---- heredocs ----

TEST(ConvertRunTest, RunsAHeredocAsTheScript) {
  const Converted c("FROM alpine\nRUN <<EOF\necho a\necho b\nEOF\n");
  EXPECT_THAT(c.op<llb::ExecOp>().meta.args, ElementsAre("/bin/sh", "-c", "echo a\necho b\n"));
  EXPECT_EQ(c.steps().back(), "[2/2] RUN <<EOF (echo a...)");
}

TEST(ConvertRunTest, MountsAHeredocWithAShebangAsAFile) {
  const Converted c("FROM alpine\nRUN <<EOF\n#!/usr/bin/env python\nprint(1)\nEOF\n");
  const auto& exec = c.op<llb::ExecOp>();
  EXPECT_THAT(exec.meta.args, ElementsAre("/bin/sh", "-c", "/dev/pipes/EOF"));
  EXPECT_EQ(exec.mounts[1].dest, "/dev/pipes/");
  EXPECT_TRUE(exec.mounts[1].read_only);
  const auto& file = std::get<llb::MkFileAction>(c.op<llb::FileOp>().actions[0].action);
  EXPECT_EQ(file.path, "/EOF");
  EXPECT_EQ(file.mode, 0755);
}

TEST(ConvertRunTest, LeavesOtherHeredocsToTheShell) {
  const Converted c("FROM alpine\nRUN python <<EOF\nx\nEOF\n");
  EXPECT_THAT(c.op<llb::ExecOp>().meta.args, ElementsAre("/bin/sh", "-c", "python <<EOF\nx\nEOF"));
}

TEST(ConvertRunTest, DevicesAreOptionalUnlessTheyAreRequired) {
  const Converted c(
      "FROM alpine\nARG N=x\nRUN --device=v.com/gpu=all --device=name=v.com/gpu=$N,required a\n");
  EXPECT_THAT(c.op<llb::ExecOp>().cdi_devices, ElementsAre(llb::CdiDevice{"v.com/gpu=all", true},
                                                           llb::CdiDevice{"v.com/gpu=$N", false}))
      << "nothing is expanded";
}

}  // namespace
}  // namespace kiln::frontend
