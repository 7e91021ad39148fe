#include "solver/ops/file_key.h"

#include "solver/ops/key_parts.h"
#include "solver/ops/owner.h"

namespace kiln {
namespace {

std::string text_of(const std::optional<llb::UserRef>& user) {
  if (!user) return {};
  if (user->id) return std::to_string(*user->id);
  return "name " + user->name + " in " + std::to_string(user->input);
}

/// Adds one action's fields; fields that have their default are left out, so that a field that
/// comes later does not change old keys.
class ActionKey {
 public:
  ActionKey(KeyFields& key, std::optional<int64_t> epoch) : key_(key), epoch_(epoch) {}

  void operator()(const llb::CopyAction& copy) {
    key_.add("action", "copy");
    // Of the source only its name counts (C20): what lies above it does not change what comes out.
    const size_t slash = copy.src.find_last_not_of('/');
    const std::string_view trimmed = std::string_view(copy.src).substr(0, slash + 1);
    key_.add("src", trimmed.substr(trimmed.rfind('/') + 1));
    key_.add("dest", copy.dest);
    owner(copy.owner);
    if (copy.mode >= 0) key_.add("mode", std::to_string(copy.mode));
    if (!copy.mode_str.empty()) key_.add("mode", copy.mode_str);
    add_flag(key_, "follow_symlink", copy.follow_symlink);
    add_flag(key_, "dir_copy_contents", copy.dir_copy_contents);
    add_flag(key_, "attempt_unpack", copy.attempt_unpack);
    add_flag(key_, "create_dest_path", copy.create_dest_path);
    add_flag(key_, "allow_wildcard", copy.allow_wildcard);
    add_flag(key_, "allow_empty_wildcard", copy.allow_empty_wildcard);
    add_flag(key_, "always_replace", copy.always_replace_existing_dest_paths);
    time(copy.timestamp);
    add_list(key_, "include", copy.include_patterns);
    add_list(key_, "exclude", copy.exclude_patterns);
    add_list(key_, "required", copy.required_paths);
  }

  void operator()(const llb::MkFileAction& mkfile) {
    key_.add("action", "mkfile");
    key_.add("path", mkfile.path);
    key_.add("mode", std::to_string(mkfile.mode));
    key_.add("data", Digest::of(mkfile.data).to_string());
    owner(mkfile.owner);
    creation_time(mkfile.timestamp);
  }

  void operator()(const llb::MkDirAction& mkdir) {
    key_.add("action", "mkdir");
    key_.add("path", mkdir.path);
    key_.add("mode", std::to_string(mkdir.mode));
    add_flag(key_, "make_parents", mkdir.make_parents);
    owner(mkdir.owner);
    creation_time(mkdir.timestamp);
  }

  void operator()(const llb::RmAction& rm) {
    key_.add("action", "rm");
    key_.add("path", rm.path);
    add_flag(key_, "allow_not_found", rm.allow_not_found);
    add_flag(key_, "allow_wildcard", rm.allow_wildcard);
  }

  void operator()(const llb::SymlinkAction& symlink) {
    key_.add("action", "symlink");
    key_.add("target", symlink.oldpath);
    key_.add("path", symlink.newpath);
    owner(symlink.owner);
    creation_time(symlink.timestamp);
  }

 private:
  void owner(const std::optional<llb::Chown>& chown) {
    if (!chown) return;
    key_.add("user", text_of(chown->user));
    key_.add("group", text_of(chown->group));
  }
  void time(int64_t timestamp) {
    if (timestamp != -1) key_.add("timestamp", std::to_string(timestamp));
  }
  void creation_time(int64_t timestamp) {
    time(timestamp);
    if (timestamp == -1 && epoch_) key_.add("epoch", std::to_string(*epoch_));
  }

  KeyFields& key_;
  std::optional<int64_t> epoch_;
};

}  // namespace

std::vector<FileInputUse> input_uses(const llb::FileOp& op, size_t inputs) {
  std::vector<FileInputUse> uses(inputs);
  const auto use = [&](int index) -> FileInputUse* {
    return index >= 0 && static_cast<size_t>(index) < inputs ? &uses[static_cast<size_t>(index)]
                                                             : nullptr;
  };
  for (const llb::FileAction& action : op.actions) {
    if (auto* base = use(action.input)) base->is_base = true;
    const auto* copy = std::get_if<llb::CopyAction>(&action.action);
    auto* read = use(action.secondary_input);
    if (copy != nullptr && read != nullptr) read->copies.push_back(copy);
    const auto* owner = owner_of(action);
    if (owner == nullptr) continue;
    for (const int index : inputs_of_owner(*owner))
      if (auto* accounts = use(index)) accounts->has_accounts = true;
  }
  return uses;
}

KeyFields file_key(const llb::FileOp& op, std::optional<int64_t> source_date_epoch) {
  KeyFields key;
  key.add("kind", "file");
  for (const llb::FileAction& action : op.actions) {
    std::visit(ActionKey(key, source_date_epoch), action.action);
    key.add("input", std::to_string(action.input));
    key.add("secondary", std::to_string(action.secondary_input));
    key.add("output", std::to_string(action.output));
  }
  return key;
}

}  // namespace kiln
