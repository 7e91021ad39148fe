#include "cache/server/storage.h"

namespace kiln::server {

std::unique_ptr<Source> source_of(OpenBlob blob, const std::string& name) {
  if (auto* fd = std::get_if<Fd>(&blob.bytes))
    return std::make_unique<FdSource>(std::move(*fd), name);
  return std::get<std::unique_ptr<RemoteBytes>>(blob.bytes)->range(0, blob.size);
}

}  // namespace kiln::server
