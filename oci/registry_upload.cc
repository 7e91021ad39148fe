// Writing to a repository: distribution-spec, "Push". A blob is sent in one PUT if it is small,
// else in PATCHes of as much as the registry takes; a broken one is asked how far it came, and goes
// on from there.
#include <algorithm>

#include "base/strings.h"
#include "oci/image.h"
#include "oci/registry_client.h"

namespace kiln::oci {
namespace {

// Up to here one request less is worth more than going on where it broke off.
constexpr uint64_t kMonolithicBytes = 4U << 20U;
// For servers that answer 413 to whole blobs: what proxies in front of registries commonly take.
constexpr uint64_t kReducedChunkBytes = 16U << 20U;
constexpr uint64_t kAnswerLimit = 1U << 20U;
constexpr int kMaxRestarts = 3;
constexpr size_t kMaxMountsTried = 3;

// Hands out `bytes` of a source, counts them, and (`verify`) reads to the source's end before the
// last of them leaves, so that a damaged blob is found out before the registry has all of it.
class PartSource : public Source {
 public:
  struct Range {
    uint64_t from, bytes;
    bool to_end;
  };
  PartSource(std::unique_ptr<Source> source, Range range, const OnBytes& on_bytes)
      : source_(std::move(source)), range_(range), on_bytes_(on_bytes) {}

  Result<size_t> read(std::span<std::byte> buffer) override {
    const uint64_t left = range_.bytes - done_;
    const auto want = static_cast<size_t>(std::min<uint64_t>(left, buffer.size()));
    if (want == 0) return size_t{0};
    KILN_TRY_ASSIGN(const size_t n, source_->read(buffer.first(want)));
    if (n == 0) return fail(Code::kDataLoss, "the blob is shorter than its descriptor says");
    done_ += n;
    if (done_ == range_.bytes && range_.to_end) {
      std::byte surplus{};
      KILN_TRY_ASSIGN(const size_t more, source_->read({&surplus, 1}));
      if (more > 0) return fail(Code::kDataLoss, "the blob is longer than its descriptor says");
    }
    if (on_bytes_) on_bytes_(range_.from + done_);
    return n;
  }

 private:
  std::unique_ptr<Source> source_;
  const Range range_;
  const OnBytes& on_bytes_;
  uint64_t done_ = 0;
};

// One blob on its way. State: `url_` is the upload's address at the registry ("" target: none is
// open), `offset_` what the registry has of it.
class BlobUpload {
 public:
  BlobUpload(RegistrySession& session, const BlobContent& content, const OnBytes& on_bytes,
             const std::stop_token& stop)
      : session_(session), content_(content), on_bytes_(on_bytes), stop_(stop) {}

  /// False: not mounted, but then an upload may be open.
  Result<bool> mount(const std::string& from) {
    const auto answer = post("?mount=" + content_.blob.digest.to_string() + "&from=" + from);
    // Who may not read there, or has no such thing, simply sends the bytes.
    const bool harmless = answer || (answer.error().code() != Code::kCancelled &&
                                     answer.error().code() != Code::kDataLoss);
    if (!harmless) return tl::unexpected(answer.error());
    return answer && *answer == 201;
  }

  Status send(RegistrySession::Attempt& attempt) {
    attempt_ = &attempt;
    if (url_ && broken_) KILN_TRY(ask_how_far());
    if (!url_) {
      offset_ = 0;
      KILN_TRY(post(""));
    }
    broken_ = true;  // until it is known to be whole
    const uint64_t size = content_.blob.size;
    if (offset_ == 0 && size <= kMonolithicBytes) return put(size);
    while (offset_ < size) KILN_TRY(patch());
    return put(0);
  }

  bool broken() const { return broken_; }

 private:
  RegistryCall call(const char* method, uint64_t bytes) {
    RegistryCall call;
    call.method = method;
    if (url_) call.url = *url_;
    if (bytes == 0) return call;
    call.headers.emplace_back("Content-Type", "application/octet-stream");
    call.body_bytes = bytes;
    const PartSource::Range range{offset_, bytes, offset_ + bytes == content_.blob.size};
    call.body = [this, range]() -> Result<std::unique_ptr<Source>> {
      KILN_TRY_ASSIGN(auto source, content_.open(range.from));
      return std::make_unique<PartSource>(std::move(source), range, on_bytes_);
    };
    return call;
  }

  Result<RegistryReply> send_call(const RegistryCall& call) {
    TextBody body(kAnswerLimit, "answer");
    KILN_TRY_ASSIGN(RegistryReply reply, session_.send(call, body, stop_));
    RegistrySession::Attempt unused;
    last_check_ = session_.check(reply.response, body, attempt_ != nullptr ? *attempt_ : unused);
    return reply;
  }

