#include "oci/registry_client.h"

#include <algorithm>

#include "base/strings.h"
#include "oci/image.h"

namespace kiln::oci {
namespace {

constexpr size_t kMaxTags = 100'000;
constexpr uint64_t kTagListLimit = 8U << 20U;

std::string accepted_manifests() {
  std::string types;
  for (const std::string_view type : {media_type::kIndex, media_type::kManifest,
                                      media_type::kDockerIndex, media_type::kDockerManifest}) {
    types.append(types.empty() ? "" : ", ").append(type);
  }
  return types;
}

// The media type that the document has by itself, else the one that the registry gave, else the one
// its fields show.
std::string type_of(const Json& document, const HttpResponse& response) {
  if (const std::string& own = document["mediaType"].as_string(); !own.empty()) return own;
  const std::string given = response.header("content-type").value_or("");
  std::string type(trim(std::string_view(given).substr(0, given.find(';'))));
  if (is_index(type) || is_manifest(type)) return type;
  return std::string(document.find("manifests") != nullptr ? media_type::kIndex
                                                           : media_type::kManifest);
}

// The address of the next page: Link: </v2/app/tags/list?last=x&n=9>; rel="next".
std::optional<std::string> next_page(const HttpResponse& response) {
  const std::string link = response.header("link").value_or("");
  const size_t end = link.find('>');
  if (!link.starts_with('<') || end == std::string::npos) return std::nullopt;
  if (link.find("rel=\"next\"", end) == std::string::npos) return std::nullopt;
  return link.substr(1, end - 1);
}

}  // namespace

// Passes each byte on once, over as many responses as it takes.
class Repository::BlobBody : public ResponseBody {
 public:
  BlobBody(uint64_t size, Sink& to, const OnBytes& on_bytes)
      : size_(size), to_(to), on_bytes_(on_bytes) {}
  uint64_t received() const { return received_; }

 protected:
  Status begin_good(const HttpResponse& response) override {
    skip_ = 0;
    if (response.status == 200) {
      skip_ = received_;  // from the start again: the server knows no ranges
      return {};
    }
    const std::string range = response.header("content-range").value_or("");
    const std::string wanted = "bytes " + std::to_string(received_) + "-";
    if (response.status == 206 && range.starts_with(wanted)) return {};
    return fail(Code::kDataLoss, "the registry sent another range than it was asked for");
  }
  Status write_good(std::span<const std::byte> data) override {
    const auto known = static_cast<size_t>(std::min<uint64_t>(skip_, data.size()));
    skip_ -= known;
    data = data.subspan(known);
    if (data.empty()) return {};
    if (data.size() > size_ - received_) {
      return fail(Code::kDataLoss,
                  "the registry sent more than " + std::to_string(size_) + " bytes");
    }
    KILN_TRY(to_.write(data));
    received_ += data.size();
    if (on_bytes_) on_bytes_(received_);
    return {};
  }

