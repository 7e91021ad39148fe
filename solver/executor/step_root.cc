#include "solver/executor/step_root.h"

#include <sys/stat.h>

#include <algorithm>

#include "solver/executor/rootfs_check.h"

namespace kiln {
namespace {

MountStubs::Kind kind_of(const SandboxMount& mount) {
  struct stat st {};
  const bool is_directory =
      mount.tmpfs || ::stat(mount.source.c_str(), &st) != 0 || S_ISDIR(st.st_mode);
  return is_directory ? MountStubs::Kind::kDirectory : MountStubs::Kind::kFile;
}

bool lies_in(const std::string& target, const std::vector<std::string>& mounted) {
  const auto path = RelPath::rooted(target);
  return path && std::any_of(mounted.begin(), mounted.end(), [&](const std::string& mount) {
           const auto ancestor = RelPath::rooted(mount);
           return ancestor && path->is_within(*ancestor);
         });
}

}  // namespace

Result<StepRoot> StepRoot::prepare(const ExecRequest& request, SpecInput& spec) {
  KILN_TRY_ASSIGN(Root opened, Root::open(request.rootfs));
  auto root = std::make_unique<Root>(std::move(opened));
  KILN_TRY(check_system_directories(*root));
  KILN_TRY_ASSIGN(spec.user, resolve_user(*root, request.meta.user));
  auto stubs = std::make_unique<MountStubs>(*root);
  StepRoot step(std::move(root), std::move(stubs));
  KILN_TRY(step.add_mount_points(request, spec));
  std::vector<std::string> targets;
  for (const SandboxMount& mount : spec.mounts) targets.push_back(mount.target);
  KILN_TRY_ASSIGN(spec.cwd,
                  prepare_working_directory(*step.root_, request.meta.cwd, spec.user, targets));
  return step;
}

Status StepRoot::add_mount_points(const ExecRequest& request, SpecInput& spec) {
  using Kind = MountStubs::Kind;
  using Parents = MountStubs::Parents;
  std::vector<std::string> mounted;
  for (const std::string& target : system_mount_targets()) {
    KILN_TRY_ASSIGN(std::string made, stubs_->add(target, Kind::kDirectory, Parents::kRemove));
    mounted.push_back(std::move(made));
  }
  for (std::string* target : {&spec.resolv_conf_target, &spec.hosts_target}) {
    KILN_TRY_ASSIGN(*target, stubs_->add(*target, Kind::kFile, Parents::kRemove));
    mounted.push_back(*target);
  }
  const Parents parents =
      request.meta.remove_mount_stubs_recursive ? Parents::kRemove : Parents::kKeep;
  std::vector<SandboxMount> mounts = request.mounts;
  for (const BoundPath& bound : request.devices.mounts)
    mounts.push_back({bound.source, bound.target, bound.read_only, false, 0, bound.options});
  for (const SandboxMount& mount : mounts) {
    KILN_TRY_ASSIGN(const RelPath wanted, RelPath::rooted(mount.target));
    KILN_TRY_ASSIGN(const RelPath path, root_->resolve(wanted, FollowLast::kYes));
    if (path.is_root()) return fail(Code::kInvalidArgument, "cannot mount over \"/\" of a step");
    SandboxMount resolved = mount;
    resolved.target = path.absolute();
    // Inside another mount the runtime makes the mount point, in that mount.
    if (!lies_in(resolved.target, mounted)) {
      KILN_TRY_ASSIGN(resolved.target, stubs_->add(mount.target, kind_of(mount), parents));
    }
    mounted.push_back(resolved.target);
    spec.mounts.push_back(std::move(resolved));
  }
  return {};
}

}  // namespace kiln
