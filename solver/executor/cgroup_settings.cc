#include "solver/executor/cgroup_settings.h"

#include <algorithm>

namespace kiln {
namespace {

using Need = CgroupSetting::Need;
constexpr uint64_t kDefaultPeriodUs = 100000;

std::string number_or(int64_t value, const char* unlimited) {
  return value < 0 ? unlimited : std::to_string(value);
}

void add_pids(std::vector<CgroupSetting>& out, int64_t limit) {
  if (limit > 0)
    out.push_back({Controller::kPids, "pids.max", std::to_string(limit), Need::kDefault});
}

void add_cpuset(std::vector<CgroupSetting>& out, const llb::Resources& limits) {
  if (!limits.cpuset_cpus.empty())
    out.push_back({Controller::kCpuset, "cpuset.cpus", limits.cpuset_cpus, Need::kAsked});
  if (!limits.cpuset_mems.empty())
    out.push_back({Controller::kCpuset, "cpuset.mems", limits.cpuset_mems, Need::kAsked});
}

// As Docker: memory and swap together may be twice the memory if nothing is said.
int64_t memory_and_swap(const llb::Resources& limits) {
  return limits.memory_swap_bytes != 0 ? limits.memory_swap_bytes : 2 * limits.memory_bytes;
}
// Kernels without swap accounting lack the file: only an error if swap was asked for.
Need swap_need(const llb::Resources& limits) {
  return limits.memory_swap_bytes != 0 ? Need::kAsked : Need::kDefault;
}

// cpu.shares 2…262144 onto cpu.weight 1…10000, as runtimes convert.
uint64_t weight_of(uint64_t shares) {
  const uint64_t clamped = std::clamp<uint64_t>(shares, 2, 262144);
  return 1 + ((clamped - 2) * 9999) / 262142;
}

}  // namespace

std::vector<CgroupSetting> cgroup_v1_settings(const llb::Resources& limits, int64_t pids_limit) {
  std::vector<CgroupSetting> out;
  add_pids(out, pids_limit);
  if (limits.memory_bytes != 0) {
    out.push_back({Controller::kMemory, "memory.limit_in_bytes",
                   number_or(limits.memory_bytes, "-1"), Need::kAsked});
    out.push_back({Controller::kMemory, "memory.memsw.limit_in_bytes",
                   number_or(memory_and_swap(limits), "-1"), swap_need(limits)});
  }
  if (limits.cpu_shares != 0)
    out.push_back(
        {Controller::kCpu, "cpu.shares", std::to_string(limits.cpu_shares), Need::kAsked});
  if (limits.cpu_period_us != 0)
    out.push_back({Controller::kCpu, "cpu.cfs_period_us", std::to_string(limits.cpu_period_us),
                   Need::kAsked});
  if (limits.cpu_quota_us != 0)
    out.push_back(
        {Controller::kCpu, "cpu.cfs_quota_us", number_or(limits.cpu_quota_us, "-1"), Need::kAsked});
  add_cpuset(out, limits);
  return out;
}

std::vector<CgroupSetting> cgroup_v2_settings(const llb::Resources& limits, int64_t pids_limit) {
  std::vector<CgroupSetting> out;
  add_pids(out, pids_limit);
  if (limits.memory_bytes != 0) {
    out.push_back(
        {Controller::kMemory, "memory.max", number_or(limits.memory_bytes, "max"), Need::kAsked});
    const int64_t both = memory_and_swap(limits);
    const int64_t swap = both < 0 ? -1 : std::max<int64_t>(0, both - limits.memory_bytes);
    out.push_back(
        {Controller::kMemory, "memory.swap.max", number_or(swap, "max"), swap_need(limits)});
  }
  if (limits.cpu_shares != 0)
    out.push_back({Controller::kCpu, "cpu.weight", std::to_string(weight_of(limits.cpu_shares)),
                   Need::kAsked});
  if (limits.cpu_quota_us != 0 || limits.cpu_period_us != 0) {
    const int64_t quota = limits.cpu_quota_us == 0 ? -1 : limits.cpu_quota_us;
    const uint64_t period = limits.cpu_period_us == 0 ? kDefaultPeriodUs : limits.cpu_period_us;
    out.push_back({Controller::kCpu, "cpu.max",
                   number_or(quota, "max") + " " + std::to_string(period), Need::kAsked});
  }
  add_cpuset(out, limits);
  return out;
}

}  // namespace kiln
