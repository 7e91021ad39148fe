#include "solver/sources/http.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "solver/ops/file_plan.h"
#include "solver/ops/work_tree.h"
#include "solver/sources/http_fetch.h"

namespace kiln {
namespace {

constexpr uint32_t kDefaultMode = 0600;

struct HttpAttrs {
  std::string filename;
  std::optional<Digest> checksum;
  uint32_t mode = kDefaultMode, uid = 0, gid = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string secret;
};

std::string file_name_of(const std::string& url) {
  const size_t scheme = url.find("://");
  const std::string path = url.substr(0, url.find_first_of("?#"));
  const size_t slash = path.rfind('/');
  const std::string name = slash <= scheme + 2 ? std::string() : path.substr(slash + 1);
  return name.empty() || name == "." || name == ".." ? "download" : name;
}

Result<uint32_t> parse_number(const std::string& text, int base, const std::string& name) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text.c_str(), &end, base);
  if (text.empty() || *end != '\0' || value > UINT32_MAX || text.front() == '-')
    return fail(Code::kInvalidArgument, "attribute " + name + " is no number: " + quote(text));
  return static_cast<uint32_t>(value);
}

Status apply_attr(const std::string& name, const std::string& value, HttpAttrs& attrs) {
  constexpr std::string_view kHeader = "http.header.";
  if (name == "http.filename") {
    attrs.filename = value;
  } else if (name == "http.checksum") {
    KILN_TRY_ASSIGN(attrs.checksum, Digest::parse(value));
  } else if (name == "http.perm") {
    KILN_TRY_ASSIGN(attrs.mode, parse_number(value, 0, name));
  } else if (name == "http.uid") {
    KILN_TRY_ASSIGN(attrs.uid, parse_number(value, 10, name));
  } else if (name == "http.gid") {
    KILN_TRY_ASSIGN(attrs.gid, parse_number(value, 10, name));
  } else if (name == "http.authheadersecret") {
    attrs.secret = value;
  } else if (name.starts_with(kHeader)) {
    attrs.headers.emplace_back(name.substr(kHeader.size()), value);
  } else {
    return fail(Code::kUnimplemented, "unknown source attribute " + quote(name));
  }
  return {};
}

Result<HttpAttrs> parse_attrs(const llb::SourceOp& op) {
  HttpAttrs attrs;
  attrs.filename = file_name_of(op.identifier);
  for (const auto& [name, value] : op.attrs) KILN_TRY(apply_attr(name, value, attrs));
  if (attrs.filename.empty() || attrs.filename == "." || attrs.filename == ".." ||
      attrs.filename.find_first_of(std::string_view("/\0", 2)) != std::string::npos)
    return fail(Code::kInvalidArgument, "no file name: " + quote(attrs.filename));
  return attrs;
}

class HttpOperation : public Operation {
 public:
  HttpOperation(const OpsEnvironment& environment, std::string url, HttpAttrs attrs)
      : environment_(environment), url_(std::move(url)), attrs_(std::move(attrs)) {}

  Result<CacheMap> cache_map(JobContext& job) override {
    CacheMap map;
    map.op.add("kind", "http");
    map.op.add("filename", attrs_.filename);
    map.op.add("mode", std::to_string(attrs_.mode));
    map.op.add("owner", std::to_string(attrs_.uid) + ":" + std::to_string(attrs_.gid));
    // With a checksum the content is known, and a hit needs no network at all.
    if (attrs_.checksum) {
      map.op.add("digest", attrs_.checksum->to_string());
      return map;
    }
    KILN_TRY(download(job));
    map.op.add("digest", download_->digest.to_string());
    map.op.add("mtime", std::to_string(download_->mtime));
    return map;
  }

  Result<Digest> content_key(size_t /*input*/, Ref& /*ref*/, JobContext& /*job*/) override {
    return fail(Code::kInternal, "a download has no inputs");
  }

  Result<std::vector<RefPtr>> execute(std::span<const RefPtr> /*inputs*/,
                                      JobContext& job) override {
    KILN_TRY(download(job));
    KILN_TRY_ASSIGN(auto tree, WorkTree::create(environment_, nullptr, job.stop));
    {
      KILN_TRY_ASSIGN(const Root root, tree->root());
      KILN_TRY(write_file_into(root));
    }
    KILN_TRY_ASSIGN(RefPtr ref, tree->commit());
    return std::vector<RefPtr>{std::move(ref)};
  }

 private:
  /// Once a build: what was found the first time holds (remote_facts.h).
  Status download(JobContext& job) {
    if (download_) return {};
    const std::string request = url_ + "\n" + attrs_.secret;
    if (environment_.remotes) download_ = environment_.remotes->file(request);
    if (!download_) {
      KILN_TRY_ASSIGN(download_, ask_server(job));
      if (environment_.remotes) download_ = environment_.remotes->settle_file(request, *download_);
    }
    if (!attrs_.checksum || *attrs_.checksum == download_->digest) return {};
    return tl::unexpected(
        Error(Code::kFailedPrecondition, "digest mismatch: " + without_credentials(url_) + " is " +
                                             download_->digest.to_string() + ", not " +
                                             attrs_.checksum->to_string())
            .hint("if the file was meant to change, put its new digest into --checksum"));
  }

