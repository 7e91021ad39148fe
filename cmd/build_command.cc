// `kiln build`: options, inputs, graph, solve, export (ARCHITECTURE.md 5).
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "cmd/build_inputs.h"
#include "cmd/build_plan.h"
#include "cmd/build_report.h"
#include "cmd/commands.h"
#include "cmd/config_resolver.h"
#include "cmd/diagnostics.h"
#include "cmd/explain_misses.h"
#include "cmd/fetch_dockerfile.h"
#include "cmd/image_pusher.h"
#include "cmd/outputs.h"
#include "cmd/render.h"
#include "cmd/run_inputs.h"
#include "cmd/settle_epoch.h"
#include "cmd/shared_caches.h"
#include "exporter/inline_steps.h"
#include "solver/solver.h"

namespace kiln::cmd {
namespace {

constexpr size_t kKeptLogs = 20;

class Build {
 public:
  Build(const BuildOptions& options, const Invocation& invocation)
      : options_(options),
        invocation_(invocation),
        registries_(std::make_shared<Registries>(invocation.environment)) {}

  CommandResult run() {
    KILN_CMD_TRY_ASSIGN(entitlements_, read_entitlements(options_.allow));
    Result<OutputPlan> outputs = plan_outputs(options_);
    if (!outputs) return usage_failure(outputs.error());
    outputs_ = *std::move(outputs);
    if (CommandResult read = read_cache_options(); !read) return read;
    KILN_CMD_TRY_ASSIGN(engine_, open_engine(options_.global, Need::kBuild, invocation_));
    if (CommandResult read = read_inputs(); !read) return read;
    start_display();
    const Result<ExportReport> report = build();
    renderer_->finish(report.has_value());
    if (caches_)
      for (BuildWarning& warning : caches_->warnings()) warnings_.push_back(std::move(warning));
    list_warnings();
    if (!report)
      return tl::unexpected(Failure{report.error(), exit_code_of(report.error()),
                                    inputs_.dockerfile, inputs_.filename, false});
    KILN_CMD_TRY(write_report(options_, *report, warnings_));
    return {};
  }

 private:
  bool quiet() const {
    return options_.quiet || options_.progress == "quiet" || options_.progress == "none";
  }

  /// After the progress, for people: whoever reads JSON has had them there.
  void list_warnings() const {
    if (quiet() || options_.progress == "rawjson") return;
    const WarningDetail detail =
        options_.global.debug ? WarningDetail::kFull : WarningDetail::kBrief;
    const std::string text =
        describe_warnings(warnings_, {detail, inputs_.dockerfile, inputs_.filename});
    (void)std::fputs(text.c_str(), stderr);  // nothing to do if stderr is gone
  }

  /// In the progress they belong to the reading of the Dockerfile.
  void report_warnings() const {
    if (warnings_.empty()) return;
    const std::string name = "[internal] load build definition from " + inputs_.filename;
    const Digest vertex = Digest::of(name);
    progress_->on_event(VertexStarted{vertex, name});
    for (BuildWarning warning : warnings_) {
      warning.vertex = vertex;
      progress_->on_event(warning);
    }
    progress_->on_event(VertexDone{vertex, VertexOutcome::kDone, std::nullopt});
  }

  CommandResult read_cache_options() {
    auto from = parse_cache_from(options_.cache_from);
    if (!from) return usage_failure(from.error());
    cache_from_ = *std::move(from);
    auto to = parse_cache_to(options_.cache_to);
    if (!to) return usage_failure(to.error());
    cache_to_ = *std::move(to);
    const size_t in_image = std::erase_if(cache_to_, [](const CacheTarget& target) {
      return target.place.kind == CacheKind::kInline;
    });
    carries_cache_ = in_image > 0;
    if (!carries_cache_) return {};
    if (!outputs_.sends_image)
      return usage_failure(Error(Code::kInvalidArgument,
                                 "--cache-to type=inline: the cache travels in the image, and no "
                                 "output takes the image anywhere")
                               .hint("add --push, or -o type=oci,dest=FILE"));
    if (outputs_.rewrites_times)
      return usage_failure(Error(Code::kInvalidArgument,
                                 "--cache-to type=inline and rewrite-timestamp=true exclude each "
                                 "other: the image's layers are not those that the steps made")
                               .hint("use type=registry"));
    return {};
  }

