#include "cache/server/s3_signer.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "base/result.h"
#include "base/strings.h"
#include "cache/server/blob_digest.h"
#include "cache/server/http_message.h"

namespace kiln::server {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

// The bytes, not their hex: the next key.
std::string hmac(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int length = 0;
  KILN_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                  reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes.data(),
                  &length) != nullptr);
  return {reinterpret_cast<const char*>(bytes.data()), length};
}

std::string sha256_hex(std::string_view text) {
  return BlobDigest::of(HashAlgorithm::kSha256, text).hex();
}

}  // namespace

std::string s3_authorization(const S3SignedRequest& request, const S3Credentials& credentials) {
  auto headers = request.headers;
  std::sort(headers.begin(), headers.end());
  std::string canonical =
      request.method + "\n" + request.path + "\n" + s3_encode_query(request.query) + "\n";
  std::vector<std::string> names;
  for (const auto& [name, value] : headers) {
    canonical += name + ":" + std::string(trim(value)) + "\n";
    names.push_back(name);
  }
  const std::string signed_headers = join(names, ";");
  canonical += "\n" + signed_headers + "\n" + request.payload_hash;

  const std::string date = request.time.substr(0, request.time.find('T'));
  const std::string scope = date + "/" + request.region + "/s3/aws4_request";
  const std::string to_sign =
      std::string(kAlgorithm) + "\n" + request.time + "\n" + scope + "\n" + sha256_hex(canonical);
  std::string key = hmac("AWS4" + credentials.secret_key, date);
  for (const std::string_view part :
       {std::string_view(request.region), std::string_view("s3"), std::string_view("aws4_request")})
    key = hmac(key, part);
  return std::string(kAlgorithm) + " Credential=" + credentials.access_key + "/" + scope +
         ", SignedHeaders=" + signed_headers + ", Signature=" + keyed_hash(key, to_sign);
}

std::string s3_encode_path(std::string_view path) {
  std::string encoded;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    encoded += percent_encode(path.substr(begin, end - begin));
    if (end < path.size()) encoded += '/';
    begin = end + 1;
  }
  return encoded;
}

std::string s3_encode_query(const S3Query& query) {
  std::vector<std::pair<std::string, std::string>> encoded;
  for (const auto& [name, value] : query)
    encoded.emplace_back(percent_encode(name), percent_encode(value));
  std::sort(encoded.begin(), encoded.end());
  std::string text;
  for (const auto& [name, value] : encoded) {
    if (!text.empty()) text += '&';
    text.append(name).append("=").append(value);
  }
  return text;
}

std::string s3_time(std::chrono::sys_time<std::chrono::nanoseconds> time) {
  std::string text = format_rfc3339(std::chrono::floor<std::chrono::seconds>(time));
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}

}  // namespace kiln::server
