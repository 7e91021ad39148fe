// One op as JSON, with the names that BuildKit's JSON of pb.Op uses. Internal to dump.
#pragma once

#include "base/json.h"
#include "llb/op.h"

namespace kiln::llb {

/// {"exec":{…}}, {"source":{…}}, {"file":{…}}, {"merge":{…}} or {"diff":{…}}; defaults are left
/// out.
Json op_json(const Op& op);

}  // namespace kiln::llb
