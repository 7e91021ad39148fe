#include "cmd/build_plan.h"

#include <algorithm>

#include "base/json.h"
#include "llb/codec.h"
#include "solver/ops/tree_ref.h"

namespace kiln::cmd {
namespace {

size_t layers_of(const std::optional<std::string>& config_json) {
  if (!config_json) return 0;
  const Result<Json> config = Json::parse(*config_json);
  return config ? (*config)["rootfs"]["diff_ids"].elements().size() : 0;
}

PlannedPlatform planned(frontend::FrontendResult& converted) {
  PlannedPlatform out;
  out.result.image_config_json = std::move(converted.image_config_json);
  out.result.platform = converted.platform;
  out.result.source_date_epoch = converted.source_date_epoch;
  out.result.base_layers = layers_of(converted.base_config_json);
  out.is_scratch = converted.graph.targets().empty();
  return out;
}

bool same(const BuildWarning& a, const BuildWarning& b) {
  return a.rule == b.rule && a.message == b.message && a.where == b.where;
}

void add_new(std::vector<BuildWarning>& all, std::vector<BuildWarning>&& more) {
  for (BuildWarning& warning : more) {
    const bool known = std::any_of(all.begin(), all.end(),
                                   [&](const BuildWarning& other) { return same(other, warning); });
    if (!known) all.push_back(std::move(warning));
  }
}

}  // namespace

Result<BuildPlan> plan_dockerfile(const frontend::FrontendRequest& request,
                                  const std::vector<Platform>& platforms, const Planning& how,
                                  std::vector<BuildWarning>& warnings) {
  std::vector<std::optional<Platform>> wanted(platforms.begin(), platforms.end());
  if (wanted.empty()) wanted.push_back(request.platform);
  BuildPlan plan;
  std::vector<llb::Graph> graphs;
  for (const std::optional<Platform>& platform : wanted) {
    frontend::FrontendRequest one = request;
    one.platform = platform;
    KILN_TRY(how.settle_epoch(one));
    std::vector<BuildWarning> found;
    Result<frontend::FrontendResult> converted =
        frontend::dockerfile_to_llb(one, how.resolver, how.stop, &found);
    add_new(warnings, std::move(found));
    if (!converted) return tl::unexpected(converted.error());
    plan.platforms.push_back(planned(*converted));
    graphs.push_back(std::move(converted->graph));
  }
  plan.graph = llb::join_graphs(graphs);
  return plan;
}

Result<BuildPlan> plan_definition(std::string_view definition, const Platform& platform) {
  BuildPlan plan;
  KILN_TRY_ASSIGN(plan.graph, llb::unmarshal_definition(definition));
  PlannedPlatform& only = plan.platforms.emplace_back();
  only.result.platform = platform;
  only.result.image_config_json = "{\"config\":{}}";
  only.is_scratch = plan.graph.targets().empty();
  return plan;
}

Result<std::vector<PlatformResult>> platform_results(const BuildPlan& plan,
                                                     const Solution& solution,
                                                     const std::stop_token& stop) {
  std::vector<PlatformResult> results;
  size_t target = 0;
  for (const PlannedPlatform& platform : plan.platforms) {
    PlatformResult& result = results.emplace_back(platform.result);
    if (platform.is_scratch) continue;
    KILN_CHECK(target < solution.targets.size());
    KILN_TRY_ASSIGN(TreeRef * tree, as_tree(*solution.targets[target++]));
    KILN_TRY_ASSIGN(result.root, tree->snapshot(stop));
  }
  return results;
}

}  // namespace kiln::cmd
