#include "solver/executor/kernel_support.h"

#include <sys/mman.h>
#include <unistd.h>

#include <span>
#include <string>

#include "base/fs.h"
#include "base/platform.h"
#include "base/process.h"

namespace kiln {
namespace {

// ELF header, one segment at 0x10000, and `mov $1,%eax; xor %ebx,%ebx; int $0x80`: exit(0).
constexpr std::string_view kExit386{
    "\x7f"
    "ELF\1\1\1\0\0\0\0\0\0\0\0\0\2\0\3\0\1\0\0\0\x54\0\1\0\x34\0\0\0\0\0\0\0\0\0\0\0\x34\0\x20\0"
    "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\1\0\0\0\1\0\x5d\0\0\0\x5d\0\0\0\5\0\0\0\0\x10\0\0"
    "\xb8\1\0\0\0\x31\xdb\xcd\x80",
    93};

// False only if the kernel says that it does not know the format.
bool runs(std::string_view program) {
  const Fd file(::memfd_create("kiln-probe", MFD_CLOEXEC));
  if (!file.valid() || !write_fully(file.get(), std::as_bytes(std::span(program)), "probe"))
    return true;
  ProcessSpec spec;
  spec.program = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file.get());
  spec.argv = {"probe"};
  Result<Child> child = Child::spawn(spec);
  if (!child) return child.error().code() != Code::kInternal;  // ENOEXEC has no code of its own
  return child->wait().has_value();
}

}  // namespace

bool kernel_runs(std::string_view architecture) {
  const std::string host = Platform::host().architecture;
  if (!runs_natively(architecture, host)) return false;
  if (architecture == host || architecture != "386") return true;
  static const bool kRuns386 = runs(kExit386);
  return kRuns386;
}

}  // namespace kiln
