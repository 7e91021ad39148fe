// `kiln fsck`: is what a root or a registry keeps what it says?
#include <cstdio>

#include "base/strings.h"
#include "cache/server/directory_storage.h"
#include "cache/server/fsck.h"
#include "cache/server/open_storage.h"
#include "cmd/check_store.h"
#include "cmd/commands.h"

namespace kiln::cmd {

namespace {

void tell(const std::string& line) {
  (void)std::printf("%s\n", printable(line).c_str());  // main flushes, and sees what went wrong
}

template <class Report>
CommandResult summary(const Report& report) {
  (void)std::printf("%llu blobs (%s) checked, %zu problems, %zu repaired\n",
                    static_cast<unsigned long long>(report.blobs),
                    human_bytes(report.bytes).c_str(), report.problems, report.repaired);
  if (report.problems == report.repaired) return {};
  return tl::unexpected(Failure{Error(Code::kDataLoss, "problems remain"), 1, "", "", true});
}

CommandResult check_root(const FsckOptions& options, const Invocation& invocation) {
  KILN_CMD_TRY_ASSIGN(const auto engine, open_engine(options.global, Need::kBuild, invocation));
  KILN_CMD_TRY_ASSIGN(const StoreCheck report,
                      check_store(*engine, options.repair ? RepairStore::kYes : RepairStore::kNo,
                                  tell, invocation.stop));
  return summary(report);
}

CommandResult check_registry(const FsckOptions& options, const Invocation& invocation) {
  if (server::is_bucket(options.storage))
    return usage_failure(
        Error(Code::kUnimplemented, "kiln fsck reads directories only, not object storage")
            .hint("a bucket's own integrity checks look after its bytes"));
  const Result<bool> there = exists(options.storage + "/kiln-registry");
  if (!there) return failure(there.error());
  if (!*there)
    return usage_failure(
        Error(Code::kInvalidArgument, quote(options.storage) + " is no registry's storage")
            .hint("name the directory that kiln serve was given as --storage"));
  KILN_CMD_TRY_ASSIGN(const auto storage, server::DirectoryStorage::open(options.storage));
  KILN_CMD_TRY_ASSIGN(
      const server::FsckReport report,
      server::check_storage(*storage, options.repair ? server::Repair::kYes : server::Repair::kNo,
                            tell, invocation.stop));
  return summary(report);
}

}  // namespace

CommandResult run_fsck(const FsckOptions& options, const Invocation& invocation) {
  return options.storage.empty() ? check_root(options, invocation)
                                 : check_registry(options, invocation);
}

}  // namespace kiln::cmd