 private:
  const uint64_t size_;
  Sink& to_;
  const OnBytes& on_bytes_;
  uint64_t received_ = 0, skip_ = 0;
};

Result<std::unique_ptr<Repository>> Repository::open(const RegistryAccess& access,
                                                     const Reference& name, std::stop_token stop,
                                                     RegistryRights rights) {
  KILN_TRY_ASSIGN(auto session,
                  RegistrySession::open(access, {name.domain, name.path}, rights, stop));
  return std::unique_ptr<Repository>(new Repository(std::move(session)));
}

Result<std::unique_ptr<Repository>> Repository::open_mirror(const RegistryAccess& access,
                                                            const std::string& mirror,
                                                            const Reference& name,
                                                            std::stop_token stop) {
  const size_t slash = std::min(mirror.find('/'), mirror.size());
  std::string path = slash < mirror.size() ? mirror.substr(slash + 1) : std::string();
  while (path.ends_with('/')) path.pop_back();
  path += (path.empty() ? "" : "/") + name.path;
  RegistryPlace place{mirror.substr(0, slash), std::move(path), name.domain};
  KILN_TRY_ASSIGN(auto session,
                  RegistrySession::open(access, std::move(place), RegistryRights::kPull, stop));
  return std::unique_ptr<Repository>(new Repository(std::move(session)));
}

Result<Repository::Document> Repository::manifest(const Reference& name, std::stop_token stop) {
  RegistryCall call;
  call.url = session_->at("manifests/" + (name.digest ? name.digest->to_string() : name.tag));
  call.headers.emplace_back("Accept", accepted_manifests());
  TextBody body(kMaxDocumentBytes, "manifest");
  HttpResponse response;
  const auto once = [&](RegistrySession::Attempt& attempt) -> Status {
    KILN_TRY_ASSIGN(RegistryReply reply, session_->send(call, body, stop));
    response = std::move(reply.response);
    return session_->check(response, body, attempt);
  };
  KILN_TRY(session_->attempts(once, stop));
  const Digest digest = Digest::of(body.text);
  if (name.digest && *name.digest != digest) {
    return fail(Code::kDataLoss, "the registry's manifest is " + digest.to_string() + ", not " +
                                     name.digest->to_string());
  }
  KILN_TRY_ASSIGN(const Json document, Json::parse(body.text, {kMaxDocumentBytes, 32}));
  Descriptor descriptor{type_of(document, response), digest, body.text.size(), std::nullopt, {}};
  return Document{std::move(descriptor), std::move(body.text)};
}

Status Repository::blob(const Descriptor& blob, Sink& to, const OnBytes& on_bytes,
                        std::stop_token stop) {
  BlobBody body(blob.size, to, on_bytes);
  const auto once = [&](RegistrySession::Attempt& attempt) -> Status {
    if (body.received() == blob.size && blob.size > 0)
      return {};  // it broke off after the last byte
    RegistryCall call;
    call.url = session_->at("blobs/" + blob.digest.to_string());
    if (body.received() > 0) {
      call.headers.emplace_back("Range", "bytes=" + std::to_string(body.received()) + "-");
    }
    KILN_TRY_ASSIGN(const RegistryReply reply, session_->send(call, body, stop));
    KILN_TRY(session_->check(reply.response, body, attempt));
    if (body.received() == blob.size) return {};
    return fail(Code::kUnavailable, "blob " + blob.digest.to_string() + " ended after " +
                                        std::to_string(body.received()) + " of " +
                                        std::to_string(blob.size) + " bytes");
  };
  return session_->attempts(once, stop);
}

// What claims to be something else, or of another size, is not there.
Result<bool> Repository::has(const std::string& rest, const Digest& digest,
                             const std::optional<uint64_t>& bytes, const std::stop_token& stop) {
  RegistryCall call;
  call.method = "HEAD";
  call.url = session_->at(rest);
  call.headers.emplace_back("Accept", bytes ? "*/*" : accepted_manifests());
  TextBody body(kMaxDocumentBytes, "answer");
  HttpResponse response;
  const auto once = [&](RegistrySession::Attempt& attempt) -> Status {
    KILN_TRY_ASSIGN(RegistryReply reply, session_->send(call, body, stop));
    response = std::move(reply.response);
    if (response.status == 404) return {};
    return session_->check(response, body, attempt);
  };
  KILN_TRY(session_->attempts(once, stop));
  if (response.status == 404) return false;
  const auto claimed = response.header("docker-content-digest");
  if (claimed && *claimed != digest.to_string()) return false;
  const auto length = response.header("content-length");
  return !bytes || !length || *length == std::to_string(*bytes);
}

Result<bool> Repository::has_blob(const Descriptor& blob, std::stop_token stop) {
  return has("blobs/" + blob.digest.to_string(), blob.digest, blob.size, stop);
}

Result<bool> Repository::has_manifest(const Digest& manifest, std::stop_token stop) {
  return has("manifests/" + manifest.to_string(), manifest, std::nullopt, stop);
}

Result<std::vector<std::string>> Repository::tags(std::stop_token stop) {
  std::vector<std::string> tags;
  RegistryCall call;
  call.url = session_->at("tags/list");
  while (true) {
    TextBody body(kTagListLimit, "list of tags");
    HttpResponse response;
    const auto once = [&](RegistrySession::Attempt& attempt) -> Status {
      KILN_TRY_ASSIGN(RegistryReply reply, session_->send(call, body, stop));
      response = std::move(reply.response);
      return session_->check(response, body, attempt);
    };
    KILN_TRY(session_->attempts(once, stop));
    KILN_TRY_ASSIGN(const Json json, Json::parse(body.text));
    const std::vector<std::string> page = json["tags"].strings();
    for (const std::string& tag : page) {
      // They become names and parts of URLs.
      if (!Reference::parse("x:" + tag)) {
        return fail(Code::kDataLoss, "the registry lists " + quote(tag) + ", which is no tag");
      }
    }
    tags.insert(tags.end(), page.begin(), page.end());
    const auto next = next_page(response);
    if (!next) break;
    if (page.empty() || tags.size() > kMaxTags) {
      return fail(Code::kResourceExhausted, "the registry's list of tags does not end");
    }
    KILN_TRY_ASSIGN(call.url, call.url.resolve(*next));
  }
  std::ranges::sort(tags);
  tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
  return tags;
}

}  // namespace kiln::oci
