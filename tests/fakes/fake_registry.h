// A registry in memory: pull and push of the distribution specification, on loopback. It checks
// what it is sent (digests, ranges, that manifests name only what is there), and misbehaves as a
// test tells it: for everything by a hook, or once or more often at a step by a script.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/fakes/http_server.h"

namespace kiln::fake {

class FakeRegistry {
 public:
  /// An answer instead of the registry's own; nullopt: its own.
  using Hook = std::function<std::optional<Response>(const Request&)>;
  /// `normal` is what it would do; it need not be called.
  using Act = std::function<Response(const Request&, const std::function<Response()>& normal)>;

  FakeRegistry();
  ~FakeRegistry();
  FakeRegistry(const FakeRegistry&) = delete;
  FakeRegistry& operator=(const FakeRegistry&) = delete;

  // Content. A manifest is added under its digest, and with `tag` under that too.
  std::string add_blob(const std::string& repository, const std::string& bytes);  // its digest
  std::string add_manifest(const std::string& repository, const std::string& type,
                           const std::string& text, const std::string& tag = {});
  std::optional<std::string> blob(const std::string& repository, const std::string& digest) const;
  std::optional<std::string> manifest(const std::string& repository,
                                      const std::string& reference) const;
  size_t open_uploads() const;

  // Misbehaviour. Set the hook before anyone asks.
  Hook hook;
  /// The next `times` requests of that method whose path contains `part` are answered by `act`.
  void script(const std::string& method, const std::string& part, Act act, size_t times = 1);
  static Act status(int status, Headers headers = {});
  static Act lose_request();           // reset before anything is done
  static Act lose_answer();            // done, then reset
  static Act cut_after(size_t bytes);  // of the answer's body; its length is told as it would be
  static Act with_header(const std::string& name, const std::string& value);
  /// Of a PATCH: that many bytes arrive, then the connection breaks.
  Act break_after(size_t bytes);

  // Who may do what. Set before anyone asks.
  void require_basic(const std::string& user, const std::string& password);
  /// Tokens from /token, for the scopes that they were asked for; each is good for `uses` requests.
  void require_tokens(const std::string& user, const std::string& password, size_t uses = SIZE_MAX);

  const HttpServer& server() const { return *server_; }
  std::string host() const { return server_->host(); }
  /// Requests whose path contains `part`; of that method alone if it is not "".
  size_t asked(const std::string& part, const std::string& method = {}) const;

 private:
  struct StoredManifest {
    std::string type, text;
  };
  struct Repository {
    std::map<std::string, std::string> blobs;         // by digest
    std::map<std::string, StoredManifest> manifests;  // by digest and tag
  };
  struct UploadState {
    std::string repository, bytes;
    int moves = 0;
  };
  struct Step {
    std::string method, part;
    Act act;
    size_t times;
  };
  struct Token {
    std::string scopes;
    size_t uses;
  };

  Response answer(const Request& request);
  std::optional<Act> scripted(const Request& request);
  Response act(const Request& request);
  std::optional<Response> refuse(const Request& request);
  Response challenge(const std::string& scope) const;
  Response token(const Request& request);
  Response manifests(const Request& request, Repository& repository, const std::string& name,
                     const std::string& reference);
  Response put_manifest(const Request& request, Repository& repository, const std::string& name,
                        const std::string& reference);
  Response blobs(const Request& request, Repository& repository, const std::string& digest);
  Response uploads(const Request& request, const std::string& name, const std::string& id);
  Response start_upload(const Request& request, const std::string& name);
  Response finish_upload(const Request& request, const std::string& id);
  Response tags(const std::string& name);
  Response moved(int status, const std::string& id);

  mutable std::mutex mutex_;  // all below
  std::map<std::string, Repository> repositories_;
  std::map<std::string, UploadState> uploads_;
  std::vector<Step> steps_;
  std::map<std::string, Token> tokens_;
  std::string basic_, token_user_;
  size_t token_uses_ = 0, serial_ = 0;
  std::unique_ptr<HttpServer> server_;  // last: it is gone before what it serves
};

}  // namespace kiln::fake