  Result<RemoteFacts::File> ask_server(JobContext& job) const {
    KILN_TRY_ASSIGN(const std::optional<Download> known, known_download());
    internal::FetchRequest request;
    request.url = url_;
    request.headers = attrs_.headers;
    KILN_TRY(add_authorization(request));
    if (known && !known->etag.empty())
      request.conditions.emplace_back("If-None-Match", known->etag);
    if (known && !known->last_modified.empty())
      request.conditions.emplace_back("If-Modified-Since", known->last_modified);
    const std::string shown = without_credentials(url_);
    request.on_download = [&job, &shown](uint64_t done, uint64_t total) {
      job.progress.on_event(Transfer{job.vertex, shown, done, total, false});
    };
    KILN_TRY_ASSIGN(auto blob, environment_.content->writer(*environment_.lease));
    const auto client = HttpClient::create(environment_.user_agent, environment_.http_proxy);
    KILN_TRY_ASSIGN(const HttpResponse answer, internal::fetch(*client, request, *blob, job.stop));
    if (answer.status == 304) {
      KILN_TRY(environment_.downloads->save(url_, *known, environment_.clock->now()));
      return RemoteFacts::File{known->digest, known->mtime};
    }
    auto committed = blob->commit(std::nullopt);
    if (!committed) return tl::unexpected(committed.error().wrap("download " + shown));
    job.progress.on_event(Transfer{job.vertex, shown, committed->size, committed->size, true});
    RemoteFacts::File file{committed->digest, kFixedTime};
    if (const auto modified = answer.header("last-modified"))
      file.mtime = internal::parse_http_date(*modified).value_or(kFixedTime);
    KILN_TRY(remember(answer, file));
    return file;
  }

  /// Only if its bytes are still here: else an answer without them would not help.
  Result<std::optional<Download>> known_download() const {
    if (environment_.downloads == nullptr || !attrs_.headers.empty()) return std::nullopt;
    KILN_TRY_ASSIGN(std::optional<Download> known, environment_.downloads->find(url_));
    if (!known) return std::nullopt;
    KILN_TRY_ASSIGN(const bool present,
                    environment_.content->touch(known->digest, *environment_.lease));
    return present ? known : std::nullopt;
  }

  Status remember(const HttpResponse& answer, const RemoteFacts::File& file) const {
    if (environment_.downloads == nullptr || !attrs_.headers.empty()) return {};
    Download download{answer.header("etag").value_or(""), "", file.digest, file.mtime};
    if (!download.etag.starts_with('"'))
      download.etag.clear();  // a weak one: other bytes may share it
    if (internal::is_strong_time(answer)) download.last_modified = *answer.header("last-modified");
    if (download.etag.empty() && download.last_modified.empty()) return {};
    return environment_.downloads->save(url_, download, environment_.clock->now());
  }

  Status add_authorization(internal::FetchRequest& request) const {
    KILN_TRY_ASSIGN(const std::string value, authorization());
    if (!value.empty()) request.headers.emplace_back("Authorization", value);
    return {};
  }

  /// Of the named secret, else of those that are for the URL's host; "": there is none. They are
  /// for those who have them.
  Result<std::string> authorization() const {
    if (!attrs_.secret.empty()) return secret(attrs_.secret);
    const std::string host = internal::host_of(url_);
    for (const std::string& name : {host, host.substr(0, host.rfind(':'))}) {
      KILN_TRY_ASSIGN(const std::string header, secret("HTTP_AUTH_HEADER_" + name));
      if (!header.empty()) return header;
      KILN_TRY_ASSIGN(const std::string token, secret("HTTP_AUTH_TOKEN_" + name));
      if (!token.empty()) return "Bearer " + token;
    }
    return std::string();
  }

  Result<std::string> secret(const std::string& id) const {
    const auto found = environment_.secrets.find(id);
    if (found == environment_.secrets.end()) return std::string();
    KILN_TRY_ASSIGN(const std::string value, found->second());
    return std::string(trim(value));
  }

  Status write_file_into(const Root& root) const {
    const RelPath path = RelPath().child(attrs_.filename);
    KILN_TRY_ASSIGN(const Fd file, root.open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
    KILN_TRY_ASSIGN(const auto bytes, environment_.content->open(download_->digest));
    FdSink sink(file.get(), attrs_.filename);
    KILN_TRY(copy_stream(*bytes, sink));
    if (::fchown(file.get(), attrs_.uid, attrs_.gid) != 0 ||
        ::fchmod(file.get(), attrs_.mode & 07777U) != 0)
      return fail_errno("set owner and mode of", path.absolute());
    const timespec times[2] = {{download_->mtime, 0}, {download_->mtime, 0}};
    if (::futimens(file.get(), times) != 0) return fail_errno("set times of", path.absolute());
    if (::futimens(root.fd(), times) != 0) return fail_errno("set times of", "/");
    return {};
  }

  const OpsEnvironment& environment_;
  const std::string url_;
  const HttpAttrs attrs_;
  std::optional<RemoteFacts::File> download_;
};

}  // namespace

Result<std::unique_ptr<Operation>> make_http_op(const OpsEnvironment& environment,
                                                const llb::Vertex& vertex) {
  const auto& op = std::get<llb::SourceOp>(vertex.op);
  KILN_TRY_ASSIGN(HttpAttrs attrs, parse_attrs(op));
  return std::make_unique<HttpOperation>(environment, op.identifier, std::move(attrs));
}

}  // namespace kiln
