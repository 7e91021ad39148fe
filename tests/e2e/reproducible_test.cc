// The same inputs give the same image, byte for byte, whatever differs around the build.
#include <gmock/gmock.h>

#include "base/strings.h"
#include "tests/e2e/built_image.h"
#include "tests/e2e/kiln_runner.h"

namespace kiln::e2e {
namespace {

constexpr const char* kRichDockerfile = R"(FROM base AS tool
RUN mkdir -p /opt/t && for i in 3 1 2; do echo $i > /opt/t/$i; done; \
    ln /opt/t/1 /opt/t/hard; ln -s 1 /opt/t/soft; chmod 4755 /opt/t/2; mkfifo /opt/t/pipe
FROM base AS archive
ADD a.tar.gz /unpacked/
RUN touch /now && rm -rf /var && date > /clock.ignored && rm /clock.ignored
FROM tool AS onwards
RUN dd if=/dev/zero of=/opt/large bs=1024 count=3000 2>/dev/null; umask > /opt/umask; env | sort > /opt/env
FROM base
ENV A=1 B="two words"
LABEL z=1 a=2
WORKDIR /srv/deep
COPY --chown=app:extra --chmod=640 d/ ./d/
COPY --link d/x /linked/x
COPY <<EOF /etc/conf
hello $A
EOF
RUN <<EOF
set -e
mkdir -p /tmp/new/dir
echo hi > /tmp/new/dir/f
chown app /tmp/new
rm /etc/group
EOF
COPY --from=onwards /opt /opt
COPY --from=archive / /all
ADD many /many
USER app
VOLUME /v
CMD ["x"]
)";

struct Variant {
  const char* name;
  const char* shell;  // before kiln starts
  std::vector<std::string> environment, global, more;
  const char* order;  // how the context's files were made: "sort" or "sort -r"
};
std::vector<Variant> variants() {
  return {
      {"plain", "true", {}, {}, {}, "sort"},
      {"umask", "umask 0077", {}, {}, {}, "sort"},
      {"loose_umask", "umask 0", {}, {}, {}, "sort"},
      {"zone",
       "true",
       {"TZ=Pacific/Kiritimati", "LC_ALL=tr_TR.UTF-8", "LANG=de_DE"},
       {},
       {},
       "sort"},
      {"order_on_disk", "true", {}, {}, {}, "sort -r"},
      {"working_directory", "cd /", {"HOME=/nonexistent", "USER=other"}, {}, {}, "sort"},
      {"one_step_at_once", "true", {}, {}, {"--max-parallel=1"}, "sort"},
      {"one_cpu", "taskset -p -c 0 $$ > /dev/null", {}, {}, {}, "sort"},
      {"copying_snapshots", "true", {}, {"--snapshotter=copy"}, {}, "sort"},
      {"runc", "true", {}, {"--oci-runtime=runc"}, {}, "sort"},
  };
}

class ReproducibleTest : public KilnTest {
 protected:
  void SetUp() override {
    KilnTest::SetUp();
    if (IsSkipped()) return;
    // An import has a time of its own: all roots get the same one.
    const Output saved = kiln({"save", "--format=oci", "base", "-o", path("base.tar")});
    ASSERT_EQ(saved.exit_code, 0) << saved.err;
  }

  std::string script(const std::string& name, const std::string& text) {
    EXPECT_TRUE(write_file(path(name), text));
    return path(name);
  }

  /// The same tree in a directory of its own, its files made in another order, at other times.
  std::string make_context(const std::string& name, const std::string& order) {
    const std::string c = path(name);
    const std::string make =
        "set -eu; c=$1; mkdir -p $c/d/sub $c/many; "
        "for f in d/x d/y d/sub/z $(seq 1 60 | sed 's,^,many/,'); do echo $f; done | " +
        order +
        " | while read f; do echo \"content of $f\" > $c/$f; done; "
        "chmod 755 $c/d/x; ln -s x $c/d/link; ln $c/d/y $c/d/hard; "
        "mkdir $c/t; echo in > $c/t/in; touch -d @1400000000 $c/t/in $c/t; "
        "tar -C $c -cf - --sort=name --owner=7 --group=8 --mtime=@1300000000 t | gzip -n > "
        "$c/a.tar.gz; rm -r $c/t; find $c -exec touch -h -d @1500000000 {} +";
    const Output made = command({"/bin/sh", "-c", make, "sh", c});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    EXPECT_TRUE(write_file(c + "/Dockerfile", kRichDockerfile));
    return c;
  }

