#include "llb/dump_op.h"

#include "llb/validate.h"

#include <iterator>
#include <string_view>

namespace kiln::llb {
namespace {

/// Sets members that are not the type's default, as Go's omitempty does.
class Members {
 public:
  Members& text(std::string_view key, const std::string& value) {
    return value.empty() ? *this : put(key, value);
  }
  Members& texts(std::string_view key, const std::vector<std::string>& values) {
    return values.empty() ? *this : put(key, Json::array_of(values));
  }
  Members& number(std::string_view key, int64_t value) {
    return value == 0 ? *this : put(key, value);
  }
  Members& flag(std::string_view key, const bool value) {  // the JSON value itself
    return value ? put(key, true) : *this;
  }
  Members& list(std::string_view key, Json::Array values) {
    return values.empty() ? *this : put(key, Json::array(std::move(values)));
  }
  Members& put(std::string_view key, Json value) {
    json_.set(key, std::move(value));
    return *this;
  }
  Json done() { return std::move(json_); }

 private:
  Json json_ = Json::object();
};

template <class Range, class Function>
Json::Array json_list(const Range& range, Function function) {
  Json::Array out;
  for (const auto& element : range) out.push_back(function(element));
  return out;
}

const char* name(MountType type) {
  static constexpr const char* kNames[] = {"BIND", "SECRET", "SSH", "CACHE", "TMPFS"};
  return kNames[static_cast<size_t>(type)];
}
const char* name(CacheSharing sharing) {
  static constexpr const char* kNames[] = {"SHARED", "PRIVATE", "LOCKED"};
  return kNames[static_cast<size_t>(sharing)];
}
const char* name(NetMode mode) {
  static constexpr const char* kNames[] = {"UNSET", "HOST", "NONE"};
  return kNames[static_cast<size_t>(mode)];
}

Json json(const SourceOp& op) {
  Members attrs;
  for (const auto& [key, value] : op.attrs) attrs.put(key, value);
  Members out;
  out.put("identifier", op.identifier);
  if (!op.attrs.empty()) out.put("attrs", attrs.done());
  return out.done();
}

Json json(const ExecMeta& meta) {
  Members out;
  out.texts("args", meta.args).texts("env", meta.env).text("cwd", meta.cwd).text("user", meta.user);
  if (const auto& proxy = meta.proxy_env) {
    out.put("proxy_env", Members()
                             .text("http_proxy", proxy->http_proxy)
                             .text("https_proxy", proxy->https_proxy)
                             .text("ftp_proxy", proxy->ftp_proxy)
                             .text("no_proxy", proxy->no_proxy)
                             .text("all_proxy", proxy->all_proxy)
                             .done());
  }
  out.list("extraHosts", json_list(meta.extra_hosts, [](const HostIp& host) {
             return Members().text("Host", host.host).text("IP", host.ip).done();
           }));
  out.text("hostname", meta.hostname);
  out.list("ulimit", json_list(meta.ulimits, [](const Ulimit& limit) {
             return Members()
                 .text("Name", limit.name)
                 .number("Soft", limit.soft)
                 .number("Hard", limit.hard)
                 .done();
           }));
  out.text("cgroupParent", meta.cgroup_parent);
  out.flag("removeMountStubsRecursive", meta.remove_mount_stubs_recursive);
  out.list("validExitCodes",
           json_list(meta.valid_exit_codes, [](int32_t code) { return Json(code); }));
  return out.done();
}

template <class Opt>
Json file_mount(const Opt& opt) {
  return Members()
      .text("ID", opt.id)
      .number("uid", opt.uid)
      .number("gid", opt.gid)
      .number("mode", opt.mode)
      .flag("optional", opt.optional)
      .done();
}

Json json(const ExecMount& mount) {
  Members out;
  out.put("input", mount.input).text("selector", mount.selector).put("dest", mount.dest);
  out.put("output", mount.output).flag("readonly", mount.read_only);
  if (mount.type != MountType::kBind) out.put("mountType", name(mount.type));
  if (mount.tmpfs_size_bytes != 0) {
    out.put("TmpfsOpt", Members().put("size", mount.tmpfs_size_bytes).done());
  }
  if (mount.cache) {
    out.put(
        "cacheOpt",
        Members().text("ID", mount.cache->id).put("sharing", name(mount.cache->sharing)).done());
  }
  if (mount.secret) out.put("secretOpt", file_mount(*mount.secret));
  if (mount.ssh) out.put("SSHOpt", file_mount(*mount.ssh));
  out.text("resultID", mount.result_id).number("contentCache", mount.content_cache);
  return out.done();
}

Json json(const ExecOp& op) {
  Members out;
  out.put("meta", json(op.meta));
  out.list("mounts", json_list(op.mounts, [](const ExecMount& mount) { return json(mount); }));
  if (op.network != NetMode::kSandbox) out.put("network", name(op.network));
  if (op.security != SecurityMode::kSandbox) out.put("security", "INSECURE");
  out.list("secretenv", json_list(op.secret_env, [](const SecretEnv& secret) {
             return Members()
                 .text("ID", secret.id)
                 .text("name", secret.name)
                 .flag("optional", secret.optional)
                 .done();
           }));
  out.list("cdiDevices", json_list(op.cdi_devices, [](const CdiDevice& device) {
             return Members().text("name", device.name).flag("optional", device.optional).done();
           }));
  return out.done();
}

Json json(const UserRef& who) {
  if (who.id) return Members().put("byID", uint64_t{*who.id}).done();
  return Members()
      .put("byName", Members().put("name", who.name).put("input", who.input).done())
      .done();
}

void put_owner(Members& out, const std::optional<Chown>& owner) {
  if (!owner) return;
  Members chown;
  if (owner->user) chown.put("user", json(*owner->user));
  if (owner->group) chown.put("group", json(*owner->group));
  out.put("owner", chown.done());
}

Json json(const CopyAction& copy) {
  Members out;
  out.put("src", copy.src).put("dest", copy.dest);
  put_owner(out, copy.owner);
  out.put("mode", copy.mode)
      .text("modeStr", copy.mode_str)
      .flag("followSymlink", copy.follow_symlink)
      .flag("dirCopyContents", copy.dir_copy_contents)
      .flag("attemptUnpackDockerCompatibility", copy.attempt_unpack)
      .flag("createDestPath", copy.create_dest_path)
      .flag("allowWildcard", copy.allow_wildcard)
      .flag("allowEmptyWildcard", copy.allow_empty_wildcard)
      .put("timestamp", copy.timestamp)
      .texts("include_patterns", copy.include_patterns)
      .texts("exclude_patterns", copy.exclude_patterns)
      .texts("required_paths", copy.required_paths)
      .flag("alwaysReplaceExistingDestPaths", copy.always_replace_existing_dest_paths);
  return Members().put("copy", out.done()).done();
}

Json json(const MkFileAction& file) {
  Members out;
  out.put("path", file.path).put("mode", file.mode).text("data", file.data);
  put_owner(out, file.owner);
  return Members().put("mkfile", out.put("timestamp", file.timestamp).done()).done();
}

Json json(const MkDirAction& dir) {
  Members out;
  out.put("path", dir.path).put("mode", dir.mode).flag("makeParents", dir.make_parents);
  put_owner(out, dir.owner);
  return Members().put("mkdir", out.put("timestamp", dir.timestamp).done()).done();
}

Json json(const RmAction& rm) {
  Members out;
  out.put("path", rm.path)
      .flag("allowNotFound", rm.allow_not_found)
      .flag("allowWildcard", rm.allow_wildcard);
  return Members().put("rm", out.done()).done();
}

Json json(const SymlinkAction& link) {
  Members out;
  out.put("oldpath", link.oldpath).put("newpath", link.newpath);
  put_owner(out, link.owner);
  return Members().put("symlink", out.put("timestamp", link.timestamp).done()).done();
}

Json json(const FileOp& op) {
  const auto action_json = [](const FileAction& action) {
    return Members()
        .put("input", action.input)
        .put("secondaryInput", action.secondary_input)
        .put("output", action.output)
        .put("Action", std::visit([](const auto& kind) { return json(kind); }, action.action))
        .done();
  };
  return Members().list("actions", json_list(op.actions, action_json)).done();
}

Json input_json(int index) {
  return Members().put("input", index).done();
}

Json json(const MergeOp& op) {
  return Members().list("inputs", json_list(op.inputs, input_json)).done();
}

Json json(const DiffOp& op) {
  return Members().put("lower", input_json(op.lower)).put("upper", input_json(op.upper)).done();
}

}  // namespace

Json op_json(const Op& op) {
  return Members()
      .put(kind_name(op), std::visit([](const auto& kind) { return json(kind); }, op))
      .done();
}

}  // namespace kiln::llb
