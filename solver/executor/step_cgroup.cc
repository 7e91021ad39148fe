#include "solver/executor/step_cgroup.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/fs.h"
#include "base/strings.h"
#include "solver/executor/cgroup_devices.h"

namespace kiln {
namespace {

constexpr uint64_t kMaxCgroupFileBytes = 64U << 10U;
constexpr int kRemoveAttempts = 200;
constexpr int kRemovePauseMs = 5;
// Version 2 allows no processes in a group whose controllers are passed on, so steps cannot live
// below kiln's own group: they get this parent in the mount's root.
constexpr const char* kV2Parent = "/kiln";

Status write_value(const std::string& path, const std::string& value) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return fail_errno("open", path);
  if (::write(file.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
    return fail_errno("write \"" + value + "\" to", path);
  return {};
}

Status make_group(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST)
    return fail_errno("make cgroup", directory);
  return {};
}

// A fresh cpuset group of version 1 is empty, and nothing can join it.
Status inherit_cpuset(const std::string& parent, const std::string& group) {
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
    KILN_TRY_ASSIGN(const std::string value, read_file(parent + file, kMaxCgroupFileBytes));
    KILN_TRY(write_value(group + file, std::string(trim(value))));
  }
  return {};
}

// Passing controllers on may be refused one by one (another owner, threads in the way): what is
// missing shows when a limit is set.
void pass_controllers_on(const std::string& group) {
  for (const char* controller : {"+pids", "+memory", "+cpu", "+cpuset"})
    (void)write_value(group + "/cgroup.subtree_control", controller);
}

uint64_t read_number(const std::string& path) {
  const auto text = read_file(path, kMaxCgroupFileBytes);
  if (!text) return 0;
  const auto number = parse_int(trim(*text));
  return number && *number > 0 ? static_cast<uint64_t>(*number) : 0;
}

// "oom_kill 2" in a file of such lines.
uint64_t read_count(const std::string& path, std::string_view key) {
  const auto text = read_file(path, kMaxCgroupFileBytes);
  if (!text) return 0;
  for (const std::string& line : split(*text, '\n')) {
    const std::vector<std::string> fields = split(line, ' ');
    if (fields.size() == 2 && fields[0] == key)
      return static_cast<uint64_t>(parse_int(fields[1]).value_or(0));
  }
  return 0;
}

Error cannot_limit(const CgroupSetting& setting, const Error& cause) {
  return Error(Code::kFailedPrecondition, "cannot limit " +
                                              std::string(to_string(setting.controller)) +
                                              " of a step: " + cause.message())
      .hint("this machine does not offer the cgroup controller to kiln; build without that limit");
}

Status remove_group(const std::string& directory) {
  for (int attempt = 0; attempt < kRemoveAttempts; ++attempt) {
    if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) return {};
    if (errno != EBUSY) return fail_errno("remove cgroup", directory);
    // Version 2 from Linux 5.14; elsewhere the end of the pid namespace has killed everybody.
    (void)write_value(directory + "/cgroup.kill", "1");
    (void)::poll(nullptr, 0, kRemovePauseMs);
  }
  return fail(Code::kUnavailable, "cgroup \"" + directory + "\" stays busy");
}

}  // namespace

StepCgroup& StepCgroup::operator=(StepCgroup&& other) noexcept {
  if (this != &other) {
    (void)remove();
    directories_ = std::move(other.directories_);
    join_files_ = std::move(other.join_files_);
    memory_directory_ = std::move(other.memory_directory_);
    runtime_path_ = std::move(other.runtime_path_);
    devices_ = other.devices_;
    other.directories_.clear();
  }
  return *this;
}

StepCgroup::~StepCgroup() {
  (void)remove();
}

Result<std::string> StepCgroup::directory_for(Controller controller,
                                              const CgroupHierarchies& hierarchies,
                                              const std::string& name) {
  const auto v1 = hierarchies.v1.find(controller);
  const bool is_v1 = v1 != hierarchies.v1.end();
  if (!is_v1 && !hierarchies.v2)
    return fail(Code::kNotFound,
                "cgroup controller " + std::string(to_string(controller)) + " is not mounted");
  const std::string parent = is_v1 ? v1->second.own_group : hierarchies.v2->mount_point + kV2Parent;
  std::string directory = parent + "/" + name;
  if (std::find(directories_.begin(), directories_.end(), directory) != directories_.end())
    return directory;
  if (!is_v1) {
    KILN_TRY(make_group(parent));
    pass_controllers_on(hierarchies.v2->mount_point);
    pass_controllers_on(parent);
  }
  KILN_TRY(make_group(directory));
  directories_.push_back(directory);
  if (controller == Controller::kCpuset && is_v1) KILN_TRY(inherit_cpuset(parent, directory));
  // "tasks" moves the one thread that the starting process has. "cgroup.procs" would move all
  // threads of a process and for that waits for an RCU grace period: 2 ms a group.
  join_files_.push_back(directory + (is_v1 ? "/tasks" : "/cgroup.procs"));
  return directory;
}