  // 201: mounted; 202: `url_` is open.
  Result<int> post(const std::string& query) {
    RegistryCall asked = call("POST", 0);
    asked.url = session_.at("blobs/uploads/" + query);
    KILN_TRY_ASSIGN(const RegistryReply reply, send_call(asked));
    KILN_TRY(last_check_);
    if (reply.response.status == 201) KILN_TRY(check_stored(reply.response));
    if (reply.response.status == 202) {
      KILN_TRY(follow_location(reply));
      if (!url_) return fail(Code::kInternal, "the registry opens an upload and says not where");
      const auto least = parse_int(reply.response.header("oci-chunk-min-length").value_or(""));
      if (least && *least > 0) least_chunk_ = static_cast<uint64_t>(*least);
    } else if (reply.response.status != 201 || query.empty()) {
      return unexpected_status(reply.response.status);
    }
    return reply.response.status;
  }

  // An upload may move with each answer. https never becomes http; whoever else it moves to gets no
  // credentials (RegistrySession).
  Status follow_location(const RegistryReply& reply) {
    const auto location = reply.response.header("location");
    if (!location) return {};
    KILN_TRY_ASSIGN(Url next, reply.url.resolve(*location));
    if (reply.url.scheme == "https" && next.scheme != "https") {
      return tl::unexpected(
          Error(Code::kPermissionDenied,
                reply.url.origin() + " moves the upload from https to " + quote(next.origin()))
              .hint("a proxy in front of the registry has to tell it that it is on https"));
    }
    url_ = std::move(next);
    return {};
  }

  // What the registry has, by "Range: 0-LAST". nullopt: it does not say. "0-0" may mean a byte or
  // none.
  static std::optional<uint64_t> received(const HttpResponse& response) {
    const std::string range = response.header("range").value_or("");
    const size_t dash = range.find('-');
    const size_t begin = range.starts_with("bytes=") ? 6 : 0;
    if (dash == std::string::npos || range.substr(begin, dash - begin) != "0") return std::nullopt;
    const auto last = parse_int(range.substr(dash + 1));
    if (!last || *last < 0) return std::nullopt;
    return *last == 0 ? 0 : static_cast<uint64_t>(*last) + 1;
  }

  // After a break. An upload that is gone, or of which nothing sure is known, begins anew.
  Status ask_how_far() {
    KILN_TRY_ASSIGN(const RegistryReply reply, send_call(call("GET", 0)));
    if (!last_check_ && last_check_.error().code() == Code::kUnavailable) return last_check_;
    const auto there = received(reply.response);
    // Some proxies cut what is too long for them instead of saying so.
    if (!there || *there <= offset_) chunk_bytes_ = kReducedChunkBytes;
    if (!last_check_ || !there || *there == 0 || *there > content_.blob.size) {
      url_.reset();
      return {};
    }
    KILN_TRY(follow_location(reply));
    offset_ = *there;
    return {};
  }

  Status patch() {
    const uint64_t left = content_.blob.size - offset_;
    const uint64_t bytes = std::min(left, std::max(chunk_bytes_, least_chunk_));
    RegistryCall asked = call("PATCH", bytes);
    asked.headers.emplace_back("Content-Range",
                               std::to_string(offset_) + "-" + std::to_string(offset_ + bytes - 1));
    KILN_TRY_ASSIGN(const RegistryReply reply, send_call(asked));
    if (reply.response.status == 413 && bytes > kReducedChunkBytes) {
      chunk_bytes_ = kReducedChunkBytes;
      return ask_after_refusal();
    }
    if (reply.response.status == 416) return fail(Code::kUnavailable, "the upload is elsewhere");
    KILN_TRY(last_check_);
    if (reply.response.status != 202 && reply.response.status != 201 &&
        reply.response.status != 204) {
      return unexpected_status(reply.response.status);
    }
    KILN_TRY(follow_location(reply));
    return advance(reply.response, bytes);
  }

  Status advance(const HttpResponse& response, uint64_t sent) {
    const uint64_t end = received(response).value_or(offset_ + sent);
    const bool one_byte = offset_ + sent == 1;  // "0-0"
    if (end == offset_ + sent || one_byte) {
      offset_ += sent;
      return {};
    }
    if (end > offset_ + sent) {
      return fail(Code::kDataLoss, "the registry has more of " + content_.blob.digest.to_string() +
                                       " than it was sent");
    }
    return fail(Code::kUnavailable, "the registry took a part of what it was sent");
  }

  Status ask_after_refusal() {
    KILN_TRY(ask_how_far());
    if (url_) return {};
    offset_ = 0;
    KILN_TRY(post(""));
    return {};
  }

