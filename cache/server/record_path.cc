#include "cache/server/record_path.h"

#include "cache/server/names.h"

namespace kiln::server {
namespace {

const char* folder_of(RecordKind kind) {
  switch (kind) {
    case RecordKind::kBlob:
      return "blobs";
    case RecordKind::kManifest:
      return "manifests";
    case RecordKind::kTag:
      return "tags";
    case RecordKind::kReferrer:
      return "referrers";
    case RecordKind::kAwaited:
      return "awaited";
  }
  return "";
}

Status check_component(std::string_view name) {
  if (!name.empty() && name.front() != '.' && name.find('/') == std::string_view::npos) return {};
  return fail(Code::kInternal, "\"" + std::string(name) + "\" is no name of a record");
}

}  // namespace

Result<std::string> repository_folder(const std::string& repository) {
  if (!is_repository_name(repository))
    return fail(Code::kInternal, "\"" + repository + "\" is no name of a repository");
  return "repositories/" + repository_component(repository);
}

Result<std::string> record_folder(const std::string& repository, RecordKind kind,
                                  const std::string& group) {
  KILN_TRY_ASSIGN(std::string path, repository_folder(repository));
  path += std::string("/") + folder_of(kind);
  if (kind != RecordKind::kReferrer) return path;
  KILN_TRY(check_component(group));
  return path + "/" + group;
}

Result<std::string> record_path(const RecordKey& key) {
  KILN_TRY(check_component(key.name));
  KILN_TRY_ASSIGN(const std::string folder, record_folder(key.repository, key.kind, key.group));
  return folder + "/" + key.name;
}

}  // namespace kiln::server
