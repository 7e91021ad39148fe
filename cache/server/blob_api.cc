// Blobs and uploads of registry_api.h (distribution-spec, "Pulling blobs", "Pushing blobs").
#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "cache/server/names.h"
#include "cache/server/registry_api.h"

namespace kiln::server {
namespace {

constexpr std::string_view kBlobType = "application/octet-stream";
constexpr uint64_t kQuotaStepBytes = 16U << 20U;

std::string upload_location(const std::string& repository, const std::string& id) {
  return "/v2/" + repository + "/blobs/uploads/" + id;
}

Response upload_response(int status, const std::string& repository, const std::string& id,
                         uint64_t size) {
  return {status,
          {{"Location", upload_location(repository, id)},
           {"Range", "0-" + std::to_string(size == 0 ? 0 : size - 1)},
           {"Docker-Upload-UUID", id}},
          {},
          {}};
}

Response created_blob(const std::string& repository, const BlobDigest& digest) {
  const std::string text = digest.to_string();
  return {201,
          {{"Location", "/v2/" + repository + "/blobs/" + text}, {"Docker-Content-Digest", text}},
          {},
          {}};
}

struct ContentRange {
  uint64_t first = 0, last = 0;
};
// "<first>-<last>", as the specification has it, or HTTP's "bytes <first>-<last>/<size>".
std::optional<ContentRange> parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (text.starts_with(kUnit)) text.remove_prefix(kUnit.size());
  text = trim(text.substr(0, text.find('/')));
  ContentRange range;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, range.first);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-') return std::nullopt;
  const auto last = std::from_chars(first.ptr + 1, end, range.last);
  if (last.ec != std::errc() || last.ptr != end || range.last < range.first) return std::nullopt;
  return range;
}

bool is_known_to_client(const Request& request, const std::string& etag) {
  const std::vector<std::string> known = request.header_list("if-none-match");
  return std::any_of(known.begin(), known.end(), [&](const std::string& tag) {
    // Weak ones are as good here (RFC 9110, 13.1.2).
    const bool weak = tag.starts_with("W/");
    return std::string_view(tag).substr(weak ? 2 : 0) == etag || tag == "*";
  });
}

// Files are sent without a copy, other bytes as they are fetched.
std::variant<std::string, FileRange, StreamedBody> body_of(OpenBlob blob, uint64_t offset,
                                                           uint64_t length) {
  if (auto* fd = std::get_if<Fd>(&blob.bytes)) return FileRange{std::move(*fd), offset, length};
  const auto& remote = std::get<std::unique_ptr<RemoteBytes>>(blob.bytes);
  return StreamedBody{remote->range(offset, length), length};
}

}  // namespace

Response content_response(const Request& request, OpenBlob blob, const BlobDigest& digest,
                          const std::string& type) {
  const std::string etag = "\"" + digest.to_string() + "\"";
  Headers headers = {{"Docker-Content-Digest", digest.to_string()}, {"ETag", etag}};
  if (is_known_to_client(request, etag)) return {304, std::move(headers), {}, {}};
  headers.emplace_back("Content-Type", type);
  headers.emplace_back("Accept-Ranges", "bytes");
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  const auto if_range = request.header("if-range");
  WantedRange range;
  if (request.method == "GET" && (!if_range || *if_range == etag))
    range = wanted_range(request.header("range").value_or(""), blob.size);
  const uint64_t bytes = blob.size;
  const std::string size = std::to_string(bytes);
  if (range.kind == WantedRange::Kind::kUnsatisfiable) {
    Response response =
        error_response(ApiError(416, api::kSizeInvalid, "the content has " + size + " bytes"));
    response.headers.emplace_back("Content-Range", "bytes */" + size);
    return response;
  }
  if (range.kind == WantedRange::Kind::kAll)
    return {200, std::move(headers), body_of(std::move(blob), 0, bytes), {}};
  headers.emplace_back("Content-Range", "bytes " + std::to_string(range.offset) + "-" +
                                            std::to_string(range.offset + range.length - 1) + "/" +
                                            size);
  return {206, std::move(headers), body_of(std::move(blob), range.offset, range.length), {}};
}

