#include "tests/fakes/fake_s3.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/strings.h"
#include "tests/fakes/must.h"

namespace kiln::fake {
namespace {

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4U];
    text += kDigits[byte & 15U];
  }
  return text;
}

std::string sha256(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int length = 0;
  EVP_Digest(text.data(), text.size(), bytes.data(), &length, EVP_sha256(), nullptr);
  return hex({reinterpret_cast<const char*>(bytes.data()), length});
}

std::string hmac(const std::string& key, const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes.data(), &length);
  return {reinterpret_cast<const char*>(bytes.data()), length};
}

std::string decode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      decoded += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

std::string between(std::string_view text, std::string_view begin, std::string_view end) {
  const size_t at = text.find(begin);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + begin.size());
  return std::string(text.substr(0, text.find(end)));
}

// What the client must have signed, from the request as it came: the query sorted as it is, which
// holds for clients that encode as S3 wants it.
std::string expected_signature(const Request& request, const std::string& authorization) {
  const std::string scope =
      between(authorization, std::string("Credential=") + FakeS3::kAccessKey + "/", ",");
  const std::string names = between(authorization, "SignedHeaders=", ",");
  std::vector<std::string> query =
      request.query.empty() ? std::vector<std::string>() : split(request.query, '&');
  std::sort(query.begin(), query.end());
  std::string canonical = request.method + "\n" + request.path + "\n" + join(query, "&") + "\n";
  for (const std::string& name : split(names, ';'))
    canonical += name + ":" + request.header(name).value_or("") + "\n";
  canonical += "\n" + names + "\n" + sha256(request.body);
  std::string key = std::string("AWS4") + FakeS3::kSecretKey;
  for (const std::string& part : split(scope, '/')) key = hmac(key, part);
  return hex(hmac(key, "AWS4-HMAC-SHA256\n" + request.header("x-amz-date").value_or("") + "\n" +
                           scope + "\n" + sha256(canonical)));
}

std::string http_time(std::chrono::sys_seconds time, const char* format) {
  const std::time_t seconds = time.time_since_epoch().count();
  struct tm parts {};
  std::array<char, 64> text{};
  (void)::gmtime_r(&seconds, &parts);
  return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}
constexpr const char* kHttpTime = "%a, %d %b %Y %H:%M:%S GMT";
constexpr const char* kXmlTime = "%Y-%m-%dT%H:%M:%S.000Z";

std::string tag_of(const std::string& data) {
  return "\"" + sha256(data).substr(0, 32) + "\"";
}

Response xml(const std::string& body) {
  return {200, {{"Content-Type", "application/xml"}}, "<?xml version=\"1.0\"?>\n" + body};
}

// "bytes=3-7" of `data`.
std::optional<std::string> part_of(const std::string& data, const std::string& range) {
  const size_t first = std::stoul(between(range, "bytes=", "-"));
  const size_t last = std::stoul(range.substr(range.find('-') + 1));
  if (first >= data.size() || last < first) return std::nullopt;
  return data.substr(first, last - first + 1);
}

}  // namespace

FakeS3::FakeS3()
    : start_(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())),
      server_(must(HttpServer::start([this](const Request& request) { return answer(request); }))) {
}

void FakeS3::set_fault(Fault fault) {
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
}
void FakeS3::advance(std::chrono::seconds time) {
  const std::lock_guard lock(mutex_);
  elapsed_ += time;
}
void FakeS3::set_skewed(bool skewed) {
  const std::lock_guard lock(mutex_);
  skewed_ = skewed;
}
void FakeS3::set_most_copied_bytes(size_t bytes) {
  const std::lock_guard lock(mutex_);
  most_copied_bytes_ = bytes;
}
std::vector<std::string> FakeS3::keys() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [key, object] : objects_) names.push_back(key);
  return names;
}
void FakeS3::put(const std::string& key, std::string data) {
  const std::lock_guard lock(mutex_);
  objects_[key] = {std::move(data), now()};
}
std::string FakeS3::get(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(key);
  return found == objects_.end() ? std::string() : found->second.data;
}
size_t FakeS3::open_multiparts() const {
  const std::lock_guard lock(mutex_);
  return multiparts_.size();
}
size_t FakeS3::count(std::string_view method) const {
  const std::vector<Request> all = server_->requests();
  return static_cast<size_t>(
      std::count_if(all.begin(), all.end(), [&](const Request& r) { return r.method == method; }));
}

