#include "solver/ops/owner.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "base/strings.h"

namespace kiln {
namespace {

constexpr uint64_t kMaxAccountsBytes = 10U << 20U;

struct Account {
  std::string name;
  uint32_t id = 0;     // third field
  uint32_t group = 0;  // fourth field of passwd
};

std::optional<uint32_t> parse_id(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

/// Lines that are no accounts are skipped, as glibc does.
std::vector<Account> parse_accounts(std::string_view text) {
  std::vector<Account> accounts;
  for (const std::string& line : split(text, '\n')) {
    const std::vector<std::string> fields = split(line, ':');
    if (line.starts_with('#') || fields.size() < 3) continue;
    const auto id = parse_id(fields[2]);
    if (!id) continue;
    const auto group = fields.size() > 3 ? parse_id(fields[3]) : std::nullopt;
    accounts.push_back({fields[0], *id, group.value_or(0)});
  }
  return accounts;
}

Result<Account> find_account(const llb::UserRef& ref, std::string_view file, std::string_view kind,
                             const TreeOfInput& tree) {
  std::vector<Account> accounts;
  if (ref.input != llb::kNoIndex) {
    KILN_TRY_ASSIGN(const TreeView* view, tree(ref.input));
    KILN_TRY_ASSIGN(const std::string text, read_accounts(*view, file));
    accounts = parse_accounts(text);
  }
  std::vector<std::string> names;
  for (const Account& account : accounts) {
    if (account.name == ref.name) return account;
    names.push_back(account.name);
  }
  if (ref.name == "root") return Account{"root", 0, 0};
  std::string message =
      "unable to find " + std::string(kind) + " " + ref.name + did_you_mean(ref.name, names);
  if (accounts.empty()) message += ": no /etc/" + std::string(file);
  return tl::unexpected(
      Error(Code::kInvalidArgument, std::move(message))
          .hint("names are looked up in the image that is copied into; with --link, or where the "
                "image has no such " +
                std::string(kind) + ", use a number"));
}

}  // namespace

const std::optional<llb::Chown>* owner_of(const llb::FileAction& action) {
  return std::visit(
      [](const auto& one) -> const std::optional<llb::Chown>* {
        if constexpr (requires { one.owner; }) return &one.owner;
        return nullptr;
      },
      action.action);
}

Result<std::string> read_accounts(const TreeView& tree, std::string_view file) {
  KILN_TRY_ASSIGN(const RelPath named, RelPath::rooted("/etc/" + std::string(file)));
  KILN_TRY_ASSIGN(const RelPath path, resolve_in_tree(tree, named, FollowLast::kYes));
  KILN_TRY_ASSIGN(const auto st, tree.stat(path));
  if (!st || !S_ISREG(st->st_mode)) return std::string();
  return tree.root().read_file(path, kMaxAccountsBytes);
}

Result<std::optional<Owner>> resolve_owner(const std::optional<llb::Chown>& chown,
                                           const TreeOfInput& tree) {
  if (!chown || (!chown->user && !chown->group)) return std::nullopt;
  Owner owner;
  if (chown->user && chown->user->id) {
    owner = {*chown->user->id, *chown->user->id};
  } else if (chown->user) {
    KILN_TRY_ASSIGN(const Account user, find_account(*chown->user, "passwd", "user", tree));
    owner = {user.id, user.group};
  }
  if (chown->group && chown->group->id) {
    owner.gid = *chown->group->id;
  } else if (chown->group) {
    KILN_TRY_ASSIGN(const Account group, find_account(*chown->group, "group", "group", tree));
    owner.gid = group.id;
  }
  return owner;
}

std::vector<int> inputs_of_owner(const std::optional<llb::Chown>& chown) {
  std::vector<int> inputs;
  if (!chown) return inputs;
  for (const auto* ref : {&chown->user, &chown->group})
    if (*ref && !(*ref)->id && (*ref)->input != llb::kNoIndex) inputs.push_back((*ref)->input);
  return inputs;
}

}  // namespace kiln
