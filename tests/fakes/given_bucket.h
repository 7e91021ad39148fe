// A bucket of a real S3 server for tests (CONTRIBUTING.md): the one that KILN_TEST_S3=s3://NAME and
// the variables of AWS lead to.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace kiln::fake {

struct BucketAccess {
  std::string endpoint, key, secret;
  std::string name;
};

inline std::optional<BucketAccess> given_bucket() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  const std::string bucket = variable("KILN_TEST_S3");
  if (bucket.empty()) return std::nullopt;
  return BucketAccess{variable("AWS_ENDPOINT_URL"), variable("AWS_ACCESS_KEY_ID"),
                      variable("AWS_SECRET_ACCESS_KEY"), bucket.substr(bucket.rfind('/') + 1)};
}

}  // namespace kiln::fake
