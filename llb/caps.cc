#include "llb/caps.h"

#include <string_view>
#include <utility>

namespace kiln::llb {
namespace {

using Caps = std::set<std::string>;
struct AttrCap {
  std::string_view attr, cap;
};

constexpr AttrCap kImageAttrs[] = {{"image.layerlimit", "source.image.layerlimit"},
                                   {"image.checksum", "source.image.checksum"}};
constexpr AttrCap kLocalAttrs[] = {{"local.session", "source.local.sessionid"},
                                   {"local.unique", "source.local.unique"},
                                   {"local.includepattern", "source.local.includepatterns"},
                                   {"local.followpaths", "source.local.followpaths"},
                                   {"local.excludepatterns", "source.local.excludepatterns"},
                                   {"local.sharedkeyhint", "source.local.sharedkeyhint"},
                                   {"local.metadatatransfer", "source.local.metadatatransfer"}};
constexpr AttrCap kGitAttrs[] = {{"git.keepgitdir", "source.git.keepgitdir"},
                                 {"git.fullurl", "source.git.fullurl"},
                                 {"git.knownsshhosts", "source.git.knownsshhosts"},
                                 {"git.mountsshsock", "source.git.mountsshsock"},
                                 {"git.checksum", "source.git.checksum"},
                                 {"git.skipsubmodules", "source.git.skipsubmodules"},
                                 {"git.mtime", "source.git.mtime"},
                                 {"git.fetchbycommit", "source.git.fetchbycommit"}};
// "soruce" is BuildKit's spelling.
constexpr AttrCap kHttpAttrs[] = {{"http.checksum", "source.http.checksum"},
                                  {"http.perm", "source.http.perm"},
                                  {"http.uid", "soruce.http.uidgid"},
                                  {"http.gid", "soruce.http.uidgid"},
                                  {"http.authheadersecret", "source.http.auth"}};

template <size_t N>
void add_attrs(Caps& caps, const SourceOp& op, const AttrCap (&table)[N]) {
  for (const AttrCap& row : table) {
    if (op.attrs.contains(std::string(row.attr))) caps.emplace(row.cap);
  }
}

void add(Caps& caps, const SourceOp& op) {
  const std::string_view id = op.identifier;
  if (id.starts_with("docker-image://")) {
    caps.insert("source.image");
    add_attrs(caps, op, kImageAttrs);
    auto mode = op.attrs.find("image.resolvemode");
    if (mode != op.attrs.end() && mode->second == "pull") caps.insert("source.image.resolvemode");
  } else if (id.starts_with("oci-layout://")) {
    caps.insert("source.ocilayout");
  } else if (id.starts_with("local://")) {
    caps.insert("source.local");
    add_attrs(caps, op, kLocalAttrs);
  } else if (id.starts_with("git://")) {
    caps.insert("source.git");
    add_attrs(caps, op, kGitAttrs);
  } else if (id.starts_with("http://") || id.starts_with("https://")) {
    caps.insert("source.http");
    add_attrs(caps, op, kHttpAttrs);
  }
}

void add(Caps& caps, const ExecMount& mount) {
  if (!mount.selector.empty()) caps.insert("exec.mount.selector");
  if (mount.content_cache != 0) caps.insert("exec.mount.cache.content");
  switch (mount.type) {
    case MountType::kCache:
      caps.insert("exec.mount.cache");
      caps.insert("exec.mount.cache.sharing");
      break;
    case MountType::kTmpfs:
      caps.insert("exec.mount.tmpfs");
      if (mount.tmpfs_size_bytes > 0) caps.insert("exec.mount.tmpfs.size");
      break;
    case MountType::kSecret:
      caps.insert("exec.mount.secret");
      break;
    case MountType::kSsh:
      caps.insert("exec.mount.ssh");
      break;
    case MountType::kBind:
      if (mount.input != kNoIndex) caps.insert("exec.mount.bind");
      break;
  }
}

void add(Caps& caps, const ExecOp& op) {
  caps.insert("exec.meta.base");
  if (op.meta.proxy_env) caps.insert("exec.meta.proxyenv");
  if (!op.meta.ulimits.empty()) caps.insert("exec.meta.ulimit");
  if (!op.meta.cgroup_parent.empty()) caps.insert("exec.meta.cgroup.parent");
  if (!op.meta.valid_exit_codes.empty()) caps.insert("exec.validexitcode");
  if (op.network != NetMode::kSandbox) caps.insert("exec.meta.network");
  if (op.security != SecurityMode::kSandbox) caps.insert("exec.meta.security");
  if (!op.cdi_devices.empty()) caps.insert("exec.meta.cdi");
  if (!op.secret_env.empty()) {
    caps.insert("exec.mount.secret");
    caps.insert("exec.secretenv");
  }
  for (const ExecMount& mount : op.mounts) add(caps, mount);
}

void add(Caps& caps, const FileOp& op) {
  caps.insert("file.base");
  for (const FileAction& action : op.actions) {
    if (const auto* copy = std::get_if<CopyAction>(&action.action)) {
      if (!copy->include_patterns.empty() || !copy->exclude_patterns.empty()) {
        caps.insert("file.copy.includeexcludepatterns");
      }
      if (!copy->required_paths.empty()) caps.insert("file.copy.requiredpaths");
      if (!copy->mode_str.empty()) caps.insert("file.copy.modestring");
      if (copy->always_replace_existing_dest_paths) {
        caps.insert("file.copy.alwaysreplaceexistingdestpaths");
      }
    } else if (const auto* rm = std::get_if<RmAction>(&action.action)) {
      if (rm->allow_wildcard) caps.insert("file.rm.wildcard");
    } else if (std::holds_alternative<SymlinkAction>(action.action)) {
      caps.insert("file.symlink.create");
    }
  }
}

void add(Caps& caps, const MergeOp&) {
  caps.insert("mergeop");
}
void add(Caps& caps, const DiffOp&) {
  caps.insert("diffop");
}

}  // namespace

std::set<std::string> capabilities(const Op& op, const Meta& meta) {
  Caps caps;
  std::visit([&caps](const auto& kind) { add(caps, kind); }, op);
  const bool limits = meta.resources && *meta.resources != Resources{};
  if (limits && std::holds_alternative<ExecOp>(op)) caps.insert("exec.meta.linux.resources");
  return caps;
}

}  // namespace kiln::llb
