#include "solver/ops/exec_key.h"

#include <algorithm>

#include "solver/ops/key_parts.h"

namespace kiln {
namespace {

constexpr int kContentCacheOff = 2;  // pb.MountContentCache

void add_text(KeyFields& key, std::string_view name, const std::string& text) {
  if (!text.empty()) key.add(name, text);
}

std::string_view name_of(llb::MountType type) {
  switch (type) {
    case llb::MountType::kBind:
      return "bind";
    case llb::MountType::kSecret:
      return "secret";
    case llb::MountType::kSsh:
      return "ssh";
    case llb::MountType::kCache:
      return "cache";
    case llb::MountType::kTmpfs:
      return "tmpfs";
  }
  return "";
}

template <class Options>
void add_credential(KeyFields& key, const Options& options) {
  key.add("id", options.id);
  key.add("owner", std::to_string(options.uid) + ":" + std::to_string(options.gid));
  key.add("mode", std::to_string(options.mode));
  add_flag(key, "optional", options.optional);
}

/// Not in the key: what a bind mount selects (its content is), a cache's id and sharing, what a
/// secret holds.
void add_mount(KeyFields& key, const llb::ExecMount& mount) {
  key.add("mount", mount.dest);
  key.add("type", name_of(mount.type));
  key.add("input", std::to_string(mount.input));
  key.add("output", std::to_string(mount.output));
  add_flag(key, "read_only", mount.read_only);
  if (mount.tmpfs_size_bytes != 0) key.add("size", std::to_string(mount.tmpfs_size_bytes));
  if (mount.secret) add_credential(key, *mount.secret);
  if (mount.ssh) add_credential(key, *mount.ssh);
}

void add_meta(KeyFields& key, const llb::ExecMeta& meta) {
  add_texts(key, "arg", meta.args);
  add_texts(key, "env", meta.env);
  key.add("cwd", meta.cwd);
  add_text(key, "user", meta.user);
  add_text(key, "hostname", meta.hostname);
  add_text(key, "cgroup_parent", meta.cgroup_parent);
  for (const llb::HostIp& host : meta.extra_hosts) key.add("extra_host", host.host);
  for (const llb::Ulimit& limit : meta.ulimits)
    key.add("ulimit",
            limit.name + "=" + std::to_string(limit.soft) + ":" + std::to_string(limit.hard));
  for (const int32_t code : meta.valid_exit_codes) key.add("valid_exit_code", std::to_string(code));
  add_flag(key, "remove_mount_stubs_recursive", meta.remove_mount_stubs_recursive);
}

}  // namespace

std::vector<ExecInputUse> input_uses(const llb::ExecOp& op, size_t inputs) {
  std::vector<ExecInputUse> uses(inputs);
  for (const llb::ExecMount& mount : op.mounts) {
    if (mount.input < 0 || static_cast<size_t>(mount.input) >= inputs) continue;
    ExecInputUse& use = uses[static_cast<size_t>(mount.input)];
    const bool refuses_content = mount.content_cache == kContentCacheOff;
    if (mount.dest == "/" || mount.output != llb::kNoIndex || refuses_content)
      use.by_definition = true;
    use.selectors.push_back(mount.selector);
  }
  for (ExecInputUse& use : uses) {
    std::sort(use.selectors.begin(), use.selectors.end());
    use.selectors.erase(std::unique(use.selectors.begin(), use.selectors.end()),
                        use.selectors.end());
  }
  return uses;
}

KeyFields exec_key(const llb::ExecOp& op, const Platform& platform,
                   std::span<const std::string> devices) {
  KeyFields key;
  key.add("kind", "exec");
  key.add("platform", platform.to_string());
  add_meta(key, op.meta);
  key.add("network", std::to_string(static_cast<int>(op.network)));
  key.add("security", std::to_string(static_cast<int>(op.security)));
  for (const llb::ExecMount& mount : op.mounts) add_mount(key, mount);
  for (const llb::SecretEnv& secret : op.secret_env) {
    key.add("secret_env", secret.name);
    key.add("id", secret.id);
    add_flag(key, "optional", secret.optional);
  }
  for (const std::string& device : devices) key.add("device", device);
  return key;
}

}  // namespace kiln
