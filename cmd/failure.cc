#include "cmd/commands.h"
#include "cmd/diagnostics.h"

namespace kiln::cmd {
namespace {

tl::expected<std::unique_ptr<Engine>, Failure> or_environment_failure(
    Result<std::unique_ptr<Engine>> engine) {
  if (engine) return *std::move(engine);
  int status = 3;
  if (engine.error().code() == Code::kInvalidArgument) status = 2;
  if (engine.error().code() == Code::kCancelled) status = exit_code_of(engine.error());
  return tl::unexpected(Failure{engine.error(), status, {}, {}, false});
}

}  // namespace

tl::expected<std::unique_ptr<Engine>, Failure> open_engine(const GlobalOptions& options, Need need,
                                                           const Invocation& invocation) {
  return or_environment_failure(Engine::open(options, need, invocation.search_path));
}
tl::expected<std::unique_ptr<Engine>, Failure> open_engine_to_free(const GlobalOptions& options,
                                                                   const Invocation& invocation) {
  return or_environment_failure(Engine::open_to_free(options, invocation.search_path));
}

tl::unexpected<Failure> usage_failure(const Error& error) {
  return tl::unexpected(Failure{error, 2, {}, {}, false});
}
tl::unexpected<Failure> failure(const Error& error) {
  return tl::unexpected(Failure{error, exit_code_of(error), {}, {}, false});
}

}  // namespace kiln::cmd