Response FakeS3::error(int status, const std::string& code) {
  Response response = xml("<Error><Code>" + code + "</Code><Message>because</Message></Error>");
  response.status = status;
  return response;
}

std::optional<Response> FakeS3::refuse(const Request& request, const Query& query) const {
  const std::string authorization = request.header("authorization").value_or("");
  const std::string signature = between(authorization, "Signature=", " ");
  if (between(authorization, "Credential=", "/") != kAccessKey)
    return error(403, "InvalidAccessKeyId");
  if (request.header("x-amz-content-sha256") != sha256(request.body))
    return error(400, "XAmzContentSHA256Mismatch");
  if (signature != expected_signature(request, authorization))
    return error(403, "SignatureDoesNotMatch");
  if (skewed_) return error(403, "RequestTimeTooSkewed");
  if (!(decode(request.path) + "/").starts_with(std::string("/") + kBucket + "/"))
    return error(404, "NoSuchBucket");
  if (const auto id = query.find("uploadId");
      id != query.end() && !multiparts_.contains(id->second))
    return error(404, "NoSuchUpload");
  return std::nullopt;
}

Response FakeS3::answer(const Request& request) {
  const std::lock_guard lock(mutex_);
  Query query;
  if (!request.query.empty())
    for (const std::string& pair : split(request.query, '&'))
      query[decode(pair.substr(0, pair.find('=')))] =
          pair.find('=') == std::string::npos ? "" : decode(pair.substr(pair.find('=') + 1));
  const std::string path = decode(request.path);
  const size_t root = std::string_view(kBucket).size() + 2;
  const std::string key = path.size() > root ? path.substr(root) : "";
  const auto carry_out = [&]() -> Response {
    if (auto refused = refuse(request, query)) return *std::move(refused);
    if (fault_)
      if (auto fault = fault_(request)) return *std::move(fault);
    if (key.empty()) return list(query);
    if (request.method == "PUT") return put_object(request, key, query);
    if (request.method == "POST") return post_object(request, key, query);
    if (request.method == "DELETE") return remove(key, query);
    return get_object(request, key);
  };
  Response response = carry_out();
  response.headers.emplace_back("Date", http_time(now(), kHttpTime));
  return response;
}

Response FakeS3::list(const Query& query) const {
  const auto value = [&](const char* name) {
    const auto found = query.find(name);
    return found == query.end() ? std::string() : found->second;
  };
  const std::string prefix = value("prefix"), delimiter = value("delimiter");
  const size_t most = std::min<size_t>(kPageEntries, std::stoul("0" + value("max-keys")));
  std::string body, last = value("continuation-token");
  size_t entries = 0;
  bool more = false;
  for (const auto& [key, object] : objects_) {
    if (!key.starts_with(prefix)) continue;
    const size_t end = delimiter.empty() ? std::string::npos : key.find(delimiter, prefix.size());
    const std::string entry = end == std::string::npos ? key : key.substr(0, end + 1);
    if (entry <= last) continue;
    if (entries == most) {
      more = true;
      break;
    }
    ++entries;
    last = entry;
    if (end != std::string::npos)
      body += "<CommonPrefixes><Prefix>" + entry + "</Prefix></CommonPrefixes>";
    else
      body += "<Contents><Key>" + key + "</Key><LastModified>" +
              http_time(object.modified, kXmlTime) +
              "</LastModified><ETag>&quot;x&quot;</ETag><Size>" +
              std::to_string(object.data.size()) + "</Size></Contents>";
  }
  return xml("<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>" +
             std::string(more ? "true</IsTruncated><NextContinuationToken>" + last +
                                    "</NextContinuationToken>"
                              : "false</IsTruncated>") +
             body + "</ListBucketResult>");
}

