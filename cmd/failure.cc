#include "cmd/commands.h"
#include "cmd/diagnostics.h"

namespace kiln::cmd {

tl::unexpected<Failure> usage_failure(const Error& error) {
  return tl::unexpected(Failure{error, 2, {}, {}, false});
}
tl::unexpected<Failure> failure(const Error& error) {
  return tl::unexpected(Failure{error, exit_code_of(error), {}, {}, false});
}

}  // namespace kiln::cmd
