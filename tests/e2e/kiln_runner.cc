#include "tests/e2e/kiln_runner.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace kiln::e2e {
namespace {

constexpr uint64_t kOutputLimit = 64U << 20U;

// One tar for all tests of the process: a static busybox and what a root file system needs.
std::string make_base(const std::string& dir) {
  const std::string root = dir + "/base";
  for (const char* name : {"bin", "etc", "tmp", "root", "var"}) (void)make_dirs(root + "/" + name);
  (void)write_file(root + "/etc/passwd",
                   "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n");
  (void)write_file(root + "/etc/group", "root:x:0:\napp:x:1001:\nextra:x:2000:app\n");
  // The links name /usr/bin/busybox: where it was installed from, and where the copy lies.
  const std::string script =
      "set -e; mkdir -p " + root + "/usr/bin; cp \"$(command -v busybox)\" " + root +
      "/usr/bin/busybox; chmod 1777 " + root + "/tmp; /usr/bin/busybox --install -s " + root +
      "/bin; tar -C " + root + " --numeric-owner --owner=0 --group=0 -cf " + dir + "/base.tar .";
  ProcessSpec spec;
  spec.argv = {"/bin/sh", "-c", script};
  spec.env = {"PATH=/usr/bin:/bin:/usr/sbin:/sbin"};
  const auto run = run_captured(spec, "", kOutputLimit, {});
  EXPECT_TRUE(run && run->exit.ok()) << (run ? run->err : run.error().to_string());
  return dir + "/base.tar";
}

}  // namespace

const std::string& KilnTest::base_tar() {
  static const TempDir directory = TempDir::create("/var/tmp", "kiln-base-").value();
  static const std::string tar = make_base(directory.path());
  return tar;
}

void KilnTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: builds mount overlayfs";
  if (!find_program("busybox", "/usr/bin:/bin")) GTEST_SKIP() << "needs busybox-static";
  auto dir = TempDir::create("/var/tmp", "kiln-e2e-");
  ASSERT_TRUE(dir) << dir.error().to_string();
  dir_ = std::make_unique<TempDir>(std::move(*dir));
  std::error_code failed;
  std::filesystem::copy(root_with_base(), root(), std::filesystem::copy_options::recursive, failed);
  ASSERT_FALSE(failed) << failed.message();
}

const std::string& KilnTest::root_with_base() const {
  static const std::string root = [this] {
    const std::string made = base_tar() + ".root";
    const Output imported = kiln_at(made, {"import", base_tar(), "base"});
    EXPECT_EQ(imported.exit_code, 0) << imported.err;
    std::filesystem::remove(made + "/reserve");  // bytes to copy that kiln makes anew
    return made;
  }();
  return root;
}

std::string KilnTest::context(const std::string& name,
                              const std::map<std::string, std::string>& files) {
  const std::string directory = path(name);
  EXPECT_TRUE(make_dirs(directory));
  for (const auto& [file, text] : files) {
    const std::string full = directory + "/" + file;
    EXPECT_TRUE(make_dirs(full.substr(0, full.rfind('/'))));
    EXPECT_TRUE(write_file(full, text));
  }
  return directory;
}

Output KilnTest::command(const std::vector<std::string>& argv, const std::string& input) const {
  ProcessSpec spec;
  spec.argv = argv;
  spec.env = environment_;
  const auto run = run_captured(spec, input, kOutputLimit, {});
  if (!run) return {-1, "", run.error().to_string()};
  return {run->exit.signal != 0 ? 128 + run->exit.signal : run->exit.code, run->out, run->err};
}

Output KilnTest::kiln_at(const std::string& root, const std::vector<std::string>& args) const {
  std::vector<std::string> argv = {KILN_BINARY, "--root", root};
  argv.insert(argv.end(), args.begin(), args.end());
  return command(argv);
}

Output KilnTest::kiln(const std::vector<std::string>& args, const std::string& input) const {
  std::vector<std::string> argv = {KILN_BINARY, "--root", root()};
  argv.insert(argv.end(), args.begin(), args.end());
  return command(argv, input);
}

std::string KilnTest::build(const std::string& context,
                            const std::vector<std::string>& more) const {
  std::vector<std::string> args = {"build", "--progress=plain"};
  args.insert(args.end(), more.begin(), more.end());
  args.push_back(context);
  const Output output = kiln(args);
  EXPECT_EQ(output.exit_code, 0) << output.err;
  return output.err;
}

std::string KilnTest::built_file(const std::string& context, const std::string& file,
                                 const std::vector<std::string>& more) const {
  std::vector<std::string> args = {"-o", "type=tar,dest=" + path("built.tar")};
  args.insert(args.end(), more.begin(), more.end());
  (void)build(context, args);
  const Output tar = command({"tar", "-xOf", path("built.tar"), file});
  EXPECT_EQ(tar.exit_code, 0) << tar.err;
  return tar.out;
}

Json KilnTest::image_config(const std::string& name) const {
  const Output saved = kiln({"save", "--format", "oci", "-o", path("config.tar"), name});
  EXPECT_EQ(saved.exit_code, 0) << saved.err;
  const auto blob = [&](const std::string& digest) {
    const std::string file =
        digest == "index.json" ? digest : "blobs/sha256/" + digest.substr(digest.find(':') + 1);
    return Json::parse(command({"tar", "-xOf", path("config.tar"), file}).out).value_or(Json());
  };
  const Json manifest =
      blob(blob("index.json")["manifests"].elements().at(0)["digest"].as_string());
  return blob(manifest["config"]["digest"].as_string());
}

int KilnTest::count(const std::string& text, const std::string& what) {
  int found = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size()))
    ++found;
  return found;
}

}  // namespace kiln::e2e