Response FakeS3::get_object(const Request& request, const std::string& key) const {
  const auto found = objects_.find(key);
  if (found == objects_.end()) return error(404, "NoSuchKey");
  Response response{200, {{"Last-Modified", http_time(found->second.modified, kHttpTime)}}};
  response.body = found->second.data;
  if (const auto range = request.header("range")) {
    const auto part = part_of(found->second.data, *range);
    if (!part) return error(416, "InvalidRange");
    response.status = 206;
    response.body = *part;
  }
  return response;
}

Response FakeS3::put_object(const Request& request, const std::string& key, const Query& query) {
  std::string data = request.body;
  const auto source = request.header("x-amz-copy-source");
  if (source) {
    const std::string from = decode(*source).substr(std::string_view(kBucket).size() + 2);
    const auto found = objects_.find(from);
    if (found == objects_.end()) return error(404, "NoSuchKey");
    data = found->second.data;
    if (const auto range = request.header("x-amz-copy-source-range"))
      data = part_of(data, *range).value_or("");
    if (data.size() > most_copied_bytes_) return error(400, "InvalidRequest");
    if (from == key && request.header("x-amz-metadata-directive") != "REPLACE")
      return error(400, "InvalidRequest");
  }
  const std::string tag = tag_of(data);
  if (const auto id = query.find("uploadId"); id != query.end())
    multiparts_[id->second].parts[std::stoul(query.at("partNumber"))] = std::move(data);
  else
    objects_[key] = {std::move(data), now()};
  if (!source) return {200, {{"ETag", tag}}, ""};
  return xml("<CopyResult><ETag>" + tag + "</ETag></CopyResult>");
}

Response FakeS3::post_object(const Request& request, const std::string& key, const Query& query) {
  if (query.contains("uploads")) {
    const std::string id = "m/" + std::to_string(next_multipart_++) + "+=";
    multiparts_[id] = {key};
    return xml("<InitiateMultipartUploadResult><UploadId>" + id +
               "</UploadId></InitiateMultipartUploadResult>");
  }
  return complete(request, key, query.at("uploadId"));
}

Response FakeS3::complete(const Request& request, const std::string& key, const std::string& id) {
  const Multipart& upload = multiparts_.at(id);
  std::string data, rest = request.body;
  if (upload.key != key) return error(404, "NoSuchUpload");
  for (size_t number = 1; number <= upload.parts.size(); ++number) {
    const auto part = upload.parts.find(number);
    const std::string entry = between(rest, "<Part>", "</Part>");
    if (part == upload.parts.end() ||
        entry.find("<PartNumber>" + std::to_string(number) + "<") == std::string::npos)
      return error(400, "InvalidPart");
    const bool is_last = number == upload.parts.size();
    if (!is_last && part->second.size() < kLeastPartBytes) return error(400, "EntityTooSmall");
    const std::string tag = tag_of(part->second);
    if (entry.find(tag.substr(1, tag.size() - 2)) == std::string::npos)
      return error(400, "InvalidPart");
    data += part->second;
    rest = rest.substr(rest.find("</Part>") + 7);
  }
  objects_[key] = {std::move(data), now()};
  multiparts_.erase(id);
  return xml("<CompleteMultipartUploadResult/>");
}

Response FakeS3::remove(const std::string& key, const Query& query) {
  if (const auto id = query.find("uploadId"); id != query.end())
    multiparts_.erase(id->second);
  else
    objects_.erase(key);
  return {204, {}, ""};
}

}  // namespace kiln::fake
