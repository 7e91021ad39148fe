// What a refusal of object storage means for whoever runs the registry.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace kiln::server {

struct S3Refusal {
  int status = 0;
  std::string code, message;  // of the body; "": it had none
  std::string region = {};    // where the bucket is, if it said so
};

/// Reads the body; what is no XML leaves code and message empty.
S3Refusal read_s3_refusal(int status, std::string_view body);
/// `what`: which call, without secrets. Codes as in s3_client.h.
Error s3_error(const S3Refusal& refusal, const std::string& what);

}  // namespace kiln::server