  /// SHA-256 of the archives of one build, gzip and zstd.
  std::string build_as(const Variant& variant, const std::string& root, const std::string& c) {
    std::string line = std::string(variant.shell) + "; exec \"$@\"";
    std::vector<std::string> argv = {"env"};
    argv.insert(argv.end(), variant.environment.begin(), variant.environment.end());
    argv.insert(argv.end(), {"SOURCE_DATE_EPOCH=1600000000", "/bin/sh", "-c", line, "sh",
                             KILN_BINARY, "--root", root});
    argv.insert(argv.end(), variant.global.begin(), variant.global.end());
    std::vector<std::string> load = argv;
    load.insert(load.end(), {"load", "-q", "-i", path("base.tar")});
    const Output loaded = command(load);
    EXPECT_EQ(loaded.exit_code, 0) << loaded.err;
    argv.insert(argv.end(),
                {"build", "--progress=plain", "--network=none", "-o",
                 "type=oci,rewrite-timestamp=true,dest=" + path("gzip.tar"), "-o",
                 "type=oci,rewrite-timestamp=true,compression=zstd,dest=" + path("zstd.tar")});
    argv.insert(argv.end(), variant.more.begin(), variant.more.end());
    argv.push_back(c);
    const Output built = command(argv);
    EXPECT_EQ(built.exit_code, 0) << built.err;
    const Output sums = command({"/bin/sh", "-c", "sha256sum < $1; sha256sum < $2", "sh",
                                 path("gzip.tar"), path("zstd.tar")});
    log_ = built.err;
    return sums.out;
  }

  std::string log_;
};

TEST_F(ReproducibleTest, OneImageWhateverIsAroundTheBuild) {
  std::string first;
  for (const Variant& variant : variants()) {
    if (variant.name == std::string("runc") && !find_program("runc", "/usr/sbin:/usr/bin"))
      continue;
    const std::string c = make_context(std::string("context-") + variant.name, variant.order);
    const std::string root = path(std::string("root-") + variant.name);
    const std::string sums = build_as(variant, root, c);
    EXPECT_EQ(count(log_, "CACHED"), 0) << log_;
    ASSERT_EQ(count(sums, "  -\n"), 2) << sums;
    if (first.empty()) first = sums;
    EXPECT_EQ(sums, first) << variant.name;
    EXPECT_EQ(build_as(variant, root, c), first) << variant.name << ", cached";
    EXPECT_EQ(count(log_, "CACHED"), 15) << log_;
  }
}

TEST_F(ReproducibleTest, RewritingTouchesOnlyWhatIsYoungerAndOfTheBuild) {
  const std::string c = context(
      "c",
      {{"Dockerfile",
        "FROM base\nRUN echo x > /young && mkdir /dir && ln /young /hard && touch -d @1000000000 "
        "/old && rm /etc/group\n"}});
  (void)build(c, {"--build-arg=SOURCE_DATE_EPOCH=1400000000", "-o",
                  "type=oci,rewrite-timestamp=true,dest=" + path("rewritten.tar")});
  const std::string base = image_config("base")["rootfs"]["diff_ids"].strings().at(0);
  EXPECT_THAT(describe_image(path("rewritten.tar"), base),
              testing::HasSubstr("d dir 0755 0:0 @1400000000\n"
                                 "d etc 0755 0:0 @1400000000\n"
                                 "! etc/group\n"
                                 "f hard 0644 0:0 @1400000000 'x\\n'\n"
                                 "f old 0644 0:0 @1000000000 ''\n"
                                 "h young 0644 0:0 @1400000000 -> hard\n"));
}

TEST_F(ReproducibleTest, FilesAreDatedAsTheBuildIs) {
  const std::string c = context("c", {{"Dockerfile", "FROM scratch\nCOPY a /d/a\n"}, {"a", "A"}});
  (void)build(c, {"--build-arg=SOURCE_DATE_EPOCH=1400000000", "-o", path("out"), "-o",
                  "type=tar,dest=" + path("out.tar")});
  EXPECT_EQ(command({"stat", "-c", "%Y", path("out/d"), path("out/d/a")}).out,
            "1400000000\n1400000000\n");
  const std::string list =
      command({"env", "TZ=UTC", "tar", "--full-time", "-tvf", path("out.tar")}).out;
  EXPECT_EQ(count(list, "2014-05-13 16:53:20"), 2) << list;
}

TEST_F(ReproducibleTest, AnOutputOfFilesMayHaveATimeOfItsOwn) {
  const std::string c = context("c", {{"Dockerfile", "FROM scratch\nCOPY a /a\n"}, {"a", "A"}});
  (void)build(c, {"--build-arg=SOURCE_DATE_EPOCH=1400000000", "-o",
                  "type=local,source-date-epoch=1300000000,dest=" + path("out")});
  EXPECT_EQ(command({"stat", "-c", "%Y", path("out/a")}).out, "1300000000\n");
}

TEST_F(ReproducibleTest, RewritingNeedsATime) {
  const std::string c = context("c", {{"Dockerfile", "FROM base\n"}});
  const Output output = kiln({"build", "-o", "type=image,rewrite-timestamp=true", c});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_THAT(output.err, testing::HasSubstr("set SOURCE_DATE_EPOCH"));
}

}  // namespace
}  // namespace kiln::e2e
