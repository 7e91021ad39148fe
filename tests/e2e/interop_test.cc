// Other tools load what kiln exports, see the same config and the same files, and run it. A tool
// that is not installed, or does not work on this machine, skips its test.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <algorithm>

#include "base/digest.h"
#include "tests/e2e/fault_fixture.h"

namespace kiln::e2e {
namespace {

using ::testing::HasSubstr;

// Links, a deleted directory, owners and modes, and words that quoting could break.
constexpr const char* kAppDockerfile =
    "FROM base\n"
    "ENV A=1 B=\"two words\"\n"
    "WORKDIR /w\n"
    "COPY --chown=app --chmod=640 a /w/a\n"
    "RUN echo hi > b && ln -s b l && ln b h && rm -rf /tmp && mkdir -m 700 private && echo x > "
    "\"a name\"\n"
    "LABEL l=\"a label\"\n"
    "EXPOSE 80/tcp\n"
    "USER 1000\n"
    "ENTRYPOINT [\"/bin/cat\"]\n"
    "CMD [\"/w/a\"]\n";
constexpr size_t kHistoryEntries = 10;  // the base's and nine instructions

class InteropTest : public FaultTest {
 protected:
  void SetUp() override {
    FaultTest::SetUp();
    if (IsSkipped()) return;
    // It would date the files of the tar, which stands for the image's tree here.
    std::erase_if(environment_, [](const std::string& variable) {
      return variable.starts_with("SOURCE_DATE_EPOCH=");
    });
    const std::string c = context("app", {{"Dockerfile", kAppDockerfile}, {"a", "from-a\n"}});
    (void)build(c, {"-t", "app:1",
                    "-o", "type=image",
                    "-o", "type=docker,dest=" + path("d.tar"),
                    "-o", "type=docker,oci-mediatypes=false,dest=" + path("dd.tar"),
                    "-o", "type=docker,compression=zstd,dest=" + path("dz.tar"),
                    "-o", "type=docker,compression=uncompressed,dest=" + path("du.tar"),
                    "-o", "type=oci,dest=" + path("o.tar"),
                    "-o", "type=oci,compression=zstd,dest=" + path("oz.tar"),
                    "-o", "type=oci,tar=false,dest=" + path("layout"),
                    "-o", "type=tar,dest=" + path("files.tar")});
    config_ = image_config("app:1");
    ASSERT_TRUE(make_dirs(path("files")));
    ASSERT_EQ(command({"tar", "-C", path("files"), "-xpf", path("files.tar")}).exit_code, 0);
  }
  // Tools bind and mount below their roots and leave some of it there.
  void TearDown() override {
    std::vector<std::string> mounts = mounts_below(path(""));
    std::reverse(mounts.begin(), mounts.end());
    for (const std::string& mount : mounts) (void)::umount2(mount.c_str(), MNT_DETACH);
    EXPECT_EQ(descendants_.left(), std::vector<std::string>());
  }
  void need(const char* tool) {
    if (!find_program(tool, "/usr/bin:/usr/sbin")) GTEST_SKIP() << "needs " << tool;
  }
  Output must_run(const std::vector<std::string>& argv) {
    Output output = command(argv);
    EXPECT_EQ(output.exit_code, 0) << ::testing::PrintToString(argv) << "\n" << output.err;
    return output;
  }
  // Everything that a layer records of each file but names that tools add to every container.
  std::string listing(const std::string& tree) {
    const std::string script =
        "cd '" + tree +
        "' && find . -mindepth 1 ! -path './dev*' ! -path './proc*' ! -path './sys*' ! -path "
        "./.dockerenv ! -path './etc/resolv.conf' ! -path './etc/hosts' ! -path "
        "'./etc/hostname' ! -path './etc/mtab' \\( -type d -printf '%p d %m %U:%G\\n' -o -printf "
        "'%p %y %m %U:%G %s %n %l %Ts\\n' \\) | sort";
    return must_run({"/bin/sh", "-c", script}).out;
  }
  void expect_same_config(const Json& seen) {
    for (const char* key :
         {"Env", "Cmd", "Entrypoint", "Labels", "WorkingDir", "User", "ExposedPorts"})
      EXPECT_EQ(seen[key].dump(), config_["config"][key].dump()) << key;
  }
  static Json parse(const std::string& text) {
    auto json = Json::parse(text);
    EXPECT_TRUE(json) << text;
    return json.value_or(Json());
  }
  static size_t lines(const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }
  Json config_;
};

TEST_F(InteropTest, SkopeoReadsAndCopiesEveryArchive) {
  need("skopeo");
  for (const char* source :
       {"docker-archive:d.tar", "docker-archive:dd.tar", "docker-archive:dz.tar",
        "docker-archive:du.tar", "oci-archive:o.tar", "oci-archive:oz.tar", "oci:layout"}) {
    const std::string text = source;
    const size_t colon = text.find(':');
    const std::string full = text.substr(0, colon + 1) + path(text.substr(colon + 1));
    const Json config = parse(must_run({"skopeo", "inspect", "--config", full}).out);
    expect_same_config(config["config"]);
    EXPECT_EQ(config["history"].elements().size(), kHistoryEntries) << source;
    EXPECT_EQ(config["rootfs"].dump(), config_["rootfs"].dump()) << source;
    // Copying reads and verifies each blob.
    (void)must_run({"skopeo", "copy", "--quiet", "--insecure-policy", full,
                    "dir:" + path("copy" + std::to_string(colon))});
  }
}

TEST_F(InteropTest, UmociUnpacksTheSameFiles) {
  need("umoci");
  (void)must_run({"umoci", "unpack", "--image", path("layout") + ":1", path("bundle")});
  EXPECT_EQ(listing(path("bundle/rootfs")), listing(path("files")));
  const Json spec = parse(read_file(path("bundle/config.json"), 1U << 20U).value_or(""));
  EXPECT_EQ(spec["process"]["args"].strings(), (std::vector<std::string>{"/bin/cat", "/w/a"}));
  EXPECT_EQ(spec["process"]["cwd"].as_string(), "/w");
}

class PodmanTest : public InteropTest {
 protected:
  std::vector<std::string> podman(const std::vector<std::string>& more) {
    std::vector<std::string> argv = {"podman",
                                     "--root",
                                     path("podman"),
                                     "--runroot",
                                     path("podman-run"),
                                     "--tmpdir",
                                     path("podman-tmp"),
                                     "--storage-driver",
                                     "overlay",
                                     "--cgroup-manager",
                                     "cgroupfs",
                                     "--runtime",
                                     "runc"};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }
};

TEST_F(PodmanTest, LoadsSeesAndRunsTheImage) {
  need("podman");
  need("runc");
  for (const char* archive : {"d.tar", "oz.tar"}) {
    const Output loaded = must_run(podman({"load", "-i", path(archive)}));
    EXPECT_THAT(loaded.out, HasSubstr("docker.io/library/app:1")) << archive;
    const Json seen = parse(must_run(podman({"inspect", "app:1"})).out).elements().at(0);
    expect_same_config(seen["Config"]);
    EXPECT_EQ(seen["History"].elements().size(), kHistoryEntries) << archive;
    const std::string mounted = must_run(podman({"image", "mount", "app:1"})).out;
    EXPECT_EQ(listing(mounted.substr(0, mounted.find('\n'))), listing(path("files"))) << archive;
    (void)must_run(podman({"image", "umount", "app:1"}));
    // Its default limits are above what a container of this machine may have.
    const Output ran =
        command(podman({"run", "--rm", "--network=host", "--ulimit", "nofile=1024:1024", "--ulimit",
                        "nproc=1024:1024", "app:1"}));
    if (ran.exit_code == 125 || ran.exit_code == 126) GTEST_SKIP() << "cannot run: " << ran.err;
    EXPECT_EQ(ran.out, "from-a\n") << archive << "\n" << ran.err;
    (void)must_run(podman({"rmi", "app:1"}));
  }
}

class DockerTest : public InteropTest {
 protected:
  void SetUp() override {
    InteropTest::SetUp();
    if (IsSkipped()) return;
    for (const char* tool : {"dockerd", "docker"}) {
      need(tool);
      if (IsSkipped()) return;
    }
    environment_.emplace_back("DOCKER_HOST=unix://" + path("docker.sock"));
    daemon_ = RunningProcess::start(
        {"dockerd", "--data-root", path("docker"), "--exec-root", path("docker-exec"), "-H",
         "unix://" + path("docker.sock"), "--pidfile", path("docker.pid"), "--iptables=false",
         "--ip6tables=false", "--bridge=none"},
        environment_);
    if (!daemon_->saw("API listen on")) GTEST_SKIP() << "dockerd: " << daemon_->wait().err;
  }
  void TearDown() override {
    if (daemon_) {
      daemon_->signal(SIGTERM);
      (void)daemon_->wait();
    }
    InteropTest::TearDown();
  }
  std::optional<RunningProcess> daemon_;
};

TEST_F(DockerTest, LoadsSeesAndRunsTheImage) {
  // Not dz.tar: Debian's dockerd knows no zstd.
  for (const char* archive : {"dd.tar", "du.tar"}) {
    const Output loaded = must_run({"docker", "load", "-i", path(archive)});
    EXPECT_THAT(loaded.out, HasSubstr("Loaded image: app:1")) << archive;
    const Json seen = parse(must_run({"docker", "inspect", "app:1"}).out).elements().at(0);
    expect_same_config(seen["Config"]);
    EXPECT_EQ(lines(must_run({"docker", "history", "-q", "app:1"}).out), kHistoryEntries);
    const Output ran = command({"docker", "run", "--rm", "--network=host", "app:1"});
    EXPECT_EQ(ran.out, "from-a\n") << archive << "\n" << ran.err;
    const std::string id = must_run({"docker", "create", "app:1"}).out;
    (void)must_run({"docker", "export", "-o", path("export.tar"), id.substr(0, id.find('\n'))});
    ASSERT_TRUE(make_dirs(path("exported")));
    (void)must_run({"tar", "-C", path("exported"), "-xpf", path("export.tar")});
    EXPECT_EQ(listing(path("exported")), listing(path("files"))) << archive;
    (void)must_run({"docker", "rm", id.substr(0, id.find('\n'))});
    (void)must_run({"docker", "rmi", "app:1"});
    ASSERT_TRUE(remove_tree(path("exported")));
  }
}

// And the way back: what docker saves, kiln loads and builds on.
TEST_F(DockerTest, WhatDockerSavesIsLoadedAndBuiltOn) {
  (void)must_run({"docker", "load", "-i", path("d.tar")});
  (void)must_run({"docker", "tag", "app:1", "back:1"});
  (void)must_run({"docker", "save", "-o", path("saved.tar"), "back:1"});
  const Output loaded = kiln({"load", "-i", path("saved.tar")});
  EXPECT_EQ(loaded.exit_code, 0) << loaded.err;
  EXPECT_EQ(loaded.out, "Loaded image: back:1\n");
  const std::string c =
      context("on", {{"Dockerfile", "FROM back:1\nUSER root\nRUN cat a b > c\n"}});
  EXPECT_EQ(built_file(c, "w/c"), "from-a\nhi\n");
}

// As a peer of registry and of client: each pulls what the other pushed, after a login.
TEST_F(DockerTest, PushesToAndPullsFromKilnServe) {
  environment_.emplace_back("DOCKER_CONFIG=" + path("docker-config"));
  ASSERT_TRUE(write_file(path("kiln.toml"), "[[auth.token]]\nname = 'ci'\nsha256 = '" +
                                                Digest::of("t0ken").hex() + "'\n"));
  auto server = RunningProcess::start({KILN_BINARY, "serve", "--listen", "127.0.0.1:0", "--storage",
                                       path("registry"), "--config", path("kiln.toml")},
                                      environment_);
  ASSERT_TRUE(server && server->saw("\n"));
  const std::string said = server->text();
  const size_t at = said.find("127.0.0.1:");
  ASSERT_NE(at, std::string::npos) << said;
  const std::string registry = said.substr(at, said.find_first_not_of("0123456789.:", at) - at);
  const std::string theirs = registry + "/team/app:docker", ours = registry + "/team/app:kiln";

  (void)must_run({"docker", "load", "-i", path("dd.tar")});
  (void)must_run({"docker", "tag", "app:1", theirs});
  EXPECT_NE(command({"docker", "push", theirs}).exit_code, 0);  // nobody has logged in
  (void)must_run(
      {"/bin/sh", "-c", "printf t0ken | docker login -u ci --password-stdin " + registry});
  (void)must_run({"docker", "push", theirs});
  EXPECT_EQ(kiln({"tag", "app:1", ours}).exit_code, 0);
  const Output pushed = kiln({"push", ours});
  EXPECT_EQ(pushed.exit_code, 0) << pushed.err;
  (void)must_run({"docker", "rmi", "app:1", theirs});

  (void)must_run({"docker", "pull", ours});
  const Json seen = parse(must_run({"docker", "inspect", ours}).out).elements().at(0);
  expect_same_config(seen["Config"]);
  const Output ran = command({"docker", "run", "--rm", "--network=host", ours});
  EXPECT_EQ(ran.out, "from-a\n") << ran.err;
  const std::string c =
      context("on", {{"Dockerfile", "FROM " + theirs + "\nUSER root\nRUN cat a b > c\n"}});
  EXPECT_EQ(built_file(c, "w/c"), "from-a\nhi\n");
  server->signal(SIGTERM);
  EXPECT_EQ(server->wait().exit_code, 0);
}

}  // namespace
}  // namespace kiln::e2e
