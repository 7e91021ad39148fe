// Reading objects piece by piece, each with a request of its own: a slow client holds no connection
// to the storage, and a piece that broke off is asked for again without anybody noticing.
#pragma once

#include "base/io.h"
#include "cache/server/s3_client.h"
#include "cache/server/storage.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace kiln::server {

/// What all readers of a storage have in common; the client outlives them.
struct S3Reading {
  S3Reading(S3Client& from, std::function<void(std::string_view)> tell)
      : client(from), log(std::move(tell)) {}
  S3Client& client;
  std::function<void(std::string_view)> log;  // may be empty: told of what could not be read
  std::atomic<size_t> readers{0};             // that have begun
};

std::unique_ptr<RemoteBytes> s3_bytes(std::shared_ptr<S3Reading> reading, std::string key);

}  // namespace kiln::server
