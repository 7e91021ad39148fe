// An executor over a busybox root file system of its own, for each runtime that is installed.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/process.h"
#include "solver/executor/executor.h"
#include "tests/fakes/must.h"
#include "tests/fakes/tree_maker.h"

namespace kiln {

constexpr const char* kSearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct Ran {
  Result<ExitInfo> result;
  std::string out, err;
  int code() const { return result ? result->code : -1; }
};

class ExecutorContract : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "a sandbox takes root here";
    if (!find_program(GetParam(), kSearchPath)) GTEST_SKIP() << GetParam() << " is not installed";
    const auto busybox = find_program("busybox", kSearchPath);
    if (!busybox) GTEST_SKIP() << "busybox-static is not installed";
    make_rootfs(*busybox);
    config_.runtime = GetParam();
    config_.run_directory = directory_.path() + "/run";
    config_.search_path = kSearchPath;
    executor_ = fake::must(make_oci_executor(config_));
  }

  void make_rootfs(const std::string& busybox) {
    tree_.dir("bin");
    tree_.file("bin/busybox", fake::must(read_file(busybox, 16U << 20U)), 0755);
    for (const char* name :
         {"sh",       "cat",   "ls",  "id",     "true",   "sleep",  "env",      "head",
          "readlink", "grep",  "dd",  "setsid", "mount",  "mknod",  "hostname", "ip",
          "mkdir",    "touch", "df",  "tail",   "wc",     "chmod",  "rm",       "unshare",
          "ulimit",   "stat",  "yes", "nc",     "mkfifo", "timeout"})
      tree_.symlink(std::string("bin/") + name, "busybox");
    tree_.settle();
  }

  ExecRequest shell(const std::string& script) const {
    ExecRequest request;
    request.rootfs = rootfs();
    request.meta.args = {"/bin/sh", "-c", script};
    request.meta.env = {"PATH=/bin"};
    request.meta.remove_mount_stubs_recursive = true;
    request.network = llb::NetMode::kNone;
    return request;
  }

  Ran run(ExecRequest request, std::stop_token stop = {}) const {
    StringSink out, err;
    request.out = &out;
    request.err = &err;
    Result<ExitInfo> result = executor_->run(request, std::move(stop));
    return {std::move(result), out.take(), err.take()};
  }
  Ran run(const std::string& script) const { return run(shell(script)); }
  /// stdout of a script that must succeed.
  std::string output(const ExecRequest& request) const {
    const Ran ran = run(request);
    EXPECT_TRUE(ran.result) << ran.result.error().to_string();
    EXPECT_EQ(ran.code(), 0) << ran.err;
    return ran.out;
  }
  std::string output(const std::string& script) const { return output(shell(script)); }

  std::string rootfs() const { return directory_.path() + "/rootfs"; }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  bool is_crun() const { return std::string(GetParam()) == "crun"; }

  TempDir directory_ = fake::must(TempDir::create("/tmp", "kiln-executor-"));
  fake::TreeMaker tree_{directory_.path() + "/rootfs"};
  ExecutorConfig config_;
  std::unique_ptr<Executor> executor_;
};

inline std::string runtime_name(const ::testing::TestParamInfo<const char*>& info) {
  return info.param;
}

}  // namespace kiln