  CommandResult read_inputs() {
    const RootLayout& layout = engine_->layout();
    KILN_CMD_TRY(make_dirs(layout.stat_caches(), 0700));
    KILN_CMD_TRY_ASSIGN(
        inputs_,
        options_.llb.empty()
            ? read_build_inputs(options_,
                                {engine_->scratch(), layout.stat_caches(), invocation_.stop})
            : read_definition_inputs(options_, {engine_->scratch(), layout.stat_caches()}));
    Result<frontend::FrontendRequest> request =
        make_request(options_, inputs_, invocation_.environment);
    if (!request) return usage_failure(request.error());
    request_ = *std::move(request);
    Result<RunInputs> run_inputs = read_run_inputs(options_, invocation_.environment);
    if (!run_inputs) return usage_failure(run_inputs.error());
    run_inputs_ = *std::move(run_inputs);
    return {};
  }

  void start_display() {
    RenderOptions render;
    render.mode = options_.quiet ? "quiet" : options_.progress;
    render.is_terminal = ::isatty(STDERR_FILENO) == 1;
    const auto no_color = invocation_.environment.find("NO_COLOR");  // no-color.org: not empty
    if (no_color != invocation_.environment.end() && !no_color->second.empty())
      render.color = Color::kNo;
    if (const auto lines = invocation_.environment.find("BUILDKIT_TTY_LOG_LINES");
        lines != invocation_.environment.end())
      render.log_lines =
          static_cast<size_t>(std::clamp<int64_t>(parse_int(lines->second).value_or(6), 0, 100));
    renderer_ = make_renderer(render, stderr);
    progress_ = make_log_keeper(engine_->layout().logs(), kKeptLogs, *renderer_);
  }

  OpsEnvironment operations() {
    OpsEnvironment ops = operations_of({*engine_, inputs_, run_inputs_, invocation_.environment,
                                        invocation_.search_path, registries_});
    ops.remotes = remotes_;
    ops.add_hosts = request_.extra_hosts;
    ops.resources = request_.resources;
    ops.ulimits = request_.ulimits;
    ops.host_network = request_.network == llb::NetMode::kHost ? HostNetwork::kAllowed
                                                               : entitlements_.host_network;
    ops.insecure_steps = entitlements_.insecure_steps;
    ops.device_grants = entitlements_.devices;
    ops.cdi_directories = cdi_directories(options_);
    ops.pack_targets = outputs_.pack_targets;
    ops.layer_compression = outputs_.compression;
    if (caches_) {
      ops.remote_layers = &caches_->layers();
      ops.shared_mounts = &caches_->mounts();
    }
    if (plan_.platforms.empty()) return ops;  // what is solved first says what the plan will be
    const PlatformResult& first = plan_.platforms.front().result;
    ops.source_date_epoch = first.source_date_epoch;
    ops.platform = first.platform;
    return ops;
  }

  Status make_plan() {
    KILN_TRY_ASSIGN(const std::vector<Platform> platforms, requested_platforms(options_));
    if (!options_.llb.empty()) {
      if (platforms.size() > 1)
        return fail(Code::kInvalidArgument, "a definition is for one platform, not for several");
      KILN_TRY_ASSIGN(
          plan_, plan_definition(inputs_.dockerfile, request_.platform.value_or(Platform::host())));
      inputs_.dockerfile.clear();  // it is no text to quote errors from
      return {};
    }
    const ImageSources sources = image_sources(*engine_, inputs_.layouts, registries_);
    ConfigResolver resolver(sources, *progress_);
    const auto settle = [&](frontend::FrontendRequest& request) {
      return settle_epoch({solve_early(), resolver, inputs_, invocation_.stop}, request);
    };
    Result<BuildPlan> plan =
        plan_dockerfile(request_, platforms, {resolver, settle, invocation_.stop}, warnings_);
    report_warnings();
    KILN_TRY_ASSIGN(plan_, std::move(plan));
    return {};
  }

  /// For what has to be known before there is a plan.
  SolveTree solve_early() {
    return [this, ops = std::make_shared<OpsEnvironment>(operations())](const llb::Graph& graph) {
      return solve_tree(*engine_, *ops, graph, *progress_, invocation_.stop);
    };
  }

  Status fetch() {
    return fetch_dockerfile(FetchDockerfile{solve_early(), engine_->scratch(), invocation_.stop},
                            inputs_, request_);
  }

