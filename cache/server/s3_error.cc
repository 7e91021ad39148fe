#include "cache/server/s3_error.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "cache/server/s3_xml.h"

namespace kiln::server {
namespace {

struct Meaning {
  std::string_view s3_code;
  Code code;
  std::string_view hint;
};
constexpr std::string_view kKeyHint =
    "look at access_key_id and secret_access_key in [storage], or at AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY";
constexpr std::string_view kRegionHint =
    "set region in [storage], or AWS_REGION, to where the bucket is";
constexpr std::array kMeanings = {
    Meaning{"NoSuchKey", Code::kNotFound, ""},
    Meaning{"NoSuchUpload", Code::kNotFound, ""},
    Meaning{"NoSuchBucket", Code::kPermissionDenied, "make the bucket first; kiln makes none"},
    Meaning{"InvalidAccessKeyId", Code::kUnauthenticated, kKeyHint},
    Meaning{"SignatureDoesNotMatch", Code::kUnauthenticated, kKeyHint},
    Meaning{"InvalidToken", Code::kUnauthenticated, "the session token is wrong"},
    Meaning{"ExpiredToken", Code::kUnauthenticated, "the session token has expired: get another"},
    Meaning{"AccessDenied", Code::kPermissionDenied,
            "the key needs s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject, "
            "s3:DeleteObject and s3:AbortMultipartUpload on what is in it"},
    Meaning{"RequestTimeTooSkewed", Code::kPermissionDenied,
            "the clocks of this machine and of the storage differ by more than 15 minutes: set "
            "this one (NTP)"},
    Meaning{"RequestExpired", Code::kPermissionDenied, "set this machine's clock (NTP)"},
    Meaning{"PermanentRedirect", Code::kPermissionDenied, kRegionHint},
    Meaning{"AuthorizationHeaderMalformed", Code::kPermissionDenied, kRegionHint},
    Meaning{"IllegalLocationConstraintException", Code::kPermissionDenied, kRegionHint},
    Meaning{"SlowDown", Code::kUnavailable, ""},
    Meaning{"RequestTimeout", Code::kUnavailable, ""},
    Meaning{"InternalError", Code::kUnavailable, ""},
    Meaning{"ServiceUnavailable", Code::kUnavailable, ""},
    Meaning{"OperationAborted", Code::kUnavailable, ""},
    Meaning{"NotImplemented", Code::kUnimplemented, ""},
    Meaning{"QuotaExceeded", Code::kResourceExhausted, ""},
    Meaning{"XMinioStorageFull", Code::kResourceExhausted, ""},
};

// Of an answer without a body (to HEAD), or with one of somebody in between.
Meaning meaning_of(int status) {
  if (status == 404) return {"", Code::kNotFound, ""};
  if (status == 401) return {"", Code::kUnauthenticated, kKeyHint};
  if (status == 403)
    return {"", Code::kPermissionDenied, "look at the key and at what it is allowed to do"};
  if (status == 301 || status == 307) return {"", Code::kPermissionDenied, kRegionHint};
  if (status == 501) return {"", Code::kUnimplemented, ""};
  if (status == 507) return {"", Code::kResourceExhausted, ""};
  if (status == 408 || status == 429 || status >= 500) return {"", Code::kUnavailable, ""};
  return {"", Code::kInternal, ""};
}

}  // namespace

S3Refusal read_s3_refusal(int status, std::string_view body) {
  S3Refusal refusal{status, "", ""};
  const Result<XmlElement> xml = parse_xml(body);
  if (!xml || xml->name != "Error") return refusal;
  refusal.code = xml->child("Code");
  refusal.message = xml->child("Message");
  refusal.region = xml->child("Region");
  return refusal;
}

Error s3_error(const S3Refusal& refusal, const std::string& what) {
  const auto* found = std::find_if(kMeanings.begin(), kMeanings.end(), [&](const Meaning& meaning) {
    return meaning.s3_code == refusal.code;
  });
  const Meaning meaning = found != kMeanings.end() ? *found : meaning_of(refusal.status);
  std::string text = what + ": ";
  text += refusal.code.empty() ? "status " + std::to_string(refusal.status) : refusal.code;
  if (!refusal.message.empty()) text += ": " + refusal.message;
  if (!refusal.region.empty()) text += " (it is in " + quote(refusal.region) + ")";
  const Error error(meaning.code, printable(text));
  return meaning.hint.empty() ? error : error.hint(meaning.hint);
}

}  // namespace kiln::server
