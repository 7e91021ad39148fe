#include "llb/codec_decode_parts.h"

#include <utility>

namespace kiln::llb {
namespace {

Result<UserRef> decode(const pb::UserOpt& in) {
  KILN_TRY(known(in, "UserOpt"));
  UserRef who;
  switch (in.user_case()) {
    case pb::UserOpt::kByID:
      who.id = in.byid();
      return who;
    case pb::UserOpt::kByName: {
      KILN_TRY(known(in.byname(), "NamedUserOpt"));
      who.name = in.byname().name();
      KILN_TRY_ASSIGN(who.input, index_of(in.byname().input(), "owner input"));
      return who;
    }
    case pb::UserOpt::USER_NOT_SET:
      break;
  }
  return fail(Code::kInvalidArgument, "an owner is neither a name nor a number");
}

template <class In>
Result<std::optional<Chown>> decode_owner(const In& in) {
  if (!in.has_owner()) return std::optional<Chown>();
  KILN_TRY(known(in.owner(), "ChownOpt"));
  Chown owner;
  if (in.owner().has_user()) {
    KILN_TRY_ASSIGN(owner.user, decode(in.owner().user()));
  }
  if (in.owner().has_group()) {
    KILN_TRY_ASSIGN(owner.group, decode(in.owner().group()));
  }
  return std::optional<Chown>(std::move(owner));
}

Result<CopyAction> decode(const pb::FileActionCopy& in) {
  KILN_TRY(known(in, "FileActionCopy"));
  CopyAction copy;
  copy.src = in.src();
  copy.dest = in.dest();
  KILN_TRY_ASSIGN(copy.owner, decode_owner(in));
  copy.mode = in.mode();
  copy.mode_str = in.modestr();
  copy.follow_symlink = in.followsymlink();
  copy.dir_copy_contents = in.dircopycontents();
  copy.attempt_unpack = in.attemptunpackdockercompatibility();
  copy.create_dest_path = in.createdestpath();
  copy.allow_wildcard = in.allowwildcard();
  copy.allow_empty_wildcard = in.allowemptywildcard();
  copy.timestamp = in.timestamp();
  copy.include_patterns = strings(in.include_patterns());
  copy.exclude_patterns = strings(in.exclude_patterns());
  copy.required_paths = strings(in.required_paths());
  copy.always_replace_existing_dest_paths = in.alwaysreplaceexistingdestpaths();
  return copy;
}

Result<MkFileAction> decode(const pb::FileActionMkFile& in) {
  KILN_TRY(known(in, "FileActionMkFile"));
  KILN_TRY_ASSIGN(std::optional<Chown> owner, decode_owner(in));
  return MkFileAction{in.path(), in.mode(), in.data(), std::move(owner), in.timestamp()};
}

Result<MkDirAction> decode(const pb::FileActionMkDir& in) {
  KILN_TRY(known(in, "FileActionMkDir"));
  KILN_TRY_ASSIGN(std::optional<Chown> owner, decode_owner(in));
  return MkDirAction{in.path(), in.mode(), in.makeparents(), std::move(owner), in.timestamp()};
}

Result<RmAction> decode(const pb::FileActionRm& in) {
  KILN_TRY(known(in, "FileActionRm"));
  return RmAction{in.path(), in.allownotfound(), in.allowwildcard()};
}

Result<SymlinkAction> decode(const pb::FileActionSymlink& in) {
  KILN_TRY(known(in, "FileActionSymlink"));
  KILN_TRY_ASSIGN(std::optional<Chown> owner, decode_owner(in));
  return SymlinkAction{in.oldpath(), in.newpath(), std::move(owner), in.timestamp()};
}

Status decode_kind(const pb::FileAction& in, FileAction& out) {
  const auto take = [&out](auto result) -> Status {
    if (!result) return tl::unexpected(std::move(result).error());
    out.action = *std::move(result);
    return {};
  };
  switch (in.action_case()) {
    case pb::FileAction::kCopy:
      return take(decode(in.copy()));
    case pb::FileAction::kMkfile:
      return take(decode(in.mkfile()));
    case pb::FileAction::kMkdir:
      return take(decode(in.mkdir()));
    case pb::FileAction::kRm:
      return take(decode(in.rm()));
    case pb::FileAction::kSymlink:
      return take(decode(in.symlink()));
    case pb::FileAction::ACTION_NOT_SET:
      break;
  }
  return fail(Code::kInvalidArgument, "a file action does nothing");
}

}  // namespace

Result<Op> decode_file(const pb::FileOp& in) {
  KILN_TRY(known(in, "FileOp"));
  FileOp op;
  for (const pb::FileAction& entry : in.actions()) {
    KILN_TRY(known(entry, "FileAction"));
    FileAction action;
    KILN_TRY_ASSIGN(action.input, index_of(entry.input(), "input"));
    KILN_TRY_ASSIGN(action.secondary_input, index_of(entry.secondaryinput(), "secondary input"));
    KILN_TRY_ASSIGN(action.output, index_of(entry.output(), "output"));
    KILN_TRY(decode_kind(entry, action));
    op.actions.push_back(std::move(action));
  }
  return Op(std::move(op));
}

}  // namespace kiln::llb