Status StepCgroup::apply(const std::vector<CgroupSetting>& settings,
                         const CgroupHierarchies& hierarchies, const std::string& name) {
  for (const CgroupSetting& setting : settings) {
    const bool asked = setting.need == CgroupSetting::Need::kAsked;
    const auto directory = directory_for(setting.controller, hierarchies, name);
    if (!directory) {
      if (asked) return tl::unexpected(cannot_limit(setting, directory.error()));
      continue;  // a read-only cgroup file system is no reason not to build
    }
    if (setting.controller == Controller::kMemory) memory_directory_ = *directory;
    const Status written = write_value(*directory + "/" + setting.file, setting.value);
    if (!written && asked) return tl::unexpected(cannot_limit(setting, written.error()));
  }
  return {};
}

void StepCgroup::confine_devices(const CgroupHierarchies& hierarchies, const std::string& name,
                                 std::span<const DeviceRule> allowed) {
  const auto directory = directory_for(Controller::kDevices, hierarchies, name);
  if (!directory) return;
  const bool is_v1 = hierarchies.v1.contains(Controller::kDevices);
  const Status confined =
      is_v1 ? confine_devices_v1(*directory, allowed) : confine_devices_v2(*directory, allowed);
  if (confined) devices_ = DeviceAccess::kConfined;
}

Result<StepCgroup> StepCgroup::create(const CgroupHierarchies& hierarchies, const std::string& name,
                                      const Limits& limits) {
  std::vector<CgroupSetting> settings;
  for (CgroupSetting& setting : cgroup_v1_settings(limits.resources, limits.pids))
    if (hierarchies.v1.contains(setting.controller)) settings.push_back(std::move(setting));
  for (CgroupSetting& setting : cgroup_v2_settings(limits.resources, limits.pids))
    if (!hierarchies.v1.contains(setting.controller)) settings.push_back(std::move(setting));
  StepCgroup group;
  KILN_TRY(group.apply(settings, hierarchies, name));
  if (limits.devices == DeviceAccess::kConfined)
    group.confine_devices(hierarchies, name, limits.allowed_devices);
  return group;
}

StepCgroup StepCgroup::left_to_runtime(const CgroupHierarchies& hierarchies,
                                       const std::string& name) {
  StepCgroup group;
  group.runtime_path_ = "/" + name;
  group.devices_ = DeviceAccess::kConfined;  // by "linux.resources.devices"
  for (const std::string& mount_point : hierarchies.v1_mount_points)
    group.directories_.push_back(mount_point + group.runtime_path_);
  if (hierarchies.v2)
    group.directories_.push_back(hierarchies.v2->mount_point + group.runtime_path_);
  const auto memory = hierarchies.v1.find(Controller::kMemory);
  if (memory != hierarchies.v1.end())
    group.memory_directory_ = memory->second.mount_point + group.runtime_path_;
  else if (hierarchies.v2)
    group.memory_directory_ = hierarchies.v2->mount_point + group.runtime_path_;
  return group;
}

bool StepCgroup::oom_killed() const {
  if (memory_directory_.empty()) return false;
  return read_count(memory_directory_ + "/memory.events", "oom_kill") != 0 ||
         read_count(memory_directory_ + "/memory.oom_control", "oom_kill") != 0;
}

uint64_t StepCgroup::peak_memory_bytes() const {
  if (memory_directory_.empty()) return 0;
  return std::max(read_number(memory_directory_ + "/memory.peak"),
                  read_number(memory_directory_ + "/memory.max_usage_in_bytes"));
}

Status StepCgroup::remove() {
  Status first;
  for (const std::string& directory : directories_) {
    const Status removed = remove_group(directory);
    if (first && !removed) first = removed;
  }
  directories_.clear();
  join_files_.clear();
  memory_directory_.clear();
  return first;
}

void sweep_cgroups(const CgroupHierarchies& hierarchies, const std::string& prefix) {
  std::vector<std::string> parents;
  parents = hierarchies.v1_mount_points;
  for (const auto& [controller, hierarchy] : hierarchies.v1) parents.push_back(hierarchy.own_group);
  if (hierarchies.v2) {
    parents.push_back(hierarchies.v2->mount_point);
    parents.push_back(hierarchies.v2->mount_point + kV2Parent);
  }
  for (const std::string& parent : parents) {
    const Fd directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid()) continue;
    const auto entries = list_dir(directory.get());
    if (!entries) continue;
    for (const DirEntry& entry : *entries)
      if (entry.name.starts_with(prefix))
        (void)::unlinkat(directory.get(), entry.name.c_str(), AT_REMOVEDIR);
  }
}

}  // namespace kiln
