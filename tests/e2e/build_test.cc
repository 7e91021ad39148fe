#include "tests/e2e/kiln_runner.h"

namespace kiln::e2e {
namespace {

using BuildTest = KilnTest;

TEST_F(BuildTest, RunsAStepAndKeepsItsChanges) {
  const std::string c =
      context("c", {{"Dockerfile", "FROM base\nRUN echo made > /made && rm /etc/group\n"}});
  EXPECT_EQ(built_file(c, "made"), "made\n");
  EXPECT_NE(command({"tar", "-xOf", path("built.tar"), "etc/group"}).exit_code, 0);
}

TEST_F(BuildTest, ASecondBuildRunsNothingAndGivesTheSameImage) {
  const std::string c = context(
      "c", {{"Dockerfile", "FROM base\nCOPY a /a\nRUN cat /a > /b\nENV X=1\n"}, {"a", "A"}});
  (void)build(c, {"-t", "one", "--iidfile", path("id1")});
  const std::string log = build(c, {"-t", "two", "--iidfile", path("id2")});
  EXPECT_EQ(count(log, "CACHED"), 3) << log;
  EXPECT_EQ(read_file(path("id1"), 100).value(), read_file(path("id2"), 100).value());
}

TEST_F(BuildTest, AChangedFileRunsOnlyWhatDependsOnIt) {
  const std::string c = context(
      "c",
      {{"Dockerfile", "FROM base\nRUN echo one > /one\nCOPY a /a\nRUN cat /a > /b\n"}, {"a", "A"}});
  (void)build(c);
  ASSERT_TRUE(write_file(c + "/a", "changed"));
  const std::string log = build(c);
  EXPECT_EQ(count(log, "CACHED"), 2) << log;
  EXPECT_EQ(built_file(c, "b"), "changed");
}

TEST_F(BuildTest, StagesThatTheTargetDoesNotNeedDoNotRun) {
  const std::string c = context(
      "c",
      {{"Dockerfile", "FROM base AS unused\nRUN false\nFROM base AS used\nRUN echo ok > /ok\n"}});
  EXPECT_EQ(built_file(c, "ok"), "ok\n");
}

TEST_F(BuildTest, EqualContentFromAnotherStageCutsOff) {
  const std::string c =
      context("c", {{"Dockerfile",
                     "FROM base AS a\nARG V=1\nRUN echo $V >/dev/null; echo same > /same\n"
                     "FROM base\nCOPY --from=a /same /same\nRUN cat /same > /copy\n"}});
  (void)build(c);
  const std::string log = build(c, {"--build-arg", "V=2"});
  EXPECT_EQ(count(log, "CACHED"), 3) << log;  // FROM, COPY and the RUN after it
}

TEST_F(BuildTest, SixteenWaitingStepsEndTogether) {
  std::string file;
  for (int i = 0; i < 16; ++i)
    file += "FROM base AS s" + std::to_string(i) + "\nRUN sleep 1; date +%s > /t\n";
  file += "FROM base\n";
  for (int i = 0; i < 16; ++i)
    file += "COPY --from=s" + std::to_string(i) + " /t /t" + std::to_string(i) + "\n";
  const std::string c = context("c", {{"Dockerfile", file}});
  (void)build(c, {"-o", path("out")});
  int64_t first = INT64_MAX, last = 0;
  for (int i = 0; i < 16; ++i) {
    const int64_t at = std::stoll(read_file(path("out/t" + std::to_string(i)), 100).value());
    first = std::min(first, at);
    last = std::max(last, at);
  }
  EXPECT_LE(last - first, 5);  // one after the other would be 15
}

TEST_F(BuildTest, AFailingStepShowsItsOutputAndLine) {
  const std::string c =
      context("c", {{"Dockerfile", "FROM base\nRUN echo before-the-end; exit 7\n"}});
  const Output output = kiln({"build", "--progress=plain", c});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_NE(output.err.find("did not complete successfully: exit code: 7"), std::string::npos)
      << output.err;
  EXPECT_NE(output.err.find("before-the-end"), std::string::npos) << output.err;
  EXPECT_NE(output.err.find(" 2 | >>> RUN echo before-the-end"), std::string::npos) << output.err;
}

TEST_F(BuildTest, CopyFollowsModesOwnersAndWildcards) {
  const std::string c =
      context("c", {{"Dockerfile",
                     "FROM base\nCOPY --chown=app --chmod=640 *.txt /t/\nCOPY d /d\n"
                     "RUN stat -c '%n %u:%g %a' /t/a.txt /t/b.txt /d/x > /stat\n"},
                    {"a.txt", "a"},
                    {"b.txt", "b"},
                    {"d/x", "x"}});
  EXPECT_EQ(built_file(c, "stat"),
            "/t/a.txt 1000:1001 640\n/t/b.txt 1000:1001 640\n/d/x 0:0 644\n");
}

TEST_F(BuildTest, IgnoredFilesAreNotCopied) {
  const std::string c =
      context("c", {{"Dockerfile", "FROM base\nCOPY . /c\nRUN cd /c && find . | sort > /list\n"},
                    {".dockerignore", "*.log\n!keep.log\nDockerfile\n.dockerignore\n"},
                    {"a.log", ""},
                    {"keep.log", ""},
                    {"b", ""}});
  EXPECT_EQ(built_file(c, "list"), ".\n./b\n./keep.log\n");
}

TEST_F(BuildTest, AMissingSourceIsNamed) {
  const std::string c =
      context("c", {{"Dockerfile", "FROM base\nCOPY sorce.c /\n"}, {"source.c", ""}});
  const Output output = kiln({"build", "--progress=plain", c});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_NE(output.err.find("\"/sorce.c\": not found"), std::string::npos) << output.err;
  EXPECT_NE(output.err.find("source.c"), std::string::npos) << output.err;
}

TEST_F(BuildTest, MountsAreThereDuringTheStepAndNotInTheLayer) {
  const std::string c =
      context("c", {{"Dockerfile",
                     "FROM base\n"
                     "RUN --mount=type=bind,source=f,target=/m/f --mount=type=cache,target=/cache "
                     "--mount=type=tmpfs,target=/t \\\n"
                     "  --mount=type=secret,id=s cat /m/f > /got; echo kept > /cache/k; echo x > "
                     "/t/x; stat -c %a /run/secrets/s >> /got; cat /run/secrets/s >> /got\n"
                     "RUN --mount=type=cache,target=/cache cat /cache/k > /again\n"},
                    {"f", "bound\n"},
                    {"secret", "hush\n"}});
  EXPECT_EQ(built_file(c, "got", {"--secret", "id=s,src=" + c + "/secret"}), "bound\n400\nhush\n");
  const std::string list = command({"tar", "-tf", path("built.tar")}).out;
  for (const char* absent : {"\nm/", "\ncache/", "\nt/", "\nrun/", "\nproc/", "\nsys/", "\ndev/",
                             "resolv.conf", "etc/hosts"})
    EXPECT_EQ(list.find(absent), std::string::npos) << absent << " in\n" << list;
  EXPECT_EQ(command({"tar", "-xOf", path("built.tar"), "again"}).out, "kept\n");
}

TEST_F(BuildTest, HeredocsAndShellsWork) {
  const std::string c = context("c", {{"Dockerfile",
                                       "FROM base\nARG W=world\nCOPY <<EOF /greeting\nhello "
                                       "$W\nEOF\nRUN <<'EOF'\nset -e\ncat /greeting > /out\nEOF\n"
                                       "SHELL [\"/bin/sh\", \"-ec\"]\nRUN echo two >> /out\n"}});
  EXPECT_EQ(built_file(c, "out"), "hello world\ntwo\n");
}

TEST_F(BuildTest, TheConfigIsWhatTheDockerfileSays) {
  const std::string c = context("c", {{"Dockerfile",
                                       "FROM base\nENV A=1 B=\"two words\"\nWORKDIR /w\nUSER "
                                       "app\nEXPOSE 80\nLABEL l=v\nCMD [\"x\"]\nENTRYPOINT e\n"}});
  (void)build(c, {"-t", "app", "--label", "cli=1"});
  const Json config = image_config("app");
  EXPECT_EQ(config["config"]["WorkingDir"].as_string(), "/w");
  EXPECT_EQ(config["config"]["User"].as_string(), "app");
  EXPECT_EQ(config["config"]["Labels"]["l"].as_string(), "v");
  EXPECT_EQ(config["config"]["Labels"]["cli"].as_string(), "1");
  EXPECT_NE(config["config"]["ExposedPorts"].find("80/tcp"), nullptr);
  EXPECT_EQ(config["config"]["Entrypoint"].strings(),
            (std::vector<std::string>{"/bin/sh", "-c", "e"}));
  EXPECT_EQ(config["rootfs"]["diff_ids"].elements().size(), 2U);  // base, WORKDIR
  EXPECT_FALSE(config["created"].as_string().empty());
}

TEST_F(BuildTest, ItsOwnDumpExecutes) {
  const std::string c =
      context("c", {{"Dockerfile", "FROM base\nCOPY a /a\nRUN cat /a > /b\n"}, {"a", "A"}});
  const Output dumped = kiln({"debug", "dump-llb", "-o", path("app.llb"), c});
  ASSERT_EQ(dumped.exit_code, 0) << dumped.err;
  (void)build(c, {"--llb", path("app.llb"), "-o", "type=tar,dest=" + path("llb.tar")});
  EXPECT_EQ(command({"tar", "-xOf", path("llb.tar"), "b"}).out, "A");
}

TEST_F(BuildTest, NetworkNoneHasOnlyLoopback) {
  const std::string c =
      context("c", {{"Dockerfile", "FROM base\nRUN --network=none ip -o link | wc -l > /n\n"}});
  EXPECT_EQ(built_file(c, "n"), "1\n");
}

TEST_F(BuildTest, TwoBuildsAtOnceRunAStepOnce) {
  const std::string c = context(
      "c", {{"Dockerfile", "FROM base\nRUN sleep 1; cat /proc/sys/kernel/random/uuid > /id\n"}});
  const std::string script = std::string(KILN_BINARY) + " --root " + root() +
                             " build --progress=plain -o " + path("o1") + " " + c + " & " +
                             KILN_BINARY + " --root " + root() + " build --progress=plain -o " +
                             path("o2") + " " + c + " && wait $!";
  const Output both = command({"/bin/sh", "-c", script});
  ASSERT_EQ(both.exit_code, 0) << both.err;
  EXPECT_EQ(read_file(path("o1/id"), 100).value(), read_file(path("o2/id"), 100).value());
}

// A blob that does not even decompress must be met by the store's verification too, or fetching it
// anew is skipped because it is "there".
TEST_F(BuildTest, ADamagedBaseIsHealedByImportingItAgain) {
  const std::string c = context("c", {{"Dockerfile", "FROM base\nRUN echo made > /made\n"}});
  const std::string damage =
      "f=$(ls -S " + root() +
      "/content/blobs/sha256/* | head -n 1); printf XXXX | dd of=$f bs=1 seek=5000 conv=notrunc";
  ASSERT_EQ(command({"/bin/sh", "-c", damage}).exit_code, 0);
  const Output damaged = kiln({"build", "--progress=plain", c});
  EXPECT_EQ(damaged.exit_code, 3);
  EXPECT_NE(damaged.err.find("damaged or gone"), std::string::npos) << damaged.err;
  const Output imported = kiln({"import", base_tar(), "base"});
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  EXPECT_EQ(built_file(c, "made"), "made\n");
}

TEST_F(BuildTest, ArchivesLoadBack) {
  const std::string c = context("c", {{"Dockerfile", "FROM base\nRUN echo hi > /hi\n"}});
  (void)build(c, {"-t", "app:1", "-o", "type=docker,dest=" + path("d.tar"), "-o",
                  "type=oci,dest=" + path("o.tar")});
  for (const char* archive : {"d.tar", "o.tar"}) {
    const Output loaded = kiln({"load", "-i", path(archive)});
    EXPECT_EQ(loaded.exit_code, 0) << loaded.err;
    EXPECT_NE(loaded.out.find("app:1"), std::string::npos) << loaded.out;
  }
  const Output inspected = command({"skopeo", "inspect", "oci-archive:" + path("o.tar")});
  EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
}

}  // namespace
}  // namespace kiln::e2e
