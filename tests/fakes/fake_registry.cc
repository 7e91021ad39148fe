#include "tests/fakes/fake_registry.h"

#include <algorithm>

#include "base/digest.h"
#include "base/json.h"
#include "base/strings.h"

namespace kiln::fake {
namespace {

Response refusal(int status, const std::string& code) {
  return {.status = status,
          .headers = {{"Content-Type", "application/json"}},
          .body = R"({"errors":[{"code":")" + code + R"(","message":"not known here"}]})"};
}

// The value of a query's parameter, with its %XX decoded.
std::string parameter(const std::string& query, const std::string& name) {
  for (const std::string& pair : split(query, '&')) {
    if (!pair.starts_with(name + "=")) continue;
    std::string value;
    for (size_t i = name.size() + 1; i < pair.size(); ++i) {
      const bool coded = pair[i] == '%' && i + 2 < pair.size();
      value.push_back(coded ? static_cast<char>(std::stoi(pair.substr(i + 1, 2), nullptr, 16))
                            : pair[i]);
      if (coded) i += 2;
    }
    return value;
  }
  return {};
}

std::string encoded(const std::string& plain) {
  static constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < plain.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j)
      bits = bits << 8U | (i + j < plain.size() ? static_cast<uint8_t>(plain[i + j]) : 0U);
    for (size_t j = 0; j < 4; ++j)
      text.push_back(i + j > plain.size() ? '=' : kLetters[bits >> (18 - 6 * j) & 63U]);
  }
  return text;
}

}  // namespace

FakeRegistry::FakeRegistry()
    : server_(
          HttpServer::start([this](const Request& request) { return answer(request); }).value()) {}
FakeRegistry::~FakeRegistry() = default;

std::string FakeRegistry::add_blob(const std::string& repository, const std::string& bytes) {
  const std::lock_guard lock(mutex_);
  std::string digest = Digest::of(bytes).to_string();
  repositories_[repository].blobs[digest] = bytes;
  return digest;
}

std::string FakeRegistry::add_manifest(const std::string& repository, const std::string& type,
                                       const std::string& text, const std::string& tag) {
  const std::lock_guard lock(mutex_);
  std::string digest = Digest::of(text).to_string();
  auto& manifests = repositories_[repository].manifests;
  manifests[digest] = {type, text};
  if (!tag.empty()) manifests[tag] = {type, text};
  return digest;
}

std::optional<std::string> FakeRegistry::blob(const std::string& repository,
                                              const std::string& digest) const {
  const std::lock_guard lock(mutex_);
  const auto at = repositories_.find(repository);
  if (at == repositories_.end() || !at->second.blobs.contains(digest)) return std::nullopt;
  return at->second.blobs.at(digest);
}

std::optional<std::string> FakeRegistry::manifest(const std::string& repository,
                                                  const std::string& reference) const {
  const std::lock_guard lock(mutex_);
  const auto at = repositories_.find(repository);
  if (at == repositories_.end() || !at->second.manifests.contains(reference)) return std::nullopt;
  return at->second.manifests.at(reference).text;
}

size_t FakeRegistry::open_uploads() const {
  const std::lock_guard lock(mutex_);
  return uploads_.size();
}

void FakeRegistry::script(const std::string& method, const std::string& part, Act act,
                          size_t times) {
  const std::lock_guard lock(mutex_);
  steps_.push_back({method, part, std::move(act), times});
}

FakeRegistry::Act FakeRegistry::status(int status, Headers headers) {
  return [status, headers](const Request&, const std::function<Response()>&) {
    Response response = refusal(status, "SCRIPTED");
    response.headers.insert(response.headers.end(), headers.begin(), headers.end());
    return response;
  };
}

FakeRegistry::Act FakeRegistry::lose_request() {
  return [](const Request&, const std::function<Response()>&) {
    return Response{.fault = Fault::kReset, .silent = true};
  };
}

FakeRegistry::Act FakeRegistry::lose_answer() {
  return [](const Request&, const std::function<Response()>& normal) {
    (void)normal();
    return Response{.fault = Fault::kReset, .silent = true};
  };
}

FakeRegistry::Act FakeRegistry::cut_after(size_t bytes) {
  return [bytes](const Request&, const std::function<Response()>& normal) {
    Response response = normal();
    response.fault = Fault::kClose;
    response.fault_after = bytes;
    return response;
  };
}

FakeRegistry::Act FakeRegistry::with_header(const std::string& name, const std::string& value) {
  return [name, value](const Request&, const std::function<Response()>& normal) {
    Response response = normal();
    std::erase_if(response.headers, [&](const auto& h) { return equal_fold(h.first, name); });
    response.headers.emplace_back(name, value);
    return response;
  };
}

FakeRegistry::Act FakeRegistry::break_after(size_t bytes) {
  return [this, bytes](const Request& request, const std::function<Response()>&) {
    const std::lock_guard lock(mutex_);
    const std::string id = request.path.substr(request.path.rfind('/') + 1);
    if (const auto upload = uploads_.find(id); upload != uploads_.end())
      upload->second.bytes += request.body.substr(0, bytes);
    return Response{.fault = Fault::kReset, .silent = true};
  };
}

