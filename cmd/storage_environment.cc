#include "cmd/storage_environment.h"

#include <initializer_list>
#include <string>

namespace kiln::cmd {

void add_from_environment(const Environment& environment, server::StorageFacts& storage) {
  const auto fill = [&](std::string& to, std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (const auto found = environment.find(name); to.empty() && found != environment.end())
        to = found->second;
  };
  if (storage.access_key_id.empty()) {
    fill(storage.access_key_id, {"AWS_ACCESS_KEY_ID"});
    fill(storage.secret_access_key, {"AWS_SECRET_ACCESS_KEY"});
    fill(storage.session_token, {"AWS_SESSION_TOKEN"});
  }
  fill(storage.region, {"AWS_REGION", "AWS_DEFAULT_REGION"});
  fill(storage.endpoint, {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"});
}

}  // namespace kiln::cmd
