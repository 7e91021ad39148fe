// The OCI runtime's program: which one it is, how it wants to be called, and what it says when it
// fails.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace kiln {

/// A runtime copies its own binary into memory and executes that before it enters a container, so
/// that the container cannot overwrite it (CVE-2019-5736). kiln makes that copy once, sealed as
/// they expect, instead of once a step: 5 ms less with crun, and ld.so runs once.
class Runtime {
 public:
  enum class Kind : uint8_t { kCrun, kOther };

  /// kNotFound with a hint if `program` (a name or a path) is not there. Empty `name`: asks the
  /// program, unless its file name says it.
  static Result<Runtime> find(const std::string& program, const std::string& name,
                              const std::string& search_path);

  Kind kind() const { return kind_; }
  /// Does this very binary know the annotation that carries a compiled seccomp filter? One that
  /// does not would ignore it, and confine nothing.
  bool takes_compiled_filter() const { return takes_compiled_filter_; }
  const std::string& name() const { return name_; }
  /// What to execute: a path under /proc/self/fd, or the file itself (scripts).
  std::string program() const;
  int program_fd() const { return image_.get(); }  // -1: none to keep
  std::vector<std::string> run_arguments(const std::string& bundle, const std::string& id) const;
  static std::string log_file(const std::string& bundle) { return bundle + "/log.json"; }
  static std::string state_directory(const std::string& bundle) { return bundle + "/state"; }

 private:
  std::string path_, name_;
  Kind kind_ = Kind::kOther;
  bool takes_compiled_filter_ = false;
  Fd image_;
};

/// The last error of a runtime's JSON log as what went wrong with the step; nullopt if it logged
/// none. kNotFound, kPermissionDenied: the command; kInvalidArgument: it is no program. Pure.
std::optional<Error> runtime_error(std::string_view log, const std::string& command);

}  // namespace kiln