  Status put(uint64_t bytes) {
    RegistryCall asked = call("PUT", bytes);
    asked.url.target += (asked.url.target.find('?') == std::string::npos ? "?" : "&");
    asked.url.target += "digest=" + content_.blob.digest.to_string();
    KILN_TRY_ASSIGN(const RegistryReply reply, send_call(asked));
    // It forgot the upload: another may do.
    if (reply.response.status == 404 && ++restarts_ <= kMaxRestarts) {
      return fail(Code::kUnavailable, "the registry forgot the upload");
    }
    KILN_TRY(last_check_);
    KILN_TRY(check_stored(reply.response));
    if (on_bytes_ && content_.blob.size == 0) on_bytes_(0);  // nobody else has told
    return {};
  }

  Status check_stored(const HttpResponse& response) const {
    const auto stored = response.header("docker-content-digest");
    if (!stored || *stored == content_.blob.digest.to_string()) return {};
    return fail(Code::kDataLoss, "the registry stored " + printable(*stored) + " and not " +
                                     content_.blob.digest.to_string());
  }

  static tl::unexpected<Error> unexpected_status(int status) {
    return fail(Code::kInternal,
                "the registry answers an upload with HTTP status " + std::to_string(status));
  }

  RegistrySession& session_;
  const BlobContent& content_;
  const OnBytes& on_bytes_;
  const std::stop_token& stop_;
  RegistrySession::Attempt* attempt_ = nullptr;  // the one that is under way
  Status last_check_;                            // of the last answer
  std::optional<Url> url_;
  uint64_t offset_ = 0;
  uint64_t chunk_bytes_ = UINT64_MAX, least_chunk_ = 1;
  int restarts_ = 0;
  bool broken_ = false;
};

}  // namespace

Result<Upload> Repository::upload(const BlobContent& content,
                                  const std::vector<std::string>& mount_from,
                                  const OnBytes& on_bytes, std::stop_token stop) {
  KILN_TRY_ASSIGN(const bool there, has_blob(content.blob, stop));
  if (there) return Upload{UploadOutcome::kThere};
  BlobUpload upload(*session_, content, on_bytes, stop);
  size_t tried = 0;
  for (const std::string& from : mount_from) {
    if (from == session_->place().path || ++tried > kMaxMountsTried) continue;
    KILN_TRY_ASSIGN(const bool mounted, upload.mount(from));
    if (mounted) return Upload{UploadOutcome::kMounted, from};
  }
  const auto once = [&](RegistrySession::Attempt& attempt) -> Status {
    if (upload.broken()) {
      // The answer may have been lost, and not the blob.
      KILN_TRY_ASSIGN(const bool arrived, has_blob(content.blob, stop));
      if (arrived) return {};
    }
    return upload.send(attempt);
  };
  KILN_TRY(session_->attempts(once, stop));
  return Upload{UploadOutcome::kSent};
}

Status Repository::put_manifest(const std::string& media_type, std::string_view text,
                                const std::string& tag, std::stop_token stop) {
  const std::string digest = Digest::of(text).to_string();
  RegistryCall call;
  call.method = "PUT";
  call.url = session_->at("manifests/" + (tag.empty() ? digest : tag));
  call.headers.emplace_back("Content-Type", media_type);
  call.body = [text]() -> Result<std::unique_ptr<Source>> {
    return std::make_unique<StringSource>(std::string(text));
  };
  call.body_bytes = text.size();
  HttpResponse response;
  const auto once = [&](RegistrySession::Attempt& attempt) -> Status {
    TextBody body(kAnswerLimit, "answer");
    KILN_TRY_ASSIGN(RegistryReply reply, session_->send(call, body, stop));
    response = std::move(reply.response);
    return session_->check(response, body, attempt);
  };
  KILN_TRY(session_->attempts(once, stop));
  const auto stored = response.header("docker-content-digest");
  if (stored && *stored != digest) {
    return fail(Code::kDataLoss,
                "the registry stored " + printable(*stored) + " and not the manifest " + digest);
  }
  return {};
}

Status Repository::remove_manifest(const Digest& manifest, std::stop_token stop) {
  RegistryCall call;
  call.method = "DELETE";
  call.url = session_->at("manifests/" + manifest.to_string());
  const auto once = [&](RegistrySession::Attempt& attempt) -> Status {
    TextBody body(kAnswerLimit, "answer");
    KILN_TRY_ASSIGN(const RegistryReply reply, session_->send(call, body, stop));
    if (reply.response.status == 405) {
      return fail(Code::kUnimplemented, session_->place().domain + " deletes nothing");
    }
    return session_->check(reply.response, body, attempt);
  };
  return session_->attempts(once, stop);
}

}  // namespace kiln::oci
