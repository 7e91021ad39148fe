// Which CDI devices the user lets steps have (--allow device…), and what of that a step gets.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "llb/op.h"
#include "solver/executor/cdi_registry.h"

namespace kiln {

struct DeviceGrants {
  bool all = false;
  std::vector<std::string> names;              // as in RUN --device: also a class, or "=*"
  std::map<std::string, std::string> aliases;  // what a step asks for -> what it gets, granted

  /// What follows "device=" of --allow: NAME[,alias=ASKED]; "": all. kInvalidArgument.
  Status add(std::string_view text);
};

/// The full names of the devices that a step gets, each once, in the order it asks for them: those
/// granted, and those whose spec allows them by itself. kPermissionDenied names the others; else
/// as CdiRegistry::find().
Result<std::vector<std::string>> granted_devices(const CdiRegistry& registry,
                                                 const DeviceGrants& grants,
                                                 std::span<const llb::CdiDevice> asked);

}  // namespace kiln
