#include "cmd/settle_epoch.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "cmd/run_inputs.h"
#include "frontend/epoch_source.h"
#include "frontend/source_date_epoch.h"
#include "solver/ops/archive_sniff.h"
#include "solver/ops/directory_view.h"
#include "solver/ops/file_plan.h"

namespace kiln::cmd {
namespace {

using Seconds = std::optional<int64_t>;

void take_newer(Seconds& newest, int64_t time) {
  newest = std::max(newest.value_or(time), time);
}

/// All of a checkout has the commit's time but its root, which no commit holds.
Result<Seconds> time_of_repository(const TreeView& tree) {
  KILN_TRY_ASSIGN(const std::vector<TreeNames::Entry> entries, tree.list(RelPath()));
  Seconds time;
  for (const TreeNames::Entry& entry : entries) take_newer(time, entry.st.st_mtim.tv_sec);
  return time;
}

/// nullopt also for what turns out to be no archive: it is a file like any other.
Seconds newest_in_archive(const TreeView& tree, const RelPath& file) {
  auto reader = open_archive(tree, file);
  if (!reader) return std::nullopt;
  Seconds newest;
  for (;;) {
    const auto entry = (*reader)->next();
    if (!entry) return std::nullopt;
    if (!*entry) return newest;
    if ((*entry)->type == oci::EntryType::kFile) take_newer(newest, (*entry)->mtime);
  }
}

Result<Seconds> newest_below(const TreeNames& tree, const RelPath& directory,
                             const std::stop_token& stop) {
  if (stop.stop_requested()) return fail(Code::kCancelled, "stopped");
  KILN_TRY_ASSIGN(const std::vector<TreeNames::Entry> entries, tree.list(directory));
  Seconds newest;
  for (const TreeNames::Entry& entry : entries) {
    if (S_ISREG(entry.st.st_mode)) take_newer(newest, entry.st.st_mtim.tv_sec);
    if (!S_ISDIR(entry.st.st_mode)) continue;
    KILN_TRY_ASSIGN(const Seconds below, newest_below(tree, directory.child(entry.name), stop));
    if (below) take_newer(newest, *below);
  }
  return newest;
}

Status check_digest(const TreeView& tree, const RelPath& file, const Digest& wanted) {
  FileScratch scratch;
  KILN_TRY_ASSIGN(const FileContent content, tree.file_content(file, scratch));
  if (content.data == wanted) return {};
  return fail(
      Code::kFailedPrecondition,
      "digest mismatch: the source is " + content.data.to_string() + ", not " + wanted.to_string());
}

Result<Seconds> time_of_download(const TreeView& tree, const frontend::EpochSource& source) {
  const RelPath file = RelPath().child(source.file);
  if (source.checksum) KILN_TRY(check_digest(tree, file, *source.checksum));
  KILN_TRY_ASSIGN(const std::optional<struct stat> st, tree.stat(file));
  if (!st) return fail(Code::kInternal, "the download has no file");
  // The time of a download whose server tells none (sources/http.h).
  if (st->st_mtim.tv_sec != kFixedTime) return Seconds(st->st_mtim.tv_sec);
  return newest_in_archive(tree, file);
}

Result<Seconds> time_of(const SettleEpoch& how, const frontend::EpochSource& source) {
  if (source.graph) {
    KILN_TRY_ASSIGN(const RefPtr ref, how.solve(*source.graph));
    KILN_TRY_ASSIGN(TreeRef * tree, as_tree(*ref));
    KILN_TRY_ASSIGN(const auto view, tree->open(how.stop));
    return source.file.empty() ? time_of_repository(*view) : time_of_download(*view, source);
  }
  // A tar on standard input is an archive like one from a server.
  if (!source.is_main_context || !how.inputs.unpacked) return Seconds();
  KILN_TRY_ASSIGN(Root root, Root::open(how.inputs.unpacked->path()));
  return newest_below(DirectoryView(std::move(root)), RelPath(), how.stop);
}

}  // namespace

Status settle_epoch(const SettleEpoch& how, frontend::FrontendRequest& request) {
  KILN_TRY_ASSIGN(const std::optional<frontend::EpochSource> source,
                  frontend::epoch_source(request, how.resolver, how.stop));
  if (!source) return {};
  const Result<Seconds> time = time_of(how, *source);
  if (!time) return tl::unexpected(time.error().wrap("resolve SOURCE_DATE_EPOCH"));
  const std::string text = *time ? std::to_string(**time) : std::string();
  if (*time && !frontend::parse_source_date_epoch(text))
    return fail(Code::kInvalidArgument, "SOURCE_DATE_EPOCH: the time of its source, " + text +
                                            " seconds since 1970, is none that an image can have");
  request.build_args.emplace_back("SOURCE_DATE_EPOCH", text);
  return {};
}

Status settle_epoch(const FetchAlone& how, const BuildInputs& inputs,
                    frontend::ImageConfigResolver& resolver, frontend::FrontendRequest& request) {
  const Invocation& invocation = how.invocation;
  std::optional<OpsEnvironment> ops;  // lives as long as what is solved with it
  const auto solve = [&](const llb::Graph& graph) -> Result<RefPtr> {
    if (!how.engine.can_build())
      return tl::unexpected(Error(Code::kFailedPrecondition, "fetching a source needs root")
                                .hint("run kiln as root, or give SOURCE_DATE_EPOCH as a number"));
    KILN_TRY_ASSIGN(const RunInputs run, read_run_inputs(how.options, invocation.environment));
    ops = operations_of({how.engine, inputs, run, invocation.environment, invocation.search_path,
                         std::make_shared<Registries>(invocation.environment)});
    return solve_tree(how.engine, *ops, graph, how.progress, invocation.stop);
  };
  return settle_epoch(SettleEpoch{solve, resolver, inputs, invocation.stop}, request);
}

}  // namespace kiln::cmd