void FakeRegistry::require_basic(const std::string& user, const std::string& password) {
  basic_ = "Basic " + encoded(user + ":" + password);
}

void FakeRegistry::require_tokens(const std::string& user, const std::string& password,
                                  size_t uses) {
  token_user_ = "Basic " + encoded(user + ":" + password);
  token_uses_ = uses;
}

size_t FakeRegistry::asked(const std::string& part, const std::string& method) const {
  const std::vector<Request> all = server_->requests();
  return static_cast<size_t>(std::ranges::count_if(all, [&](const Request& request) {
    return request.path.find(part) != std::string::npos &&
           (method.empty() || request.method == method);
  }));
}

Response FakeRegistry::answer(const Request& request) {
  if (hook) {
    if (auto response = hook(request)) return *std::move(response);
  }
  const auto normal = [&] { return act(request); };
  if (const auto own = scripted(request)) return (*own)(request, normal);
  return normal();
}

std::optional<FakeRegistry::Act> FakeRegistry::scripted(const Request& request) {
  const std::lock_guard lock(mutex_);
  for (Step& step : steps_) {
    const bool meant = step.times > 0 && step.method == request.method &&
                       request.path.find(step.part) != std::string::npos;
    if (!meant) continue;
    --step.times;
    return step.act;
  }
  return std::nullopt;
}

Response FakeRegistry::challenge(const std::string& scope) const {
  Response response = refusal(401, "UNAUTHORIZED");
  const std::string bearer = "Bearer realm=\"" + server_->url("/token") + "\",service=\"fake\"";
  response.headers.emplace_back("WWW-Authenticate", !basic_.empty() ? "Basic realm=\"fake\""
                                                    : scope.empty()
                                                        ? bearer
                                                        : bearer + ",scope=\"" + scope + "\"");
  return response;
}

std::optional<Response> FakeRegistry::refuse(const Request& request) {
  const std::string given = request.header("authorization").value_or("");
  if (!basic_.empty() && given != basic_) return challenge("");
  if (token_user_.empty()) return std::nullopt;
  const size_t begin = std::string_view("/v2/").size();
  const size_t end = std::min(request.path.find("/blobs/"), request.path.find("/manifests/"));
  std::vector<std::string> scopes;
  const bool writes = request.method != "GET" && request.method != "HEAD";
  if (end != std::string::npos) {
    scopes.push_back("repository:" + request.path.substr(begin, end - begin) +
                     (writes ? ":pull,push" : ":pull"));
    if (const std::string from = parameter(request.query, "from"); !from.empty())
      scopes.push_back("repository:" + from + ":pull");
  }
  const std::string wanted = join(scopes, " ");
  const auto token = tokens_.find(given);
  if (token == tokens_.end() || token->second.uses == 0) return challenge(wanted);
  for (const std::string& scope : scopes)
    if (token->second.scopes.find(scope) == std::string::npos) return challenge(wanted);
  --token->second.uses;
  return std::nullopt;
}

Response FakeRegistry::token(const Request& request) {
  const bool refreshed = request.method == "POST" &&
                         parameter(request.body, "refresh_token") == "identity" &&
                         parameter(request.body, "grant_type") == "refresh_token";
  if (!refreshed && request.header("authorization") != token_user_)
    return refusal(401, "UNAUTHORIZED");
  const std::string value = "token" + std::to_string(++serial_);
  std::string scopes;
  for (const std::string& pair : split(refreshed ? request.body : request.query, '&'))
    if (pair.starts_with("scope=")) scopes += parameter(pair, "scope") + " ";
  tokens_["Bearer " + value] = {scopes, token_uses_};
  Json json = Json::object({{"token", value}});
  if (parameter(request.query, "offline_token") == "true") json.set("refresh_token", "identity");
  return {.body = json.dump()};
}

Response FakeRegistry::act(const Request& request) {
  const std::lock_guard lock(mutex_);
  if (request.path == "/token") return token(request);
  if (auto refused = refuse(request)) return *std::move(refused);
  if (request.path == "/v2/") return {};
  for (const char* kind : {"/blobs/uploads/", "/blobs/", "/manifests/", "/tags/list"}) {
    const size_t at = request.path.find(kind);
    if (at == std::string::npos || at < 4) continue;
    const std::string name = request.path.substr(4, at - 4);
    const std::string rest = request.path.substr(at + std::string_view(kind).size());
    const std::string_view what = kind;
    if (what == "/blobs/uploads/") return uploads(request, name, rest);
    if (what == "/tags/list") return tags(name);
    Repository& repository = repositories_[name];
    return what == "/blobs/" ? blobs(request, repository, rest)
                             : manifests(request, repository, name, rest);
  }
  return refusal(404, "UNKNOWN");
}

Response FakeRegistry::tags(const std::string& name) {
  Json list = Json::array();
  for (const auto& [reference, manifest] : repositories_[name].manifests)
    if (!reference.starts_with("sha256:")) list.push_back(reference);
  return {.body = Json::object({{"name", name}, {"tags", list}}).dump()};
}

