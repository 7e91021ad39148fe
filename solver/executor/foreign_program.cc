#include "solver/executor/foreign_program.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/platform.h"
#include "base/strings.h"
#include "solver/executor/kernel_support.h"

namespace kiln {
namespace {

constexpr const char* kMounted = "/proc/sys/fs/binfmt_misc";
constexpr size_t kHeadBytes = 256;  // what the kernel looks at
constexpr int kMaxScripts = 4;      // an interpreter may be a script again

struct Machine {
  unsigned number;  // e_machine
  int bits;         // 0: either
  char order;       // 'l', 'b'; 0: either
  const char* architecture;
};
constexpr std::array<Machine, 12> kMachines = {{{3, 32, 'l', "386"},
                                                {62, 64, 'l', "amd64"},
                                                {40, 32, 'l', "arm"},
                                                {183, 64, 'l', "arm64"},
                                                {21, 64, 'l', "ppc64le"},
                                                {21, 64, 'b', "ppc64"},
                                                {22, 64, 'b', "s390x"},
                                                {243, 64, 'l', "riscv64"},
                                                {258, 64, 'l', "loong64"},
                                                {8, 64, 'l', "mips64le"},
                                                {8, 64, 'b', "mips64"},
                                                {8, 32, 'l', "mipsle"}}};

std::optional<std::string> unhex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    const auto digit = [](char c) {
      if (c >= '0' && c <= '9') return c - '0';
      return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    const int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

std::string read_some(int directory, const std::string& name) {
  const Fd fd(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(4096, '\0');
  const ssize_t got = fd.valid() ? ::read(fd.get(), text.data(), text.size()) : 0;
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return text;
}

// A mount that is never attached: it goes with its fd. Invalid with errno ENODEV: this kernel has
// no binfmt_misc at all.
Fd detached_binfmt() {
  const Fd context(::fsopen("binfmt_misc", FSOPEN_CLOEXEC));
  if (!context.valid()) return {};
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return {};
  return Fd(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
}

std::optional<std::vector<BinfmtHandler>> read_handlers(int directory) {
  std::vector<BinfmtHandler> handlers;
  if (!read_some(directory, "status").starts_with("enabled")) return handlers;
  const Result<std::vector<DirEntry>> entries = list_dir(directory);
  if (!entries) return std::nullopt;
  for (const DirEntry& entry : *entries)
    if (auto handler = parse_binfmt(entry.name, read_some(directory, entry.name)))
      handlers.push_back(*std::move(handler));
  return handlers;
}

// The file's first bytes; nullopt if it is no regular file that somebody may execute.
std::optional<std::string> executable_head(const Root& rootfs, const RelPath& path) {
  const Result<std::optional<struct stat>> st = rootfs.stat(path, FollowLast::kYes);
  if (!st || !*st || !S_ISREG((*st)->st_mode) || ((*st)->st_mode & 0111U) == 0) return std::nullopt;
  const Result<Fd> fd = rootfs.open(path, O_RDONLY | O_NONBLOCK);
  if (!fd) return std::nullopt;
  std::string head(kHeadBytes, '\0');
  const ssize_t got = ::pread(fd->get(), head.data(), head.size(), 0);
  head.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return head;
}

// Where the program lies, as execvp would find it.
std::optional<std::string> find_in(const Root& rootfs, const ProgramLookup& lookup) {
  const std::string& name = lookup.program;
  if (name.find('/') != std::string::npos) return join_path(lookup.cwd, name);
  for (const std::string& directory : split(lookup.path, ':')) {
    const std::string candidate = join_path(join_path(lookup.cwd, directory), name);
    const Result<RelPath> path = RelPath::rooted(candidate);
    if (path && executable_head(rootfs, *path)) return candidate;
  }
  return std::nullopt;
}

bool is_covered(const Root& rootfs, const RelPath& path, const std::vector<std::string>& targets) {
  const Result<RelPath> resolved = rootfs.resolve(path, FollowLast::kYes);
  return resolved && std::any_of(targets.begin(), targets.end(), [&](const std::string& target) {
           const Result<RelPath> above = RelPath::rooted(target);
           return above && (path.is_within(*above) || resolved->is_within(*above));
         });
}

std::string script_interpreter(std::string_view head) {
  if (!head.starts_with("#!")) return {};
  const std::string line(trim(head.substr(2, head.find('\n') - 2)));
  return line.substr(0, line.find_first_of(" \t"));
}

Error not_registered(const std::string& program, const std::string& architecture) {
  const std::string wanted = "linux/" + architecture;
  const Platform host = Platform::host();
  return Error(Code::kFailedPrecondition, quote(program) + " is for " + wanted +
                                              ", and on this machine (" + host.to_string() +
                                              ") no emulator is registered for it")
      .hint(
          "install qemu-user-static and register it with binfmt_misc: apt-get install "
          "qemu-user-static binfmt-support && update-binfmts --enable; steps that need no "
          "emulator go into a stage FROM --platform=$BUILDPLATFORM");
}

Status judge(const Root& rootfs, const std::string& program, std::string_view head,
             const std::string& architecture) {
  const auto handlers = binfmt_handlers();
  if (!handlers) return {};
  for (const BinfmtHandler& handler : *handlers) {
    if (!matches(handler, head)) continue;
    if (handler.flags.find('F') != std::string::npos) return {};
    const Result<RelPath> interpreter = RelPath::rooted(handler.interpreter);
    if (interpreter && executable_head(rootfs, *interpreter)) return {};
    return tl::unexpected(
        Error(Code::kFailedPrecondition,
              quote(program) + " is for linux/" + architecture + ", and the binfmt_misc handler " +
                  handler.name + " looks for " + quote(handler.interpreter) + " in the image")
            .hint("register it with the flag F, as Debian's qemu-user-static does"));
  }
  return tl::unexpected(not_registered(program, architecture));
}

}  // namespace

std::optional<BinfmtHandler> parse_binfmt(std::string_view name, std::string_view text) {
  BinfmtHandler handler;
  handler.name = name;
  bool enabled = false;
  for (const std::string& line : split(text, '\n')) {
    const size_t space = line.find(' ');
    const std::string key = line.substr(0, space);
    const std::string value = space == std::string::npos ? "" : line.substr(space + 1);
    if (key == "enabled") enabled = true;
    if (key == "interpreter") handler.interpreter = value;
    if (key == "flags:") handler.flags = value;
    if (key == "offset") handler.offset = static_cast<size_t>(parse_int(value).value_or(0));
    if (key == "magic") handler.magic = unhex(value).value_or("");
    if (key == "mask") handler.mask = unhex(value).value_or("");
  }
  if (!enabled || handler.magic.empty()) return std::nullopt;
  if (handler.mask.size() != handler.magic.size())
    handler.mask.assign(handler.magic.size(), '\xff');
  return handler;
}

bool matches(const BinfmtHandler& handler, std::string_view head) {
  if (head.size() < handler.offset || head.size() - handler.offset < handler.magic.size())
    return false;
  for (size_t i = 0; i < handler.magic.size(); ++i)
    if (((head[handler.offset + i] ^ handler.magic[i]) & handler.mask[i]) != 0) return false;
  return true;
}

std::optional<std::string> elf_architecture(std::string_view head) {
  if (head.size() < 20 || !head.starts_with("\177ELF")) return std::nullopt;
  const bool big = head[5] == 2;
  const auto low = static_cast<unsigned char>(head[big ? 19 : 18]);
  const auto high = static_cast<unsigned char>(head[big ? 18 : 19]);
  const unsigned number = low + 256U * high;
  const int bits = head[4] == 2 ? 64 : 32;
  for (const Machine& machine : kMachines)
    if (machine.number == number && machine.bits == bits && machine.order == (big ? 'b' : 'l'))
      return machine.architecture;
  return std::nullopt;
}

std::optional<std::vector<BinfmtHandler>> binfmt_handlers() {
  const Fd mounted(::open(kMounted, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (mounted.valid() && !read_some(mounted.get(), "status").empty())
    return read_handlers(mounted.get());
  const Fd detached = detached_binfmt();
  if (detached.valid()) return read_handlers(detached.get());
  if (errno == ENODEV) return std::vector<BinfmtHandler>();
  return std::nullopt;
}

Status check_program(const Root& rootfs, const ProgramLookup& lookup) {
  std::optional<std::string> found = find_in(rootfs, lookup);
  for (int scripts = 0; found && scripts < kMaxScripts; ++scripts) {
    const Result<RelPath> path = RelPath::rooted(*found);
    if (!path || is_covered(rootfs, *path, lookup.mount_targets)) return {};
    const std::optional<std::string> head = executable_head(rootfs, *path);
    if (!head) return {};
    if (const auto architecture = elf_architecture(*head)) {
      if (kernel_runs(*architecture)) return {};
      return judge(rootfs, *found, *head, *architecture);
    }
    const std::string interpreter = script_interpreter(*head);
    if (interpreter.empty()) return {};
    found = join_path(lookup.cwd, interpreter);
  }
  return {};
}

}  // namespace kiln
