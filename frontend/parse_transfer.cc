#include "frontend/parse_transfer.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "frontend/flag_set.h"
#include "frontend/heredoc.h"
#include "frontend/parse_error.h"

namespace kiln::dockerfile {
namespace {

// The instruction's heredocs are in the order of their words, but a word may also be split
// differently here than where heredocs are found: look the name up, each body once.
class Bodies {
 public:
  explicit Bodies(const std::vector<Heredoc>& heredocs)
      : heredocs_(heredocs), taken_(heredocs.size(), 0) {}

  const Heredoc* take(const std::string& word) {
    const auto opened = parse_heredoc_word(word);
    if (!opened) return nullptr;
    for (size_t i = 0; i < heredocs_.size(); ++i) {
      if (taken_[i] != 0 || heredocs_[i].name != opened->name) continue;
      taken_[i] = 1;
      return &heredocs_[i];
    }
    return nullptr;
  }

 private:
  const std::vector<Heredoc>& heredocs_;
  std::vector<uint8_t> taken_;
};

Result<Transfer> parse_transfer(const Instruction& node, const FlagSet& flags) {
  const std::string command = to_upper(node.name);
  Transfer transfer;
  transfer.destination = node.args.back();
  if (!node.json && parse_heredoc_word(transfer.destination)) {
    return invalid(command + " cannot accept a heredoc as a destination");
  }
  Bodies bodies(node.heredocs);
  for (size_t i = 0; i + 1 < node.args.size(); ++i) {
    if (const Heredoc* heredoc = bodies.take(node.args[i])) {
      transfer.files.push_back({heredoc->name, heredoc->content(), heredoc->expand});
    } else {
      transfer.sources.push_back(node.args[i]);
    }
  }
  transfer.chown = flags.text("chown");
  transfer.chmod = flags.text("chmod");
  transfer.link = flags.is_true("link");
  transfer.exclude = flags.list("exclude");
  return transfer;
}

Status check_arguments(const Instruction& node) {
  if (node.args.size() >= 2) return {};
  const std::string command = to_upper(node.name);
  if (node.args.empty()) return invalid(command + " requires at least two arguments");
  return invalid(command +
                 " requires at least two arguments, but only one was provided. Destination could "
                 "not be determined");
}

Result<std::optional<bool>> optional_flag(const FlagSet& flags, std::string_view name) {
  if (!flags.has(name)) return std::nullopt;
  return flags.is_true(name);
}

}  // namespace

Result<Copy> parse_copy(const Instruction& node) {
  static constexpr std::array kFlags = {
      FlagSpec{"from", FlagKind::kString},  FlagSpec{"chown", FlagKind::kString},
      FlagSpec{"chmod", FlagKind::kString}, FlagSpec{"link", FlagKind::kBool},
      FlagSpec{"parents", FlagKind::kBool}, FlagSpec{"exclude", FlagKind::kList}};
  KILN_TRY(check_arguments(node));
  KILN_TRY_ASSIGN(const FlagSet flags, FlagSet::judge(node.flags, kFlags));
  Copy copy;
  KILN_TRY_ASSIGN(copy.transfer, parse_transfer(node, flags));
  copy.from = flags.text("from");
  copy.parents = flags.is_true("parents");
  if (copy.from.find('$') != std::string::npos) {
    return invalid(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG "
        "from global scope as a workaround");
  }
  return copy;
}

Result<Add> parse_add(const Instruction& node) {
  static constexpr std::array kFlags = {
      FlagSpec{"chown", FlagKind::kString},      FlagSpec{"chmod", FlagKind::kString},
      FlagSpec{"link", FlagKind::kBool},         FlagSpec{"exclude", FlagKind::kList},
      FlagSpec{"keep-git-dir", FlagKind::kBool}, FlagSpec{"checksum", FlagKind::kString},
      FlagSpec{"unpack", FlagKind::kBool}};
  KILN_TRY(check_arguments(node));
  KILN_TRY_ASSIGN(const FlagSet flags, FlagSet::judge(node.flags, kFlags));
  Add add;
  KILN_TRY_ASSIGN(add.transfer, parse_transfer(node, flags));
  add.keep_git_dir = flags.is_true("keep-git-dir");
  add.checksum = flags.text("checksum");
  KILN_TRY_ASSIGN(add.unpack, optional_flag(flags, "unpack"));
  return add;
}

}  // namespace kiln::dockerfile
