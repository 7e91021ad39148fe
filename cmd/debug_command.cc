// `kiln debug dump-llb` and `kiln debug ast`.
#include <fcntl.h>
#include <unistd.h>

#include "base/io.h"
#include "cmd/build_inputs.h"
#include "cmd/commands.h"
#include "cmd/config_resolver.h"
#include "cmd/diagnostics.h"
#include "cmd/fetch_dockerfile.h"
#include "cmd/run_inputs.h"
#include "cmd/settle_epoch.h"
#include "exporter/output_file.h"
#include "frontend/ast.h"
#include "frontend/parse_error.h"
#include "frontend/parser.h"
#include "llb/codec.h"
#include "llb/dump.h"

namespace kiln::cmd {
namespace {

class NoProgress : public ProgressSink {
 public:
  void on_event(const Event& /*event*/) noexcept override {}
};

Status write_output(const std::string& destination, std::string_view bytes) {
  KILN_TRY_ASSIGN(OutputFile file,
                  OutputFile::open(destination.empty() ? "-" : destination, STDOUT_FILENO));
  KILN_TRY(write_fully(file.fd(), as_bytes(bytes), "output"));
  return file.commit();
}

std::string dump(const llb::Graph& graph, const std::string& format) {
  if (format == "json") return llb::dump_json(graph);
  if (format == "dot") return llb::dump_dot(graph);
  return llb::marshal_definition(graph);
}

Result<std::string> read_text(const std::string& file) {
  constexpr uint64_t kLimit = 64U << 20U;
  if (file != "-") return read_file(file, kLimit);
  Fd input(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!input.valid()) return fail_errno("read", "standard input");
  FdSource source(std::move(input), "standard input");
  return read_all(source, kLimit, "standard input");
}

}  // namespace

CommandResult run_dump_llb(const DumpLlbOptions& options, const Invocation& invocation) {
  BuildOptions build = options.build;
  if (build.context.empty()) build.context = ".";
  // Whether there is something to fetch (a SOURCE_DATE_EPOCH that names a source) shows only in the
  // Dockerfile: who may build opens the root for it.
  const Need need = needs_fetch(build) || ::geteuid() == 0 ? Need::kBuild : Need::kStores;
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(build.global, need, invocation));
  KILN_CMD_TRY_ASSIGN(BuildInputs inputs, read_build_inputs(build, {engine->layout().run(), ""}));
  Result<frontend::FrontendRequest> request = make_request(build, inputs, invocation.environment);
  if (!request) return usage_failure(request.error());
  const Result<std::vector<Platform>> platforms = requested_platforms(build);
  if (platforms && platforms->size() > 1)
    return usage_failure(Error(Code::kInvalidArgument, "a definition is for one platform")
                             .hint("dump each platform by itself"));
  const ImageSources sources =
      image_sources(*engine, inputs.layouts, std::make_shared<Registries>(invocation.environment));
  NoProgress progress;
  const FetchAlone fetching{*engine, build, invocation, progress};
  KILN_CMD_TRY(fetch_dockerfile(fetching, inputs, *request));
  ConfigResolver resolver(sources, progress);
  const Status settled = settle_epoch(fetching, inputs, resolver, *request);
  const Result<frontend::FrontendResult> converted =
      settled ? frontend::dockerfile_to_llb(*request, resolver, invocation.stop)
              : tl::unexpected(settled.error());
  if (!converted)
    return tl::unexpected(Failure{converted.error(), exit_code_of(converted.error()),
                                  inputs.dockerfile, inputs.filename, false});
  (void)std::fputs(describe_warnings(converted->warnings, {}).c_str(),
                   stderr);  // nothing to do if stderr is gone
  KILN_CMD_TRY(write_output(options.output, dump(converted->graph, options.format)));
  return {};
}

CommandResult run_ast(const AstOptions& options, const Invocation& /*invocation*/) {
  KILN_CMD_TRY_ASSIGN(const std::string text, read_text(options.file));
  const dockerfile::Parsed parsed = dockerfile::parse(text, options.file);
  if (!parsed.errors.empty())
    return tl::unexpected(
        Failure{dockerfile::combine_errors(parsed.errors), 1, text, options.file, false});
  KILN_CMD_TRY(write_output("", dockerfile::ast_json(parsed.ast)));
  return {};
}

}  // namespace kiln::cmd
