// `kiln fsck`: is what a root or a registry keeps what it says?
#include <cstdio>

#include "base/strings.h"
#include "cache/server/fsck.h"
#include "cache/server/open_storage.h"
#include "cache/server/serve.h"
#include "cmd/check_store.h"
#include "cmd/commands.h"
#include "cmd/storage_environment.h"

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
  Result<server::StorageFacts> facts = server::load_storage_facts(options.config);
  if (!facts) return usage_failure(facts.error());
  add_from_environment(invocation.environment, *facts);
  const auto storage = server::open_storage(options.storage, *facts, {}, server::Absent::kRefuse);
  if (!storage && storage.error().code() == Code::kInvalidArgument)
    return usage_failure(storage.error());
  if (!storage) return failure(storage.error().wrap("check " + quote(options.storage)));
  KILN_CMD_TRY_ASSIGN(
      const server::FsckReport report,
      server::check_storage(**storage, options.repair ? server::Repair::kYes : server::Repair::kNo,
                            tell, invocation.stop));
  return summary(report);
}

}  // namespace

CommandResult run_fsck(const FsckOptions& options, const Invocation& invocation) {
  if (!options.storage.empty()) return check_registry(options, invocation);
  if (!options.config.empty())
    return usage_failure(
        Error(Code::kInvalidArgument, "--config is for a registry's storage, and there is none")
            .hint("say which one: --storage s3://BUCKET/PREFIX"));
  return check_root(options, invocation);
}

}  // namespace kiln::cmd
