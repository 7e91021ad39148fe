#include "llb/validate.h"

#include <set>
#include <string>

namespace kiln::llb {
namespace {

Status invalid(std::string message) {
  return fail(Code::kInvalidArgument, std::move(message));
}

/// -1 or an index below `limit`.
Status check_index(int index, size_t limit, const std::string& what) {
  if (index == kNoIndex) return {};
  if (index < 0 || static_cast<size_t>(index) >= limit) {
    return invalid(what + " " + std::to_string(index) + " is out of range (" +
                   std::to_string(limit) + " available)");
  }
  return {};
}

/// Outputs must be 0..n-1 in any order, each once: an edge names them by number.
Status check_outputs(const std::set<int>& outputs, size_t count) {
  if (outputs.size() != count) return invalid("two parts write the same output");
  if (!outputs.empty() && *outputs.rbegin() != static_cast<int>(count) - 1) {
    return invalid("output indexes have gaps");
  }
  return {};
}

Status check(const SourceOp& op, size_t inputs) {
  if (inputs != 0) return invalid("a source has no inputs");
  if (op.identifier.find("://") == std::string::npos) {
    return invalid("source identifier \"" + op.identifier + "\" has no scheme");
  }
  return {};
}

Status check_mount(const ExecMount& mount, size_t inputs) {
  const std::string what = "mount \"" + mount.dest + "\"";
  KILN_TRY(check_index(mount.input, inputs, what + ": input"));
  if (mount.output < kNoIndex) return invalid(what + ": output index below -1");
  if (mount.dest.empty()) return invalid("a mount has no destination");
  if (mount.dest.front() != '/') return invalid(what + ": destination is not absolute");
  switch (mount.type) {
    case MountType::kCache:
      if (!mount.cache) return invalid(what + ": cache options are missing");
      break;
    case MountType::kSecret:
      if (!mount.secret) return invalid(what + ": secret options are missing");
      break;
    case MountType::kSsh:
      if (!mount.ssh) return invalid(what + ": ssh options are missing");
      break;
    case MountType::kTmpfs:
      if (mount.input != kNoIndex) return invalid(what + ": a tmpfs has no input");
      break;
    case MountType::kBind:
      break;
  }
  return {};
}

Status check(const ExecOp& op, size_t inputs) {
  if (op.meta.args.empty()) return invalid("no arguments");
  if (op.meta.cwd.empty() || op.meta.cwd.front() != '/') {
    return invalid("working directory \"" + op.meta.cwd + "\" is not absolute");
  }
  int roots = 0;
  size_t writers = 0;
  std::set<int> outputs;
  for (const ExecMount& mount : op.mounts) {
    KILN_TRY(check_mount(mount, inputs));
    if (mount.dest == "/") ++roots;
    // Secrets and sockets are written by clients with output 0, though they have none.
    if (mount.type == MountType::kSecret || mount.type == MountType::kSsh) continue;
    if (mount.output != kNoIndex) {
      ++writers;
      outputs.insert(mount.output);
    }
  }
  if (roots != 1) return invalid("exactly one mount must be at \"/\"");
  return check_outputs(outputs, writers);
}

Status check_owner(const std::optional<Chown>& owner, size_t limit) {
  if (!owner) return {};
  for (const auto& who : {owner->user, owner->group}) {
    if (who && !who->id) {
      KILN_TRY(check_index(who->input, limit, "owner \"" + who->name + "\": input"));
    }
  }
  return {};
}

const std::optional<Chown>* owner_of(const FileAction& action) {
  return std::visit(
      [](const auto& kind) -> const std::optional<Chown>* {
        if constexpr (requires { kind.owner; }) {
          return &kind.owner;
        } else {
          return nullptr;
        }
      },
      action.action);
}

bool has_path(const CopyAction& a) {
  return !a.src.empty() && !a.dest.empty();
}
bool has_path(const MkFileAction& a) {
  return !a.path.empty();
}
bool has_path(const MkDirAction& a) {
  return !a.path.empty();
}
bool has_path(const RmAction& a) {
  return !a.path.empty();
}
bool has_path(const SymlinkAction& a) {
  return !a.oldpath.empty() && !a.newpath.empty();
}

Status check_action(const FileAction& action, size_t limit) {
  KILN_TRY(check_index(action.input, limit, "input"));
  KILN_TRY(check_index(action.secondary_input, limit, "secondary input"));
  if (action.output < kNoIndex) return invalid("output index below -1");
  if (const auto* owner = owner_of(action)) KILN_TRY(check_owner(*owner, limit));
  if (!std::visit([](const auto& kind) { return has_path(kind); }, action.action)) {
    return invalid("a path is empty");
  }
  return {};
}

Status check(const FileOp& op, size_t inputs) {
  if (op.actions.empty()) return invalid("no actions");
  std::set<int> outputs;
  size_t writers = 0;
  for (size_t i = 0; i < op.actions.size(); ++i) {
    const Status status = check_action(op.actions[i], inputs + i);
    if (!status) {
      return tl::unexpected(status.error().wrap("action " + std::to_string(i)));
    }
    if (op.actions[i].output != kNoIndex) {
      ++writers;
      outputs.insert(op.actions[i].output);
    }
  }
  if (writers == 0) return invalid("no action has an output");
  return check_outputs(outputs, writers);
}

Status check(const MergeOp& op, size_t inputs) {
  if (op.inputs.size() < 2) return invalid("a merge needs at least two inputs");
  for (int index : op.inputs) KILN_TRY(check_index(index, inputs, "input"));
  return {};
}

Status check(const DiffOp& op, size_t inputs) {
  KILN_TRY(check_index(op.lower, inputs, "lower input"));
  return check_index(op.upper, inputs, "upper input");
}

}  // namespace

const char* kind_name(const Op& op) {
  static constexpr const char* kNames[] = {"source", "exec", "file", "merge", "diff"};
  static_assert(std::variant_size_v<Op> == std::size(kNames));
  return kNames[op.index()];
}

Status validate(const Op& op, size_t inputs) {
  return std::visit([inputs](const auto& kind) { return check(kind, inputs); }, op);
}

}  // namespace kiln::llb
