#include "solver/executor/runtime.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "base/fs.h"
#include "base/json.h"
#include "base/process.h"
#include "base/strings.h"
#include "solver/executor/spec.h"

namespace kiln {
namespace {

constexpr uint64_t kMaxVersionBytes = 64U << 10U;
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // from Linux 6.3, where vm.memfd_noexec may ask for it
#endif

Result<std::string> locate(const std::string& program, const std::string& search_path) {
  if (program.find('/') == std::string::npos) return find_program(program, search_path);
  if (::access(program.c_str(), X_OK) != 0) return fail_errno("run", program);
  return program;
}

Result<std::string> ask_name(const std::string& path) {
  ProcessSpec spec;
  spec.argv = {path, "--version"};
  KILN_TRY_ASSIGN(const CapturedRun run, run_captured(spec, "", kMaxVersionBytes, {}));
  if (!run.exit.ok())
    return fail(Code::kInvalidArgument, "\"" + path + "\" is no OCI runtime: --version failed");
  return run.out.substr(0, run.out.find_first_of(" \n"));
}

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

Fd make_memory_file() {
  Fd file(
      static_cast<int>(::memfd_create("kiln-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC)));
  if (file.valid()) return file;
  return Fd(::memfd_create("kiln-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

bool is_script(int file) {
  char start[2] = {};
  return ::pread(file, start, sizeof(start), 0) == 2 && start[0] == '#' && start[1] == '!';
}

// Invalid: executed from its file. That is slower and no less right.
Fd copy_sealed(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() || is_script(file.get())) return {};
  Fd copy = make_memory_file();
  if (!copy.valid() || !copy_file_data(file.get(), copy.get())) return {};
  // Exactly these: runtimes compare.
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (::fchmod(copy.get(), 0500) != 0 || ::fcntl(copy.get(), F_ADD_SEALS, kSeals) != 0) return {};
  return copy;
}

// crun's own libseccomp and the annotation's name, both in the binary's strings.
bool knows_compiled_filters(int image) {
  struct stat st {};
  if (::fstat(image, &st) != 0 || st.st_size <= 0) return false;
  const auto size = static_cast<size_t>(st.st_size);
  void* bytes = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, image, 0);
  if (bytes == MAP_FAILED) return false;
  const std::string_view text(static_cast<const char*>(bytes), size);
  const bool knows = text.find(kCompiledFilterAnnotation) != std::string_view::npos &&
                     text.find("seccomp_export_bpf") != std::string_view::npos;
  (void)::munmap(bytes, size);  // cannot fail on what mmap gave
  return knows;
}

std::string last_error(std::string_view log) {
  std::string message;
  for (const std::string& line : split(log, '\n')) {
    if (trim(line).empty()) continue;
    const auto entry = Json::parse(line);
    if (entry && (*entry)["level"].as_string() == "error") message = (*entry)["msg"].as_string();
  }
  return message;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

Result<Runtime> Runtime::find(const std::string& program, const std::string& name,
                              const std::string& search_path) {
  auto path = locate(program, search_path);
  if (!path)
    return tl::unexpected(
        Error(path.error().code(), "OCI runtime \"" + program + "\" cannot be run")
            .hint("install crun, or name another runtime with --oci-runtime"));
  Runtime runtime;
  runtime.path_ = *path;
  runtime.name_ = name;
  if (runtime.name_.empty() && (base_name(*path) == "crun" || base_name(*path) == "runc"))
    runtime.name_ = base_name(*path);
  if (runtime.name_.empty()) {
    KILN_TRY_ASSIGN(runtime.name_, ask_name(*path));
  }
  runtime.kind_ = runtime.name_ == "crun" ? Kind::kCrun : Kind::kOther;
  runtime.image_ = copy_sealed(*path);
  runtime.takes_compiled_filter_ = runtime.kind_ == Kind::kCrun && runtime.image_.valid() &&
                                   knows_compiled_filters(runtime.image_.get());
  return runtime;
}

std::string Runtime::program() const {
  return image_.valid() ? "/proc/self/fd/" + std::to_string(image_.get()) : path_;
}

std::vector<std::string> Runtime::run_arguments(const std::string& bundle,
                                                const std::string& id) const {
  std::vector<std::string> out = {
      path_, "--root", state_directory(bundle), "--log", log_file(bundle), "--log-format", "json"};
  if (kind_ == Kind::kCrun) out.emplace_back("--cgroup-manager=disabled");
  for (const std::string& argument : {std::string("run"), std::string("--bundle"), bundle, id})
    out.push_back(argument);
  return out;
}

std::optional<Error> runtime_error(std::string_view log, const std::string& command) {
  const std::string message = printable(trim(last_error(log)));
  if (message.empty()) return std::nullopt;
  const std::string lower = to_lower(message);
  const bool about_command = contains(lower, "exec") || contains(message, command);
  if (about_command && (contains(lower, "not found") || contains(lower, "no such file")))
    return Error(Code::kNotFound, "command " + quote(command) + " cannot be run: " + message)
        .hint("the image has no such program, or its interpreter or loader is missing");
  if (about_command &&
      (contains(lower, "permission denied") || contains(lower, "operation not permitted")))
    return Error(Code::kPermissionDenied,
                 "command " + quote(command) + " cannot be run: " + message);
  if (contains(lower, "exec format error"))
    return Error(Code::kInvalidArgument, "command " + quote(command) + " cannot be run: " + message)
        .hint("it is no program for this machine's architecture, or a script without \"#!\"");
  return Error(Code::kInternal, "the OCI runtime could not start the step: " + message);
}

}  // namespace kiln