RegistryApi::Answer RegistryApi::get_blob(const Call& call) {
  const std::string& repository = call.route.repository;
  KILN_TRY_ASSIGN(const BlobDigest digest, parse_digest(call.route.rest));
  if (is_mirrored(call)) KILN_TRY(mirror_->fetch_blob(repository, digest));
  if (call.request.method == "HEAD")
    KILN_TRY(registry_.blob_size(repository, digest, Registry::Keep::kYes));
  KILN_TRY_ASSIGN(OpenBlob blob, registry_.open_blob(repository, digest));
  return content_response(call.request, std::move(blob), digest, std::string(kBlobType));
}

RegistryApi::Answer RegistryApi::delete_blob(const Call& call) {
  KILN_TRY_ASSIGN(const BlobDigest digest, parse_digest(call.route.rest));
  KILN_TRY(registry_.delete_blob(call.route.repository, digest));
  return Response{202, {}, {}, {}};
}

/// Takes the body of PATCH, PUT and POST into an upload; at its end commits it if a digest is
/// known.
class RegistryApi::UploadReceiver : public BodyReceiver {
 public:
  struct Wanted {
    std::string repository, id;
    std::optional<BlobDigest> digest;
    std::optional<uint64_t> bytes;  // of this body
    uint64_t max_bytes = 0;         // of the upload
    Extent extent = Extent::kPiece;
  };
  UploadReceiver(Registry& registry, Wanted wanted, std::unique_ptr<UploadWriter> writer)
      : registry_(registry), wanted_(std::move(wanted)), writer_(std::move(writer)) {}
  ~UploadReceiver() override {
    writer_.reset();
    if (wanted_.extent == Extent::kWhole && !committed_)
      (void)registry_.drop_upload(wanted_.repository, wanted_.id);  // or it expires
  }

  std::optional<Response> write(std::span<const std::byte> data) override {
    received_ += data.size();
    if (writer_->size() + data.size() > wanted_.max_bytes)
      return error_response(ApiError(413, api::kSizeInvalid,
                                     "the blob is larger than " + human_bytes(wanted_.max_bytes)));
    // Of a stream nobody knows in advance how long it gets.
    const uint64_t before = writer_->size() / kQuotaStepBytes;
    if (const uint64_t size = writer_->size() + data.size(); size / kQuotaStepBytes != before) {
      const ApiStatus fits = registry_.check_quota(wanted_.repository, size, wanted_.digest);
      if (!fits) return error_response(fits.error());
    }
    if (const Status written = writer_->write(data); !written)
      return error_response(ApiError(written.error()));
    return std::nullopt;
  }

  Response finish() override {
    const uint64_t size = writer_->size();
    if (const Status written = writer_->finish(); !written)
      return error_response(ApiError(written.error()));
    writer_.reset();
    if (wanted_.bytes && *wanted_.bytes != received_)
      return error_response(ApiError(400, api::kUploadInvalid,
                                     "Content-Range tells of " + std::to_string(*wanted_.bytes) +
                                         " bytes, " + std::to_string(received_) + " came"));
    if (!wanted_.digest) return upload_response(202, wanted_.repository, wanted_.id, size);
    const ApiStatus done = registry_.commit_upload(wanted_.repository, wanted_.id, *wanted_.digest);
    if (!done) return error_response(done.error());
    committed_ = true;
    return created_blob(wanted_.repository, *wanted_.digest);
  }

 private:
  Registry& registry_;
  const Wanted wanted_;
  std::unique_ptr<UploadWriter> writer_;
  uint64_t received_ = 0;
  bool committed_ = false;
};

