#include <sys/stat.h>

#include "base/process.h"
#include "solver/sources/git_command.h"
#include "tests/fakes/git_server.h"
#include "tests/fakes/http_server.h"
#include "tests/unit/ops/ops_world.h"

namespace kiln {
namespace {

constexpr uint64_t kMaxBytes = 1U << 20U;

/// A repository served over plain ("dumb") http, which cannot do shallow fetches.
class GitSourceTest : public fake::OpsWorld {
 protected:
  void SetUp() override {
    OpsWorld::SetUp();
    if (IsSkipped()) return;
    if (!find_program("git", environment_.search_path)) GTEST_SKIP() << "there is no git";
    ASSERT_EQ(git({"init", "-q", "-b", "main", work()}), "");
    fake::make_tree(work(), "f readme 0600 0:0 hello; d sub 0700; f sub/run 0755 0:0 x");
    commit("first");
    git({"-C", work(), "tag", "-a", "v1", "-m", "one"});
    ASSERT_TRUE(write_file(work() + "/readme", "changed"));
    commit("second");
    git({"clone", "-q", "--bare", work(), bare()});
    git({"-C", bare(), "update-server-info"});
    server_ = fake::HttpServer::start([this](const fake::Request& request) {
                const auto path = RelPath::strict(request.path);
                if (!path) return fake::Response{400, {}, ""};
                auto file = read_file(directory_->path() + path->absolute(), kMaxBytes);
                if (!file) return fake::Response{404, {}, ""};
                return fake::Response{200, {}, *std::move(file)};
              }).value();
  }

  std::string work() const { return directory_->path() + "/work"; }
  std::string bare() const { return directory_->path() + "/bare.git"; }

  std::string git(std::vector<std::string> args) const {
    ProcessSpec spec;
    spec.argv = {"git"};
    spec.argv.insert(spec.argv.end(), args.begin(), args.end());
    spec.env = fake::git_environment(directory_->path());
    const auto ran = run_captured(spec, "", kMaxBytes, {});
    EXPECT_TRUE(ran && ran->exit.ok()) << (ran ? ran->err : ran.error().to_string());
    return ran ? std::string(trim(ran->out)) : std::string();
  }
  void commit(const std::string& message) {
    git({"-C", work(), "add", "-A"});
    git({"-C", work(), "commit", "-q", "-m", message});
  }

  llb::Vertex source(const std::string& fragment, std::map<std::string, std::string> attrs = {}) {
    attrs["git.fullurl"] = server_->url("/bare.git");
    return vertex(llb::SourceOp{"git://" + server_->host() + "/bare.git" + fragment, attrs}, 0);
  }

