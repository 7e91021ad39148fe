#include "frontend/lint/report.h"

#include "base/json.h"
#include "base/strings.h"
#include "frontend/converter.h"
#include "frontend/location_json.h"
#include "frontend/source_text.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace kiln::lint {
namespace {

constexpr std::string_view kRule = "--------------------\n";

Status check(const frontend::FrontendRequest& request, frontend::ImageConfigResolver& resolver,
             std::stop_token stop, frontend::SourceText& source) {
  KILN_TRY(source.status);
  KILN_TRY(frontend::convert_for_checks(
      {request, source.instructions, source.escape, resolver, source.linter, std::move(stop)}));
  return source.linter.verdict();
}

/// Lines as Docker counts them: what follows the last newline is one more, even if it is empty.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (true) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
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

std::string source_block(const SourceRange& where, const std::string& file, std::string_view text) {
  const std::vector<std::string_view> lines = lines_of(text);
  const auto count = static_cast<int>(lines.size());
  if (where.first_line < 1 || where.first_line > count) return "";
  const int last = std::min(where.last_line, count);
  const int around = where.first_line == last ? 2 : 1;
  std::string out = printable(file) + ":" + std::to_string(where.first_line) + "\n";
  out += kRule;
  for (int number = std::max(1, where.first_line - around);
       number <= std::min(count, last + around); ++number) {
    const bool marked = where.first_line <= number && number <= where.last_line;
    char head[32];
    (void)std::snprintf(head, sizeof head, " %3d | %s ", number, marked ? ">>>" : "   ");
    std::string line = head + printable(lines[static_cast<size_t>(number - 1)], KeepLines::kYes);
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  out += kRule;
  return out;
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
    out += "\n" + printable(finding.message) + "\n" + source_block(finding.where, file, text);
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