Response FakeRegistry::manifests(const Request& request, Repository& repository,
                                 const std::string& name, const std::string& reference) {
  if (request.method == "PUT") return put_manifest(request, repository, name, reference);
  const auto found = repository.manifests.find(reference);
  if (found == repository.manifests.end()) return refusal(404, "MANIFEST_UNKNOWN");
  if (request.method == "DELETE") {
    repository.manifests.erase(found);
    return {.status = 202};
  }
  return {.headers = {{"Content-Type", found->second.type},
                      {"Docker-Content-Digest", Digest::of(found->second.text).to_string()}},
          .body = found->second.text};
}

Response FakeRegistry::put_manifest(const Request& request, Repository& repository,
                                    const std::string& name, const std::string& reference) {
  const std::string digest = Digest::of(request.body).to_string();
  if (reference.starts_with("sha256:") && reference != digest)
    return refusal(400, "DIGEST_INVALID");
  const Json json = Json::parse(request.body).value_or(Json());
  std::vector<std::string> named{json["config"]["digest"].as_string()};
  for (const Json& layer : json["layers"].elements()) named.push_back(layer["digest"].as_string());
  for (const std::string& blob : named)
    if (!blob.empty() && !repository.blobs.contains(blob))
      return refusal(400, "MANIFEST_BLOB_UNKNOWN");
  for (const Json& entry : json["manifests"].elements())
    if (!repository.manifests.contains(entry["digest"].as_string()))
      return refusal(400, "MANIFEST_UNKNOWN");
  const StoredManifest manifest{request.header("content-type").value_or(""), request.body};
  repository.manifests[digest] = manifest;
  repository.manifests[reference] = manifest;
  return {.status = 201,
          .headers = {{"Location", "/v2/" + name + "/manifests/" + digest},
                      {"Docker-Content-Digest", digest}}};
}

Response FakeRegistry::blobs(const Request& request, Repository& repository,
                             const std::string& digest) {
  const auto found = repository.blobs.find(digest);
  if (found == repository.blobs.end()) return refusal(404, "BLOB_UNKNOWN");
  const std::string& bytes = found->second;
  const auto range = request.header("range");
  if (!range) return {.headers = {{"Docker-Content-Digest", digest}}, .body = bytes};
  const size_t from = std::stoul(range->substr(6));
  return {.status = 206,
          .headers = {{"Content-Range", "bytes " + std::to_string(from) + "-" +
                                            std::to_string(bytes.size() - 1) + "/" +
                                            std::to_string(bytes.size())}},
          .body = bytes.substr(from)};
}

// Each answer moves the upload: who does not follow is lost.
Response FakeRegistry::moved(int status, const std::string& id) {
  UploadState& upload = uploads_.at(id);
  const size_t last = upload.bytes.empty() ? 0 : upload.bytes.size() - 1;
  return {.status = status,
          .headers = {{"Location", "/v2/" + upload.repository + "/blobs/uploads/" + id +
                                       "?move=" + std::to_string(++upload.moves)},
                      {"Range", "0-" + std::to_string(last)}}};
}

Response FakeRegistry::start_upload(const Request& request, const std::string& name) {
  const std::string mount = parameter(request.query, "mount");
  const auto from = repositories_.find(parameter(request.query, "from"));
  if (from != repositories_.end() && from->second.blobs.contains(mount)) {
    repositories_[name].blobs[mount] = from->second.blobs.at(mount);
    return {.status = 201, .headers = {{"Docker-Content-Digest", mount}}};
  }
  const std::string id = "u" + std::to_string(++serial_);
  uploads_[id] = {name, {}, 0};
  return moved(202, id);
}

Response FakeRegistry::finish_upload(const Request& request, const std::string& id) {
  UploadState& upload = uploads_.at(id);
  const std::string digest = parameter(request.query, "digest");
  if (Digest::of(upload.bytes + request.body).to_string() != digest)
    return refusal(400, "DIGEST_INVALID");
  repositories_[upload.repository].blobs[digest] = upload.bytes + request.body;
  uploads_.erase(id);
  return {.status = 201, .headers = {{"Docker-Content-Digest", digest}}};
}

Response FakeRegistry::uploads(const Request& request, const std::string& name,
                               const std::string& id) {
  if (request.method == "POST") return start_upload(request, name);
  const auto found = uploads_.find(id);
  if (found == uploads_.end()) return refusal(404, "BLOB_UPLOAD_UNKNOWN");
  if (request.method == "GET") return moved(204, id);
  if (parameter(request.query, "move") != std::to_string(found->second.moves))
    return refusal(404, "BLOB_UPLOAD_UNKNOWN");
  if (request.method == "PUT") return finish_upload(request, id);
  if (request.method == "DELETE") {
    uploads_.erase(found);
    return {.status = 204};
  }
  const std::string range = request.header("content-range").value_or("");
  std::string& bytes = found->second.bytes;
  if (range.substr(0, range.find('-')) != std::to_string(bytes.size())) return moved(416, id);
  bytes += request.body;
  return moved(202, id);
}

}  // namespace kiln::fake