  std::unique_ptr<fake::HttpServer> server_;
};

TEST_F(GitSourceTest, TheDefaultBranchIsCheckedOutWithPlainModes) {
  const auto made = execute(source(""), {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_EQ(listing(made->front()),
            fake::normalized_tree("f readme 0644 0:0 changed; d sub 0755; f sub/run 0755 0:0 x"));
  const auto view = as_tree(*made->front()).value()->open({}).value();
  const auto st = view->stat(RelPath::rooted("readme").value()).value();
  EXPECT_EQ(st->st_mtim.tv_sec, 1500000000);
}

TEST_F(GitSourceTest, ATagAndASubdirectoryCanBeNamed) {
  const auto made = execute(source("#v1"), {});
  ASSERT_TRUE(made) << made.error().to_string();
  EXPECT_NE(listing(made->front()).find("readme 0644 0:0 hello"), std::string::npos);
  const auto below = execute(source("#v1:sub"), {});
  ASSERT_TRUE(below) << below.error().to_string();
  EXPECT_EQ(listing(below->front()), "f run 0755 0:0 x");
}

TEST_F(GitSourceTest, TheKeyIsTheCommitAndNotItsName) {
  const std::string head = git({"-C", work(), "rev-parse", "HEAD"});
  const auto key = [&](const llb::Vertex& one) {
    return cache_map(one).value().op.digest().to_string();
  };
  EXPECT_EQ(key(source("")), key(source("#main")));
  EXPECT_EQ(key(source("")), key(source("#" + head)));
  EXPECT_NE(key(source("")), key(source("#v1")));
}

TEST_F(GitSourceTest, AChecksumMustFit) {
  const std::string head = git({"-C", work(), "rev-parse", "HEAD"});
  EXPECT_TRUE(cache_map(source("", {{"git.checksum", head.substr(0, 10)}})));
  const auto wrong = cache_map(source("#v1", {{"git.checksum", head}}));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code(), Code::kFailedPrecondition);  // the build's fault, not kiln's
  EXPECT_NE(wrong.error().message().find("expected checksum to match " + head), std::string::npos);
  EXPECT_NE(wrong.error().message().find(", got "), std::string::npos);
}

TEST_F(GitSourceTest, OneBuildSeesOneCommitOfABranch) {
  environment_.remotes = std::make_shared<RemoteFacts>();
  const auto key = [&] { return cache_map(source("")).value().op.digest().to_string(); };
  const std::string first = key();
  ASSERT_TRUE(write_file(work() + "/readme", "changed again"));
  commit("third");
  git({"-C", work(), "push", "-q", bare(), "main"});
  git({"-C", bare(), "update-server-info"});
  EXPECT_EQ(key(), first);
  environment_.remotes = nullptr;
  EXPECT_NE(key(), first);
}

TEST_F(GitSourceTest, WithoutAnAgentSshIsRefused) {
  const auto made = cache_map(
      vertex(llb::SourceOp{"git://h/r.git",
                           {{"git.fullurl", "git@h:r.git"}, {"git.mountsshsock", "default"}}},
             0));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message(), "no SSH key \"default\" forwarded from the client");
  EXPECT_EQ(made.error().advice(), "start ssh-agent and add --ssh default");
}

TEST(GitCommandTest, CredentialsAreTakenOutOfHttpUrls) {
  struct Row {
    const char *remote, *url, *who;
  };
  for (const Row& row : {Row{"https://u:p@h/r.git", "https://h/r.git", "u:p"},
                         {"https://token@h:1/r.git", "https://h:1/r.git", "token:"},
                         {"https://u%40x:p%3a%2F@h/r.git", "https://h/r.git", "u@x:p:/"},
                         {"https://h/r@1.git", "https://h/r@1.git", ""},
                         {"ssh://git@h/r.git", "ssh://git@h/r.git", ""},
                         {"git@h:r.git", "git@h:r.git", ""}}) {
    const internal::SplitRemote split = internal::split_credentials(row.remote);
    EXPECT_EQ(split.url, row.url);
    EXPECT_EQ(split.user_and_password, row.who);
  }
}

TEST_F(GitSourceTest, ARefThatIsNotThereIsNamed) {
  const auto made = cache_map(source("#nowhere"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), Code::kNotFound);
  EXPECT_EQ(made.error().message(), "the repository does not contain ref \"nowhere\"");
}

TEST(GitCommandTest, OnlyNetworkUrlsAreFetched) {
  for (const char* good : {"https://h/a.git", "http://h/a", "ssh://git@h/a", "git@h:a/b.git"})
    EXPECT_TRUE(internal::check_git_remote(good)) << good;
  for (const char* bad : {"file:///etc", "/etc", "ext::sh -c id", "--upload-pack=x", "-x@h:a",
                          "ssh://-oProxyCommand=x/a", "git@-oProxyCommand=x:a"})
    EXPECT_FALSE(internal::check_git_remote(bad)) << bad;
}

/// What a git started for `remote` finds in its environment: `git` is a script that tells.
std::string environment_of_git(const std::string& remote, const std::string& command) {
  const TempDir directory = TempDir::create("/tmp", "kiln-git-").value();
  const std::string program = directory.path() + "/git";
  EXPECT_TRUE(write_file(program, "#!/bin/sh\n/usr/bin/env\n"));
  EXPECT_EQ(::chmod(program.c_str(), 0755), 0);
  internal::GitSettings settings;
  settings.search_path = directory.path();
  settings.scratch = directory.path();
  settings.remote = remote;
  settings.proxies = {"https_proxy=http://proxy:3128"};
  const auto git = internal::GitCommand::create(settings);
  const auto told = git ? git->run("", {command}, {}) : tl::unexpected(git.error());
  return told ? *told : told.error().to_string();
}

TEST_F(GitSourceTest, GitKnowsTheProxiesAndFallsFromHttpsToHttpForSubmodulesAlone) {
  const auto says = [](const std::string& environment, const std::string& line) {
    return ("\n" + environment).find("\n" + line + "\n") != std::string::npos;
  };
  const std::string over_tls = environment_of_git("https://h/r.git", "fetch");
  EXPECT_TRUE(says(over_tls, "https_proxy=http://proxy:3128")) << over_tls;
  EXPECT_TRUE(says(over_tls, "GIT_ALLOW_PROTOCOL=https:ssh:git")) << over_tls;
  EXPECT_TRUE(says(environment_of_git("https://h/r.git", "submodule"),
                   "GIT_ALLOW_PROTOCOL=http:https:ssh:git"));
  EXPECT_TRUE(
      says(environment_of_git("http://h/r.git", "fetch"), "GIT_ALLOW_PROTOCOL=http:https:ssh:git"));
}

/// A TLS server on loopback whose answer to git's first question is a redirect to `location`.
class RedirectingTls {
 public:
  RedirectingTls(const std::string& directory, const std::string& location) {
    const std::string refs = directory + "/r.git/info";
    EXPECT_TRUE(make_dirs(refs));
    EXPECT_TRUE(write_file(refs + "/refs?service=git-upload-pack",
                           "HTTP/1.0 302 Found\r\nLocation: " + location +
                               "/info/refs?service=git-upload-pack\r\n\r\n"));
    ProcessSpec key = shell(
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost "
        "-keyout key.pem -out cert.pem",
        directory);
    const auto made = run_captured(key, "", kMaxBytes, {});
    EXPECT_TRUE(made && made->exit.ok()) << (made ? made->err : made.error().to_string());
    Pipe pipe = Pipe::create().value();
    ProcessSpec serve = shell(
        "exec openssl s_server -accept 127.0.0.1:0 -key key.pem -cert cert.pem -HTTP", directory);
    serve.out = pipe.write_end.get();
    server_.emplace(Child::spawn(serve).value());
    pipe.write_end.reset();
    out_ = std::move(pipe.read_end);
    url_ = "https://127.0.0.1:" + read_port() + "/r.git";
  }
  const std::string& url() const { return url_; }

