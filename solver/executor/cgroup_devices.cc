#include "solver/executor/cgroup_devices.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace kiln {
namespace {

struct Device {
  int major, minor;  // minor -1: all
};
constexpr std::array<Device, 8> kAllowed = {
    {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 2}, {136, -1}}};

// A write is a rule.
Status write_rules(const std::string& path, const std::vector<std::string>& rules) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return fail_errno("open", path);
  for (const std::string& rule : rules)
    if (::write(file.get(), rule.data(), rule.size()) != static_cast<ssize_t>(rule.size()))
      return fail_errno("write \"" + rule + "\" to", path);
  return {};
}

// eBPF by hand: a loader library would be a lot of code for twenty instructions.
bpf_insn instruction(int code, int destination, int source, int offset, int value) {
  bpf_insn out{};
  out.code = static_cast<uint8_t>(code);
  out.dst_reg = static_cast<uint8_t>(destination) & 0xfU;
  out.src_reg = static_cast<uint8_t>(source) & 0xfU;
  out.off = static_cast<int16_t>(offset);
  out.imm = value;
  return out;
}
bpf_insn load_word(int destination, int source, size_t offset) {
  return instruction(BPF_LDX | BPF_MEM | BPF_W, destination, source, static_cast<int>(offset), 0);
}
bpf_insn skip_unless_equal(int reg, int value, int skipped) {
  return instruction(BPF_JMP | BPF_JNE | BPF_K, reg, 0, skipped, value);
}
bpf_insn skip_if_equal(int reg, int value, int skipped) {
  return instruction(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, skipped, value);
}
void append_return(std::vector<bpf_insn>& program, int verdict) {
  program.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, verdict));
  program.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

bpf_insn skip_if_any_bit(int reg, int bits, int skipped) {
  return instruction(BPF_JMP | BPF_JSET | BPF_K, reg, 0, skipped, bits);
}

int access_bits(const std::string& access) {
  int bits = BPF_DEVCG_ACC_MKNOD;  // nodes may be made in any case
  if (access.find('r') != std::string::npos) bits |= BPF_DEVCG_ACC_READ;
  if (access.find('w') != std::string::npos) bits |= BPF_DEVCG_ACC_WRITE;
  return bits;
}

// Allows it if type and numbers are equal and no other access is asked for.
void append_rule(std::vector<bpf_insn>& program, const DeviceRule& rule) {
  constexpr int kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
  program.push_back(
      skip_unless_equal(2, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, 5));
  program.push_back(skip_unless_equal(4, static_cast<int>(rule.major), 4));
  program.push_back(skip_unless_equal(5, static_cast<int>(rule.minor), 3));
  program.push_back(skip_if_any_bit(3, kAllAccess & ~access_bits(rule.access), 2));
  append_return(program, 1);
}

// r1: struct bpf_cgroup_dev_ctx. r2: type, r3: access, r4: major, r5: minor. Verdict 1 allows.
std::vector<bpf_insn> device_program(std::span<const DeviceRule> allowed) {
  constexpr int kAllow = 1, kRefuse = 0, kReturnLength = 2;
  std::vector<bpf_insn> program = {
      load_word(2, 1, offsetof(bpf_cgroup_dev_ctx, access_type)),
      instruction(BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0),
      instruction(BPF_ALU64 | BPF_RSH | BPF_K, 3, 0, 0, 16),
      instruction(BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 0xffff),
      load_word(4, 1, offsetof(bpf_cgroup_dev_ctx, major)),
      load_word(5, 1, offsetof(bpf_cgroup_dev_ctx, minor)),
      skip_unless_equal(3, BPF_DEVCG_ACC_MKNOD, kReturnLength),
  };
  append_return(program, kAllow);
  for (const DeviceRule& rule : allowed) append_rule(program, rule);
  program.push_back(skip_if_equal(2, BPF_DEVCG_DEV_CHAR, kReturnLength));
  append_return(program, kRefuse);
  for (const Device& device : kAllowed) {
    const bool all_minors = device.minor < 0;
    program.push_back(
        skip_unless_equal(4, device.major, all_minors ? kReturnLength : kReturnLength + 1));
    if (!all_minors) program.push_back(skip_unless_equal(5, device.minor, kReturnLength));
    append_return(program, kAllow);
  }
  append_return(program, kRefuse);
  return program;
}

int bpf(int command, bpf_attr& attributes) {
  return static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof(attributes)));
}

Result<Fd> load(const std::vector<bpf_insn>& program) {
  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = reinterpret_cast<uintptr_t>(program.data());
  attributes.insn_cnt = static_cast<uint32_t>(program.size());
  attributes.license = reinterpret_cast<uintptr_t>(kLicense);
  Fd loaded(bpf(BPF_PROG_LOAD, attributes));
  if (!loaded.valid()) return fail_errno("load eBPF program for", "devices");
  return loaded;
}

}  // namespace

Status confine_devices_v1(const std::string& group, std::span<const DeviceRule> allowed) {
  KILN_TRY(write_rules(group + "/devices.deny", {"a"}));
  std::vector<std::string> rules = {"c *:* m", "b *:* m"};
  for (const Device& device : kAllowed) {
    const std::string minor = device.minor < 0 ? "*" : std::to_string(device.minor);
    rules.push_back("c " + std::to_string(device.major) + ":" + minor + " rwm");
  }
  for (const DeviceRule& rule : allowed)
    rules.push_back(std::string(1, rule.type) + " " + std::to_string(rule.major) + ":" +
                    std::to_string(rule.minor) + " " + rule.access);
  return write_rules(group + "/devices.allow", rules);
}

Status confine_devices_v2(const std::string& group, std::span<const DeviceRule> allowed) {
  const Fd directory(::open(group.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return fail_errno("open", group);
  KILN_TRY_ASSIGN(const Fd program, load(device_program(allowed)));
  bpf_attr attributes{};
  attributes.target_fd = static_cast<uint32_t>(directory.get());
  attributes.attach_bpf_fd = static_cast<uint32_t>(program.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;  // beside what the parent group has
  if (bpf(BPF_PROG_ATTACH, attributes) != 0) return fail_errno("attach eBPF program to", group);
  return {};
}

}  // namespace kiln
