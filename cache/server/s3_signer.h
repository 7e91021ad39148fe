// Signatures of AWS's version 4 ("Signing AWS API requests", the Authorization header) for S3, in
// which a path is encoded once and never normalised. libcurl has an option for them too
// (CURLOPT_AWS_SIGV4); Debian 12's 7.88 neither sorts the query nor encodes it as S3 wants, and so
// signs what servers refuse as soon as a prefix or a token holds more than letters.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kiln::server {

struct S3Credentials {
  std::string access_key, secret_key;
  std::string session_token;  // "": none
  bool empty() const { return access_key.empty() || secret_key.empty(); }
};

using S3Query = std::vector<std::pair<std::string, std::string>>;  // neither encoded nor sorted

struct S3SignedRequest {
  std::string method;
  std::string path;  // as sent: encoded by s3_encode_path
  S3Query query = {};
  std::vector<std::pair<std::string, std::string>> headers = {};  // to sign; names in lower case
  std::string payload_hash;                                       // SHA-256 in hex
  std::string region;
  std::string time;  // "20130524T000000Z"
};

/// The value of the header Authorization.
std::string s3_authorization(const S3SignedRequest& request, const S3Credentials& credentials);

/// All but unreserved characters and slashes as %XX.
std::string s3_encode_path(std::string_view path);
/// "a=b&c=", sorted and encoded: what is signed, and what is sent.
std::string s3_encode_query(const S3Query& query);
std::string s3_time(std::chrono::sys_time<std::chrono::nanoseconds> time);

}  // namespace kiln::server
