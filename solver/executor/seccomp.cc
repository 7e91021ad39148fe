#include "solver/executor/seccomp.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/io.h"
#include "base/platform.h"
#include "solver/executor/seccomp_rules.h"

#include <seccomp.h>

namespace kiln {
namespace {

constexpr uint64_t kMaxFilterBytes = 1U << 20U;

struct FilterCloser {
  void operator()(void* filter) const { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FilterCloser>;

std::vector<std::string> architectures(std::string_view architecture) {
  if (architecture == "amd64") return {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
  if (architecture == "arm64") return {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
  if (architecture == "ppc64le") return {"SCMP_ARCH_PPC64LE"};
  if (architecture == "s390x") return {"SCMP_ARCH_S390X", "SCMP_ARCH_S390"};
  if (architecture == "riscv64") return {"SCMP_ARCH_RISCV64"};
  if (architecture == "386") return {"SCMP_ARCH_X86"};
  if (architecture == "arm") return {"SCMP_ARCH_ARM"};
  return {};
}

const char* operator_name(SeccompOp op) {
  switch (op) {
    case SeccompOp::kEqual:
      return "SCMP_CMP_EQ";
    case SeccompOp::kLess:
      return "SCMP_CMP_LT";
    case SeccompOp::kGreater:
      return "SCMP_CMP_GT";
    case SeccompOp::kMaskedEqual:
      return "SCMP_CMP_MASKED_EQ";
  }
  return "";
}

scmp_compare operator_of(SeccompOp op) {
  switch (op) {
    case SeccompOp::kEqual:
      return SCMP_CMP_EQ;
    case SeccompOp::kLess:
      return SCMP_CMP_LT;
    case SeccompOp::kGreater:
      return SCMP_CMP_GT;
    case SeccompOp::kMaskedEqual:
      return SCMP_CMP_MASKED_EQ;
  }
  return SCMP_CMP_EQ;
}

Json to_json(const SeccompRule& rule) {
  Json out = Json::object();
  Json names = Json::array();
  for (const std::string_view name : rule.names) names.push_back(name);
  out.set("names", std::move(names));
  if (rule.verdict == SeccompVerdict::kAllow) {
    out.set("action", "SCMP_ACT_ALLOW");
  } else {
    out.set("action", "SCMP_ACT_ERRNO");
    out.set("errnoRet", EPERM);
  }
  Json arguments = Json::array();
  for (const SeccompArgument& argument : rule.arguments)
    arguments.push_back(Json::object({{"index", static_cast<int>(argument.index)},
                                      {"value", argument.value},
                                      {"valueTwo", argument.value_two},
                                      {"op", operator_name(argument.op)}}));
  if (!rule.arguments.empty()) out.set("args", std::move(arguments));
  return out;
}

Status add_rule(void* filter, const SeccompRule& rule) {
  const uint32_t action =
      rule.verdict == SeccompVerdict::kAllow ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM);
  std::vector<scmp_arg_cmp> arguments;
  for (const SeccompArgument& argument : rule.arguments)
    arguments.push_back(
        {argument.index, operator_of(argument.op), argument.value, argument.value_two});
  for (const std::string_view name : rule.names) {
    const int number = ::seccomp_syscall_resolve_name(std::string(name).c_str());
    if (number == __NR_SCMP_ERROR) continue;  // newer than libseccomp: answers ENOSYS
    const int result = ::seccomp_rule_add_array(
        filter, action, number, static_cast<unsigned>(arguments.size()), arguments.data());
    if (result != 0)
      return tl::unexpected(Error::from_errno(-result, "add seccomp rule for", name));
  }
  return {};
}

Status add_architectures(void* filter, std::string_view architecture) {
  for (const std::string& name : architectures(architecture)) {
    // libseccomp's own spelling: "SCMP_ARCH_X86_64" is "x86_64" there.
    std::string spelled = name.substr(std::string_view("SCMP_ARCH_").size());
    for (char& c : spelled) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const int result = ::seccomp_arch_add(filter, ::seccomp_arch_resolve_name(spelled.c_str()));
    if (result != 0 && result != -EEXIST)
      return tl::unexpected(Error::from_errno(-result, "add seccomp architecture", spelled));
  }
  return {};
}

Result<std::string> export_filter(void* filter) {
  Fd file(::memfd_create("kiln-seccomp", MFD_CLOEXEC));
  if (!file.valid()) return fail_errno("create memory file", "seccomp");
  if (const int result = ::seccomp_export_bpf(filter, file.get()); result != 0)
    return tl::unexpected(Error::from_errno(-result, "export", "seccomp filter"));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail_errno("rewind", "seccomp filter");
  FdSource source(std::move(file), "seccomp filter");
  return read_all(source, kMaxFilterBytes, "seccomp filter");
}

}  // namespace

Json seccomp_spec(std::string_view architecture) {
  Json syscalls = Json::array();
  for (const SeccompRule& rule : default_seccomp_rules(architecture))
    syscalls.push_back(to_json(rule));
  return Json::object({{"defaultAction", "SCMP_ACT_ERRNO"},
                       {"defaultErrnoRet", ENOSYS},
                       {"architectures", Json::array_of(architectures(architecture))},
                       {"syscalls", std::move(syscalls)}});
}

Result<std::string> compile_seccomp() {
  const std::string architecture = Platform::host().architecture;
  if (architectures(architecture).empty())
    return fail(Code::kUnimplemented, "no seccomp filter for architecture " + architecture);
  const Filter filter(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
  if (!filter) return fail(Code::kInternal, "libseccomp cannot make a filter");
  // A search tree instead of a list: log2(330) comparisons a call on kernels without the cache of
  // constant verdicts (before 5.11). An old libseccomp refuses the option, and that is no loss.
  (void)::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  KILN_TRY(add_architectures(filter.get(), architecture));
  for (const SeccompRule& rule : default_seccomp_rules(architecture))
    KILN_TRY(add_rule(filter.get(), rule));
  return export_filter(filter.get());
}

}  // namespace kiln