RegistryApi::Answer RegistryApi::receive(const Call& call, const std::string& id,
                                         std::optional<BlobDigest> digest, Extent extent) {
  const std::string& repository = call.route.repository;
  const HashAlgorithm algorithm = digest ? digest->algorithm() : HashAlgorithm::kSha256;
  // First: from here on nobody else adds to it, so that its size stays what is compared below.
  KILN_TRY_ASSIGN(auto writer, registry_.append(repository, id, algorithm));
  const uint64_t size = writer->size();
  UploadReceiver::Wanted wanted{repository, id, digest, std::nullopt, limits_.max_blob_bytes,
                                extent};
  const uint64_t announced = call.request.body_bytes.value_or(0);
  if (const auto text = call.request.header("content-range")) {
    const auto range = parse_content_range(*text);
    if (!range) return refuse(400, api::kUploadInvalid, "Content-Range is not <first>-<last>");
    wanted.bytes = range->last - range->first + 1;
    if (range->first != size || (call.request.body_bytes && announced != *wanted.bytes)) {
      Response response = error_response(
          ApiError(416, api::kUploadInvalid, "the upload goes on at byte " + std::to_string(size)));
      for (auto& header : upload_response(0, repository, id, size).headers)
        response.headers.push_back(std::move(header));
      return response;
    }
  }
  if (announced > limits_.max_blob_bytes || size + announced > limits_.max_blob_bytes)
    return refuse(413, api::kSizeInvalid,
                  "the blob is larger than " + human_bytes(limits_.max_blob_bytes));
  KILN_TRY(registry_.check_quota(repository, size + announced, digest));
  return std::make_unique<UploadReceiver>(registry_, std::move(wanted), std::move(writer));
}

RegistryApi::Answer RegistryApi::start_upload(const Call& call) {
  const auto mount = call.request.parameter("mount"), from = call.request.parameter("from");
  if (mount && from) return mount_blob(call, *mount, *from);
  if (const auto text = call.request.parameter("digest")) {
    KILN_TRY_ASSIGN(const BlobDigest digest, parse_digest(*text));
    KILN_TRY_ASSIGN(const std::string id, registry_.start_upload(call.route.repository));
    Answer answer = receive(call, id, digest, Extent::kWhole);
    if (!answer || std::holds_alternative<Response>(*answer))
      (void)registry_.drop_upload(call.route.repository, id);  // or it expires
    return answer;
  }
  return new_upload(call);
}

RegistryApi::Answer RegistryApi::new_upload(const Call& call) {
  KILN_TRY(registry_.check_quota(call.route.repository, 0, std::nullopt));
  KILN_TRY_ASSIGN(const std::string id, registry_.start_upload(call.route.repository));
  return upload_response(202, call.route.repository, id, 0);
}

// What cannot be mounted is uploaded, whatever the reason: whether another repository has it is for
// those who may read that one.
RegistryApi::Answer RegistryApi::mount_blob(const Call& call, const std::string& text,
                                            const std::string& from) {
  KILN_TRY_ASSIGN(const BlobDigest digest, parse_digest(text));
  if (!is_repository_name(from) || !call.who.may(Action::kPull, from)) return new_upload(call);
  KILN_TRY_ASSIGN(const bool mounted, registry_.mount_blob(call.route.repository, from, digest));
  if (!mounted) return new_upload(call);
  return created_blob(call.route.repository, digest);
}

RegistryApi::Answer RegistryApi::upload_status(const Call& call) {
  KILN_TRY_ASSIGN(const uint64_t size,
                  registry_.upload_size(call.route.repository, call.route.rest));
  return upload_response(204, call.route.repository, call.route.rest, size);
}

RegistryApi::Answer RegistryApi::continue_upload(const Call& call) {
  return receive(call, call.route.rest, std::nullopt);
}

RegistryApi::Answer RegistryApi::finish_upload(const Call& call) {
  const auto text = call.request.parameter("digest");
  if (!text) return refuse(400, api::kDigestInvalid, "the digest is missing: ?digest=…");
  KILN_TRY_ASSIGN(const BlobDigest digest, parse_digest(*text));
  return receive(call, call.route.rest, digest);
}

RegistryApi::Answer RegistryApi::drop_upload(const Call& call) {
  KILN_TRY(registry_.drop_upload(call.route.repository, call.route.rest));
  return Response{204, {}, {}, {}};
}

}  // namespace kiln::server
