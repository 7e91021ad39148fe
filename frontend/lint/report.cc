#include "frontend/lint/report.h"

#include "base/json.h"
#include "base/strings.h"
#include "frontend/converter.h"
#include "frontend/location_json.h"
#include "frontend/source_block.h"
#include "frontend/source_text.h"

#include <algorithm>
#include <utility>

namespace kiln::lint {
namespace {

Status check(const frontend::FrontendRequest& request, frontend::ImageConfigResolver& resolver,
             std::stop_token stop, frontend::SourceText& source) {
  KILN_TRY(source.status);
  KILN_TRY(frontend::convert_for_checks(
      {request, source.instructions, source.escape, resolver, source.linter, std::move(stop)}));
  return source.linter.verdict();
}

Json finding_json(const Finding& finding) {
  const RuleInfo& rule = info(finding.rule);
  Json json = Json::object();
  json.set("ruleName", rule.name);
  json.set("description", rule.description);
  if (!rule.url.empty()) json.set("url", rule.url);
  json.set("detail", finding.message);
  json.set("location", frontend::location_json(finding.where));
  return json;
}

Json error_json(const Error& error) {
  Json json = Json::object();
  json.set("message", error.message());
  json.set("location", frontend::location_json(error.where().value_or(SourceRange{})));
  return json;
}

}  // namespace

CheckResult check_dockerfile(const frontend::FrontendRequest& request,
                             frontend::ImageConfigResolver& resolver, std::stop_token stop) {
  frontend::SourceText source = frontend::read_source(request);
  CheckResult result;
  const Status status = check(request, resolver, std::move(stop), source);
  if (!status) result.error = status.error();
  for (Finding& finding : source.linter.findings()) {
    const bool advice = info(finding.rule).standing == Standing::kAdvice;
    (advice ? result.advice : result.findings).push_back(std::move(finding));
  }
  return result;
}

std::string check_text(const CheckResult& result, const std::string& file, std::string_view text) {
  const size_t count = result.findings.size();
  if (count == 0) return result.error ? "" : "Check complete, no warnings found.\n";
  std::string out =
      count == 1 ? "Check complete, 1 warning has been found!\n"
                 : "Check complete, " + std::to_string(count) + " warnings have been found!\n";
  for (const Finding& finding : result.findings) {
    const RuleInfo& rule = info(finding.rule);
    out += "\nWARNING: " + std::string(rule.name);
    if (!rule.url.empty()) out += " - " + std::string(rule.url);
    out += "\n" + printable(finding.message) + "\n" +
           dockerfile::source_block(finding.where, file, text);
  }
  return out;
}

std::string check_json(const CheckResult& result, const std::string& file, std::string_view text) {
  Json warnings = Json::array();
  for (const Finding& finding : result.findings) warnings.push_back(finding_json(finding));
  Json source = Json::object();
  source.set("filename", file);
  source.set("data", frontend::source_data(text));
  source.set("language", "Dockerfile");
  Json json = Json::object();
  json.set("warnings", std::move(warnings));
  json.set("sources", Json::array({std::move(source)}));
  if (result.error) json.set("buildError", error_json(*result.error));
  return json.dump_pretty() + "\n";
}

}  // namespace kiln::lint