 private:
  static ProcessSpec shell(const std::string& line, const std::string& directory) {
    ProcessSpec spec;
    spec.argv = {"/bin/sh", "-c", line};
    spec.env = {"PATH=/usr/bin:/bin", "HOME=" + directory};
    spec.cwd = directory;
    return spec;
  }
  /// It says "ACCEPT 127.0.0.1:PORT" when it listens.
  std::string read_port() const {
    std::string said;
    char c = 0;
    while (said.find("ACCEPT ") == std::string::npos || !said.ends_with('\n'))
      if (::read(out_.get(), &c, 1) != 1)
        return "0";
      else
        said += c;
    said.pop_back();
    return said.substr(said.rfind(':') + 1);
  }
  std::optional<Child> server_;
  Fd out_;
  std::string url_;
};

TEST_F(GitSourceTest, ARedirectFromHttpsToHttpIsNotFollowed) {
  if (!find_program("openssl", "/usr/bin:/bin")) GTEST_SKIP() << "there is no openssl";
  const std::string tls = directory_->path() + "/tls";
  ASSERT_TRUE(make_dirs(tls));
  const RedirectingTls server(tls, server_->url("/bare.git"));
  internal::GitSettings settings;
  settings.search_path = environment_.search_path;
  settings.scratch = environment_.scratch;
  settings.remote = server.url();
  const auto git = internal::GitCommand::create(settings);
  ASSERT_TRUE(git);
  const auto listed =
      git->run("", {"-c", "http.sslVerify=false", "ls-remote", "--", server.url()}, {});
  ASSERT_FALSE(listed);
  EXPECT_NE(listed.error().message().find("http"), std::string::npos) << listed.error().to_string();
  EXPECT_TRUE(server_->requests().empty());
  // The same redirect is one that git would follow, were it allowed to.
  ProcessSpec plain;
  plain.argv = {"git", "-c", "http.sslVerify=false", "ls-remote", "--", server.url()};
  plain.env = fake::git_environment(directory_->path());
  const auto followed = run_captured(plain, "", kMaxBytes, {});
  ASSERT_TRUE(followed && followed->exit.ok()) << followed->err;
  EXPECT_FALSE(server_->requests().empty());
}

}  // namespace
}  // namespace kiln
