// Carries a running child's output to sinks and waits for its end: one thread, one poll loop.
#pragma once

#include <stop_token>

#include "base/fd.h"
#include "base/io.h"
#include "base/process.h"
#include "base/result.h"

namespace kiln {

struct OutputPipes {
  Fd out, err;  // read ends; the child's side must be closed here
};

/// Returns when the child is gone and both pipes are at their end: the child must be the last to
/// hold them (a pid namespace's init is). On a stop request, and when a sink fails, the child is
/// killed; what it wrote until then is still delivered (after a sink's failure: thrown away).
/// kCancelled; or the sink's error.
Result<ExitStatus> pump_output(Child& child, OutputPipes pipes, Sink& out, Sink& err,
                               const std::stop_token& stop);

}  // namespace kiln
