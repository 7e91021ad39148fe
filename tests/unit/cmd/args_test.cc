#include "cmd/args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace kiln::cmd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::variant<Command, Usage> parse(const std::vector<std::string>& words,
                                   const Environment& environment = {{"HOME", "/home/u"}}) {
  std::vector<const char*> argv = {"kiln"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return parse_args(static_cast<int>(argv.size()), argv.data(), environment);
}

template <class Options>
Options parsed(const std::vector<std::string>& words, const Environment& environment = {}) {
  auto result = parse(words, environment);
  if (const Usage* usage = std::get_if<Usage>(&result)) {
    ADD_FAILURE() << usage->text;
    return {};
  }
  Command& command = std::get<Command>(result);
  if (Options* options = std::get_if<Options>(&command)) return std::move(*options);
  ADD_FAILURE() << "another command";
  return {};
}
BuildOptions build(std::vector<std::string> words, const Environment& environment = {}) {
  words.insert(words.begin(), "build");
  words.emplace_back(".");
  return parsed<BuildOptions>(words, environment);
}
std::string error_of(const std::vector<std::string>& words, const Environment& environment = {}) {
  auto result = parse(words, environment);
  const Usage* usage = std::get_if<Usage>(&result);
  if (usage == nullptr) return "no error";
  EXPECT_EQ(usage->exit_code, 2) << usage->text;
  return usage->text.substr(0, usage->text.find('\n'));
}

// Every option of docs/cli.md's table of `kiln build`, long and short.
struct BuildCase {
  std::vector<std::string> words;
  std::function<bool(const BuildOptions&)> holds;
};
class BuildFlagTest : public testing::TestWithParam<BuildCase> {};
void PrintTo(const BuildCase& c, std::ostream* out) {
  for (const std::string& word : c.words) *out << word << ' ';
}

TEST_P(BuildFlagTest, IsTaken) {
  EXPECT_TRUE(GetParam().holds(build(GetParam().words)));
}

using Words = std::vector<std::string>;
#define KILN_HOLDS(expression) [](const BuildOptions& o) -> bool { return expression; }

INSTANTIATE_TEST_SUITE_P(
    Inputs, BuildFlagTest,
    testing::Values(
        BuildCase{{"-f", "D"}, KILN_HOLDS(o.file == "D")},
        BuildCase{{"--file=-"}, KILN_HOLDS(o.file == "-")},
        BuildCase{{"-t", "a", "--tag", "b:1"}, KILN_HOLDS((o.tags == Words{"a", "b:1"}))},
        BuildCase{{"--target", "s"}, KILN_HOLDS(o.target == "s")},
        BuildCase{{"--build-arg", "A=1", "--build-arg=B"},
                  KILN_HOLDS((o.build_args == Words{"A=1", "B"}))},
        BuildCase{{"--build-context", "n=v"}, KILN_HOLDS(o.build_contexts == Words{"n=v"})},
        BuildCase{{"--label", "a=b=c"}, KILN_HOLDS(o.labels == Words{"a=b=c"})},
        BuildCase{{"--annotation", "a=b"}, KILN_HOLDS(o.annotations == Words{"a=b"})},
        BuildCase{{"--platform", "linux/amd64,linux/arm64"}, KILN_HOLDS(o.platforms.size() == 2)},
        BuildCase{{"--llb", "x"}, KILN_HOLDS(o.llb == "x")}));

INSTANTIATE_TEST_SUITE_P(Cache, BuildFlagTest,
                         testing::Values(BuildCase{{"--no-cache"}, KILN_HOLDS(o.no_cache)},
                                         BuildCase{
                                             {"--no-cache-filter", "a,b"},
                                             KILN_HOLDS((o.no_cache_filter == Words{"a", "b"}))},
                                         BuildCase{{"--pull"}, KILN_HOLDS(o.pull)}));

INSTANTIATE_TEST_SUITE_P(
    Run, BuildFlagTest,
    testing::Values(
        BuildCase{{"--secret", "id=s,src=p"}, KILN_HOLDS(o.secrets == Words{"id=s,src=p"})},
        BuildCase{{"--ssh", "default"}, KILN_HOLDS(o.ssh == Words{"default"})},
        BuildCase{{"--network", "none"}, KILN_HOLDS(o.network == "none")},
        BuildCase{{"--add-host", "h:1.2.3.4"}, KILN_HOLDS(o.add_hosts == Words{"h:1.2.3.4"})},
        BuildCase{{"--ulimit", "nofile=1:2"}, KILN_HOLDS(o.ulimits == Words{"nofile=1:2"})},
        BuildCase{{"-m", "1g"}, KILN_HOLDS(o.resources.memory == "1g")},
        BuildCase{{"--memory", "1g"}, KILN_HOLDS(o.resources.memory == "1g")},
        BuildCase{{"--memory-swap", "-1"}, KILN_HOLDS(o.resources.memory_swap == "-1")},
        BuildCase{{"-c", "512"}, KILN_HOLDS(o.resources.cpu_shares == 512)},
        BuildCase{{"--cpu-shares", "512"}, KILN_HOLDS(o.resources.cpu_shares == 512)},
        BuildCase{{"--cpu-period", "10"}, KILN_HOLDS(o.resources.cpu_period_us == 10)},
        BuildCase{{"--cpu-quota", "20"}, KILN_HOLDS(o.resources.cpu_quota_us == 20)},
        BuildCase{{"--cpuset-cpus", "0-3"}, KILN_HOLDS(o.resources.cpuset_cpus == "0-3")},
        BuildCase{{"--cpuset-mems", "0"}, KILN_HOLDS(o.resources.cpuset_mems == "0")},
        BuildCase{{"--shm-size", "1m"}, KILN_HOLDS(o.resources.shm_size == "1m")},
        BuildCase{{"--cgroup-parent", "p"}, KILN_HOLDS(o.cgroup_parent == "p")},
        BuildCase{{"--allow", "network.host"}, KILN_HOLDS(o.allow == Words{"network.host"})},
        BuildCase{{"--allow=device=v/c=a,alias=v/c=b"},
                  KILN_HOLDS(o.allow == Words{"device=v/c=a,alias=v/c=b"})},
        BuildCase{{"--cdi-spec-dir", "/a", "--cdi-spec-dir=/b"},
                  KILN_HOLDS(o.cdi_spec_dirs == (Words{"/a", "/b"}))},
        BuildCase{{"--max-parallel", "3"}, KILN_HOLDS(o.max_parallel == 3)}));

INSTANTIATE_TEST_SUITE_P(
    Results, BuildFlagTest,
    testing::Values(BuildCase{{"-o", "out", "--output", "type=tar,dest=-"},
                              KILN_HOLDS((o.outputs == Words{"out", "type=tar,dest=-"}))},
                    BuildCase{{"--push"}, KILN_HOLDS(o.push)},
                    BuildCase{{"--load"}, KILN_HOLDS(o.load)},
                    BuildCase{{"--progress", "plain"}, KILN_HOLDS(o.progress == "plain")},
                    BuildCase{{"-q"}, KILN_HOLDS(o.quiet)},
                    BuildCase{{"--quiet"}, KILN_HOLDS(o.quiet)},
                    BuildCase{{"--iidfile", "i"}, KILN_HOLDS(o.iidfile == "i")},
                    BuildCase{{"--metadata-file", "m"}, KILN_HOLDS(o.metadata_file == "m")},
                    BuildCase{{"--check"}, KILN_HOLDS(o.check)},
                    BuildCase{{"--call", "outline"}, KILN_HOLDS(o.call == "outline")}));

TEST(ArgsTest, RegistryCommandsTakeDockersOptions) {
  const auto push = parsed<PushOptions>({"push", "-a", "-q", "--platform", "linux/arm64", "r/app"});
  EXPECT_TRUE(push.all_tags && push.quiet);
  EXPECT_EQ(push.platform, "linux/arm64");
  EXPECT_EQ(push.reference, "r/app");
  EXPECT_TRUE(parsed<PullOptions>({"pull", "--all-tags", "r/app"}).all_tags);
  const auto login = parsed<LoginOptions>({"login", "-u", "me", "--password-stdin", "r:5000"});
  EXPECT_EQ(login.username, "me");
  EXPECT_TRUE(login.password_stdin);
  EXPECT_EQ(login.server, "r:5000");
  EXPECT_EQ(parsed<LogoutOptions>({"logout"}).server, "");
}

TEST(ArgsTest, AnOptionTakesOneValueSoThatTheContextMayFollow) {
  const auto options = parsed<BuildOptions>({"build", "-t", "a", "ctx"});
  EXPECT_THAT(options.tags, ElementsAre("a"));
  EXPECT_EQ(options.context, "ctx");
}

TEST(ArgsTest, OfAnOptionGivenTwiceTheLastCounts) {
  const BuildOptions options =
      build({"-f", "a", "--target", "x", "--file=b", "--target=y", "-t", "one", "-t", "two"});
  EXPECT_EQ(options.file, "b");
  EXPECT_EQ(options.target, "y");
  EXPECT_EQ(options.tags, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(error_of({"build", "a", "b"}), "ERROR: unexpected argument \"b\"");
}

TEST(ArgsTest, DockersOtherNamesOfCommandsAreTaken) {
  EXPECT_TRUE(parsed<ImagesOptions>({"--root", "image", "image", "ls", "-q"}).quiet);
  EXPECT_EQ(parsed<RmiOptions>({"image", "rm", "ls"}).references, std::vector<std::string>{"ls"});
  EXPECT_EQ(parsed<BuildOptions>({"buildx", "build", "image"}).context, "image");
  EXPECT_TRUE(parsed<PruneOptions>({"builder", "prune", "-a"}).all);
  EXPECT_EQ(build({"--rm", "--force-rm=true", "--compress", "--disable-content-trust"}).context,
            ".");
}

TEST(ArgsTest, AShortOptionTakesItsValueBehindAnEqualsSign) {
  const auto build = parsed<BuildOptions>({"build", "-f=sub/Dockerfile", "-t=a:1", "-q=true", "."});
  EXPECT_EQ(build.file, "sub/Dockerfile");
  EXPECT_EQ(build.tags, std::vector<std::string>{"a:1"});
  EXPECT_TRUE(build.quiet);
  EXPECT_FALSE(parsed<HistoryOptions>({"history", "-H=false", "a"}).human);
  EXPECT_FALSE(parsed<RmiOptions>({"rmi", "-f=false", "a"}).force);
}

TEST(ArgsTest, AnEmptyValueIsAValue) {
  for (const Words& words :
       {Words{"build", "--target=", "ctx"}, Words{"build", "--target", "", "ctx"}}) {
    const auto options = parsed<BuildOptions>(words);
    EXPECT_EQ(options.target, "");
    EXPECT_EQ(options.context, "ctx");
  }
}

TEST(ArgsTest, TheContextMayStandBeforeTheOptions) {
  EXPECT_EQ(parsed<BuildOptions>({"build", "-", "-f", "x"}).context, "-");
}

TEST(ArgsTest, GlobalsStandBeforeOrAfterTheCommand) {
  EXPECT_EQ(parsed<ImagesOptions>({"--root", "/r", "images"}).global.root, "/r");
  EXPECT_EQ(parsed<ImagesOptions>({"images", "--root", "/r"}).global.root, "/r");
  EXPECT_EQ(parsed<BuildOptions>({"build", "--snapshotter=copy", "."}).global.snapshotter, "copy");
  EXPECT_EQ(parsed<DumpLlbOptions>({"debug", "dump-llb", ".", "--root=/r"}).build.global.root,
            "/r");
}

TEST(ArgsTest, TheEnvironmentGivesDefaultsAndOptionsOverrideIt) {
  const Environment environment = {{"KILN_ROOT", "/env"},
                                   {"KILN_SNAPSHOTTER", "copy"},
                                   {"KILN_OCI_RUNTIME", "runc"},
                                   {"BUILDKIT_PROGRESS", "plain"}};
  const BuildOptions options = build({}, environment);
  EXPECT_EQ(options.global.root, "/env");
  EXPECT_EQ(options.global.snapshotter, "copy");
  EXPECT_EQ(options.global.oci_runtime, "runc");
  EXPECT_EQ(options.progress, "plain");
  EXPECT_EQ(build({"--root=/r", "--progress=tty"}, environment).global.root, "/r");
  EXPECT_EQ(build({}, {{"KILN_ROOT", ""}}).global.root, build({}).global.root);
}

TEST(ArgsTest, OtherCommandsTakeTheirOptions) {
  const auto images = parsed<ImagesOptions>(
      {"images", "-q", "--no-trunc", "--digests", "--format", "json", "a", "b"});
  EXPECT_TRUE(images.quiet && images.no_trunc && images.digests && images.format == "json");
  EXPECT_THAT(images.references, ElementsAre("a", "b"));

  const auto import = parsed<ImportOptions>(
      {"import", "-", "base:1", "-c", "CMD x", "-c", "ENV A=1", "-m", "text", "--platform=linux"});
  EXPECT_TRUE(import.file == "-" && import.reference == "base:1" && import.message == "text");
  EXPECT_THAT(import.changes, ElementsAre("CMD x", "ENV A=1"));

  const auto save = parsed<SaveOptions>({"save", "a", "b", "-o", "f", "--format", "oci"});
  EXPECT_TRUE(save.output == "f" && save.format == "oci" && save.references.size() == 2);
  const auto load = parsed<LoadOptions>({"load", "-i", "f", "-q"});
  EXPECT_TRUE(load.input == "f" && load.quiet);
  EXPECT_EQ(parsed<TagOptions>({"tag", "a", "b"}).target, "b");
  EXPECT_TRUE(parsed<RmiOptions>({"rmi", "-f", "a"}).force);
  const auto prune =
      parsed<PruneOptions>({"prune", "-a", "-f", "--keep-storage", "1g", "--until", "24h"});
  EXPECT_TRUE(prune.all && prune.force && prune.reserved_space == "1g" && prune.until == "24h");
  const auto du =
      parsed<DuOptions>({"du", "-v", "--filter", "shared", "--filter", "id=1", "--format", "json"});
  EXPECT_TRUE(du.verbose && du.format == "json");
  EXPECT_THAT(du.filters, ElementsAre("shared", "id=1"));
  const auto dump = parsed<DumpLlbOptions>(
      {"debug", "dump-llb", "--format", "dot", "-o", "f", "--target=t", "."});
  EXPECT_TRUE(dump.format == "dot" && dump.output == "f" && dump.build.target == "t");
  EXPECT_EQ(parsed<AstOptions>({"debug", "ast", "-f", "D"}).file, "D");
}

TEST(ArgsTest, HelpAndVersionAreNoErrors) {
  for (const Words& words : {Words{"--help"}, Words{"build", "--help"}, Words{"--version"}}) {
    const auto result = parse(words);
    const Usage* usage = std::get_if<Usage>(&result);
    ASSERT_NE(usage, nullptr);
    EXPECT_EQ(usage->exit_code, 0);
    EXPECT_FALSE(usage->text.empty());
  }
}

struct WrongCase {
  Words words;
  const char* error;
};
class WrongUsageTest : public testing::TestWithParam<WrongCase> {};
void PrintTo(const WrongCase& c, std::ostream* out) {
  for (const std::string& word : c.words) *out << word << ' ';
}

TEST_P(WrongUsageTest, NamesTheMistakeAndWhatWasPerhapsMeant) {
  EXPECT_EQ(error_of(GetParam().words), "ERROR: " + std::string(GetParam().error));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, WrongUsageTest,
    testing::Values(
        WrongCase{{"buld", "."}, R"(unknown command "buld" (did you mean build?))"},
        WrongCase{{"debug", "as"}, R"(unknown command "as" (did you mean ast?))"},
        WrongCase{{"debug"}, "a command is needed: dump-llb, ast"},
        WrongCase{{"build", "--progres=plain", "."},
                  R"(unknown option "--progres" (did you mean --progress?))"},
        WrongCase{{"build", "--no-cahce", "."},
                  R"(unknown option "--no-cahce" (did you mean --no-cache?))"},
        WrongCase{{"--rot", "x", "images"}, R"(unknown option "--rot" (did you mean --root?))"},
        WrongCase{{"build", "-x", "."}, R"(unknown option "-x")"},
        WrongCase{{"build", "--progress=plan", "."},
                  R"(--progress: "plan" is none of auto, tty, plain, quiet, none, rawjson)"
                  R"( (did you mean plain?))"},
        WrongCase{{"save", "x", "--format", "dokcer"},
                  R"(--format: "dokcer" is none of docker, oci (did you mean docker?))"},
        WrongCase{{"--snapshotter=overly", "images"},
                  R"(--snapshotter: "overly" is none of auto, overlay, copy)"
                  R"( (did you mean overlay?))"},
        WrongCase{{"--root=", "images"}, "--root: is empty"},
        WrongCase{
            {"build"},
            R"(a build needs a context: a directory, a git or http(s) URL, or "-" for standard input)"},
        WrongCase{{"build", ".", "more"}, R"(unexpected argument "more")"},
        WrongCase{{"tag", "a"}, "target is required"}));

TEST(ArgsTest, AWordOfTheEnvironmentIsCheckedToo) {
  EXPECT_EQ(error_of({"build", "."}, {{"BUILDKIT_PROGRESS", "tyt"}}),
            "ERROR: BUILDKIT_PROGRESS=\"tyt\" is none of auto, tty, plain, quiet, none, "
            "rawjson (did you mean tty?)");
}

TEST(ArgsTest, ADefinitionAndAQuestionNeedNoContext) {
  EXPECT_EQ(parsed<BuildOptions>({"build", "--call=subrequests.describe"}).context, "");
  EXPECT_EQ(parsed<BuildOptions>({"build", "--llb", "x"}).context, "");
}

TEST(ArgsTest, NumbersAreNumbers) {
  EXPECT_THAT(error_of({"build", "--cpu-quota=x", "."}), HasSubstr("--cpu-quota"));
  for (const char* option : {"--max-parallel", "--cpu-shares", "--cpu-period"})
    EXPECT_THAT(error_of({"build", std::string(option) + "=-1", "."}), HasSubstr(option));
}

}  // namespace
}  // namespace kiln::cmd