  Result<ExportReport> build() {
    if (inputs_.remote) KILN_TRY(fetch());
    KILN_TRY(make_plan());
    KILN_TRY_ASSIGN(caches_,
                    SharedCaches::open({*engine_, *progress_, registries_, invocation_.stop},
                                       cache_from_, cache_to_));
    caches_->start_filling(plan_.graph, outputs_.compression, export_context());
    const Result<Solved> solved = solve(operations());
    Result<ExportReport> report = solved ? export_image(*solved) : tl::unexpected(solved.error());
    if (invocation_.stop.stop_requested()) return report;
    const Status filled = caches_->finish(solved ? &solved->solution : nullptr);
    if (report && !filled) return tl::unexpected(filled.error());
    return report;
  }

  struct Solved {
    Solution solution;
    std::vector<PlatformResult> platforms;
  };

  /// Once more for each shared cache that did not keep its word, without it.
  Result<Solved> solve(const OpsEnvironment& ops) {
    Result<Solved> solved = solve_once(ops);
    while (!solved && caches_->broken() && !invocation_.stop.stop_requested()) {
      caches_->give_up(solved.error());
      solved = solve_once(ops);
    }
    return solved;
  }

  Result<Solved> solve_once(const OpsEnvironment& ops) {
    Solver solver({make_ops(ops), make_loader(ops), &engine_->workers()});
    SolveOptions solve;
    solve.max_parallel = options_.max_parallel;
    solve.caches = {&engine_->cache()};
    for (CacheStore* store : caches_->stores()) solve.caches.push_back(store);
    if (options_.explain)
      solve.on_miss = explain_misses({engine_->cache(), engine_->snapshots(), engine_->scratch()});
    solve.on_solved = [this](const SolvedEdge& edge) { caches_->offer(edge); };
    KILN_TRY_ASSIGN(Solution solution,
                    solver.solve(plan_.graph, solve, *progress_, invocation_.stop));
    KILN_TRY_ASSIGN(std::vector<PlatformResult> platforms,
                    platform_results(plan_, solution, invocation_.stop));
    return Solved{std::move(solution), std::move(platforms)};
  }

  Result<ExportReport> export_image(const Solved& solved) {
    KILN_TRY_ASSIGN(const bool index, builds_index(options_));
    ExportInput input{solved.platforms, index ? ImageForm::kIndex : ImageForm::kManifest};
    if (carries_cache_) {
      KILN_TRY_ASSIGN(input.inline_steps, inline_steps(plan_.graph, solved.solution,
                                                       engine_->cache(), caches_->remotes()));
    }
    return export_all(input);
  }

  ExportContext export_context() {
    return {engine_->snapshots(),
            engine_->content(),
            engine_->images(),
            engine_->lease(),
            engine_->scratch(),
            *progress_,
            make_pusher(*engine_, registries_)};
  }

  Result<ExportReport> export_all(const ExportInput& input) {
    ExportContext context = export_context();
    ExportReport merged;
    for (const std::unique_ptr<Exporter>& exporter : outputs_.exporters) {
      KILN_TRY_ASSIGN(ExportReport report, exporter->run(input, context, invocation_.stop));
      if (report.image && !merged.image) merged.image = report.image;
      if (report.config && !merged.config) merged.config = report.config;
      for (std::string& name : report.names)
        if (std::find(merged.names.begin(), merged.names.end(), name) == merged.names.end())
          merged.names.push_back(std::move(name));
    }
    if (outputs_.exporters.empty()) KILN_TRY(engine_->snapshots().sync());
    return merged;
  }

  const BuildOptions& options_;
  const Invocation& invocation_;
  OutputPlan outputs_;
  std::unique_ptr<Engine> engine_;
  BuildInputs inputs_;
  Entitlements entitlements_;
  frontend::FrontendRequest request_;
  RunInputs run_inputs_;
  std::unique_ptr<Renderer> renderer_;
  std::unique_ptr<ProgressSink> progress_;
  std::vector<CachePlace> cache_from_;
  std::vector<CacheTarget> cache_to_;
  bool carries_cache_ = false;            // the image, in its config
  std::unique_ptr<SharedCaches> caches_;  // there once there is a plan
  BuildPlan plan_;
  std::vector<BuildWarning> warnings_;
  // Shared by the fetching and the building: both see the same commit and the same download.
  const std::shared_ptr<RemoteFacts> remotes_ = std::make_shared<RemoteFacts>();
  const std::shared_ptr<Registries> registries_;
};

}  // namespace

CommandResult run_build(const BuildOptions& options, const Invocation& invocation) {
  if (options.check || !options.call.empty()) return run_call(options, invocation);
  return Build(options, invocation).run();
}

}  // namespace kiln::cmd
