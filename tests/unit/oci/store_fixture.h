// A root of its own with a database, leases and a content store, for tests that need a real one.
#pragma once

#include "base/fs.h"
#include "oci/local_content_store.h"

#include <memory>
#include <string>

namespace kiln::oci {

struct StoreFixture {
  TempDir root = TempDir::create("/tmp", "oci").value();
  std::unique_ptr<Database> database = Database::open(root.path() + "/kiln.db").value();
  std::unique_ptr<Leases> leases = Leases::open(*database, root.path() + "/run/leases").value();
  std::unique_ptr<LocalContentStore> content =
      LocalContentStore::open(*database, *leases, root.path() + "/content").value();
  std::unique_ptr<Lease> lease = leases->acquire().value();

  std::string blob_path(const Digest& blob) const {
    return content->directory() + "/blobs/sha256/" + blob.hex();
  }
};

}  // namespace kiln::oci
