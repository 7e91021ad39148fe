// The CDI devices of this machine: what the specs in some directories describe, found by the names
// that RUN --device uses. Reading them is all it does: no device is touched.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "llb/op.h"
#include "solver/executor/cdi_spec.h"

namespace kiln {

class CdiRegistry {
 public:
  /// Reads *.json and *.yaml of each directory, without sub-directories. Of devices with equal
  /// names that of the later directory counts (SPEC.md: /var/run/cdi before /etc/cdi); twice in one
  /// directory, a device cannot be used. A directory that is not there is empty; a spec that cannot
  /// be used is left out, and named where a device is missing.
  static CdiRegistry read(std::span<const std::string> directories);

  /// The full names, "vendor/class=name", that `asked` stands for: "vendor/class" is the first of
  /// its devices in order of names, "vendor/class=*" all, "vendor/class=x" the device x, or else
  /// all whose class (annotation org.mobyproject.buildkit.device.class) is x. Empty: an optional
  /// device that is not there. kInvalidArgument: no such name; kNotFound: a required one is not
  /// there; kFailedPrecondition: two specs describe it.
  Result<std::vector<std::string>> find(const llb::CdiDevice& asked) const;
  /// Its spec, or the device, says org.mobyproject.buildkit.device.autoallow.
  bool allows_itself(const std::string& full_name) const;
  /// What a container with these devices needs: for each its spec's edits, once, and its own. The
  /// names are some that find() gave. kUnimplemented: something that kiln cannot do.
  Result<CdiEdits> edits(std::span<const std::string> full_names) const;

  const std::vector<Error>& problems() const { return problems_; }

 private:
  struct Place {
    size_t directory = 0, spec = 0, device = 0;
    bool is_twice = false;
  };
  void read_directory(const std::string& directory, size_t number);
  void add(CdiSpec spec, size_t directory);
  CdiAnnotations annotations(const Place& place) const;
  std::vector<std::string> of_kind(std::string_view kind) const;
  std::vector<std::string> matches(std::string_view kind, std::string_view name) const;
  Error missing(const llb::CdiDevice& asked) const;

  std::vector<CdiSpec> specs_;
  std::map<std::string, Place> devices_;  // by full name
  std::vector<Error> problems_;
};

}  // namespace kiln
