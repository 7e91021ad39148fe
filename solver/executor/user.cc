#include "solver/executor/user.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/strings.h"

namespace kiln {
namespace {

constexpr uint64_t kMaxAccountsBytes = 10U << 20U;
constexpr uint64_t kMaxId = (1U << 31U) - 1;  // as Docker: ids above are not portable

struct Passwd {
  std::string name, home;
  uint32_t uid = 0, gid = 0;
};
struct Group {
  std::string name;
  uint32_t gid = 0;
  std::vector<std::string> members;
};

bool is_decimal(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// nullopt: not a decimal number within the range of ids.
std::optional<uint32_t> parse_id(std::string_view text) {
  if (!is_decimal(text)) return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > kMaxId)
    return std::nullopt;
  return static_cast<uint32_t>(value);
}

Result<std::string> read_database(const Root& rootfs, std::string_view path) {
  KILN_TRY_ASSIGN(const RelPath name, RelPath::rooted(path));
  auto text = rootfs.read_file(name, kMaxAccountsBytes);
  if (text || text.error().code() == Code::kNotFound) return text.value_or(std::string());
  return fail(Code::kInvalidArgument,
              "read " + std::string(path) + " of the image: " + text.error().message());
}

// Lines that do not parse are skipped, as libc does.
std::vector<Passwd> parse_passwd(std::string_view text) {
  std::vector<Passwd> entries;
  for (const std::string& line : split(text, '\n')) {
    const std::vector<std::string> fields = split(trim(line), ':');
    if (fields.size() < 4 || fields[0].empty()) continue;
    const auto uid = parse_id(fields[2]);
    const auto gid = parse_id(fields[3]);
    if (uid && gid)
      entries.push_back({fields[0], fields.size() > 5 ? fields[5] : std::string(), *uid, *gid});
  }
  return entries;
}

std::vector<Group> parse_group(std::string_view text) {
  std::vector<Group> entries;
  for (const std::string& line : split(text, '\n')) {
    const std::vector<std::string> fields = split(trim(line), ':');
    if (fields.size() < 3 || fields[0].empty()) continue;
    if (const auto gid = parse_id(fields[2]))
      entries.push_back({fields[0], *gid,
                         fields.size() > 3 ? split(fields[3], ',') : std::vector<std::string>()});
  }
  return entries;
}

template <class Entry>
Error no_such(std::string_view what, std::string_view name, std::string_view file,
              const std::vector<Entry>& entries) {
  if (is_decimal(name) || (name.starts_with('-') && is_decimal(name.substr(1))))
    return Error(Code::kInvalidArgument, std::string(what) + " " + std::string(name) +
                                             " is out of range: ids are 0 to 2147483647");
  std::vector<std::string> names;
  names.reserve(entries.size());
  for (const Entry& entry : entries) names.push_back(entry.name);
  return Error(Code::kInvalidArgument, "unable to find " + std::string(what) + " " + quote(name) +
                                           ": no matching entries in " + std::string(file) +
                                           did_you_mean(name, names));
}

// The first entry with that name or number, as the file orders them.
template <class Entry>
const Entry* find_entry(const std::vector<Entry>& entries, std::string_view name,
                        uint32_t Entry::*id) {
  const auto number = parse_id(name);
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) {
    return entry.name == name || (number && entry.*id == *number);
  });
  return found == entries.end() ? nullptr : &*found;
}

Result<uint32_t> group_id(const std::vector<Group>& groups, std::string_view name) {
  if (const Group* group = find_entry(groups, name, &Group::gid)) return group->gid;
  if (const auto number = parse_id(name)) return *number;
  return tl::unexpected(no_such("group", name, "the image's /etc/group", groups));
}

void add_memberships(const std::vector<Group>& groups, const std::string& name, User& user) {
  for (const Group& group : groups)
    if (std::find(group.members.begin(), group.members.end(), name) != group.members.end())
      user.additional_gids.push_back(group.gid);
}

void make_unique(std::vector<uint32_t>& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

}  // namespace

Result<User> resolve_user(const Root& rootfs, std::string_view spec) {
  const size_t colon = spec.find(':');
  std::string_view name = spec.substr(0, colon);
  const std::string_view group =
      colon == std::string_view::npos ? std::string_view() : spec.substr(colon + 1);
  if (name.empty()) name = "0";
  KILN_TRY_ASSIGN(const std::string passwd_text, read_database(rootfs, "/etc/passwd"));
  KILN_TRY_ASSIGN(const std::string group_text, read_database(rootfs, "/etc/group"));
  const std::vector<Passwd> users = parse_passwd(passwd_text);
  const std::vector<Group> groups = parse_group(group_text);
  User user;
  const Passwd* entry = find_entry(users, name, &Passwd::uid);
  if (entry != nullptr) {
    user.uid = entry->uid;
    user.gid = entry->gid;
    if (!entry->home.empty()) user.home = entry->home;
  } else if (const auto number = parse_id(name)) {
    user.uid = *number;
  } else {
    return tl::unexpected(no_such("user", name, "the image's /etc/passwd", users));
  }
  if (!group.empty()) {
    KILN_TRY_ASSIGN(user.gid, group_id(groups, group));
  } else if (entry != nullptr) {
    add_memberships(groups, entry->name, user);
  }
  user.additional_gids.push_back(user.gid);
  make_unique(user.additional_gids);
  return user;
}

}  // namespace kiln
