#include "frontend/outline.h"

#include "base/json.h"
#include "base/strings.h"
#include "frontend/converter.h"
#include "frontend/location_json.h"
#include "frontend/outline_notes.h"
#include "frontend/source_text.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace kiln::frontend {
namespace {

using Row = std::vector<std::string>;

/// Columns as wide as their widest cell and `gap` blanks; nothing trails.
std::string table(const std::vector<Row>& rows, size_t gap) {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + gap, ' ');
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out += printable(line) + "\n";
  }
  return out;
}

std::string access_table(const char* heading, const std::vector<Outline::Access>& items) {
  if (items.empty()) return "";
  std::vector<Row> rows = {{heading, "REQUIRED"}};
  for (const Outline::Access& item : items) {
    rows.push_back({item.name, item.required ? "true" : ""});
  }
  return table(rows, 3) + "\n";
}

void set_text(Json& json, const char* key, const std::string& text) {
  if (!text.empty()) json.set(key, text);
}

Json access_json(const std::vector<Outline::Access>& items) {
  Json list = Json::array();
  for (const Outline::Access& item : items) {
    Json json = Json::object();
    json.set("name", item.name);
    if (item.required) json.set("required", true);
    json.set("location", location_json(item.where));
    list.push_back(std::move(json));
  }
  return list;
}

Json args_json(const std::vector<Outline::Arg>& args) {
  Json list = Json::array();
  for (const Outline::Arg& arg : args) {
    Json json = Json::object();
    json.set("name", arg.name);
    set_text(json, "description", arg.description);
    set_text(json, "value", arg.value);
    json.set("location", location_json(arg.where));
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace

Result<Outline> outline_dockerfile(const FrontendRequest& request, ImageConfigResolver& resolver,
                                   std::stop_token stop) {
  SourceText source = read_source(request);
  KILN_TRY(source.status);
  return convert_for_outline(
      {request, source.instructions, source.escape, resolver, source.linter, std::move(stop)});
}

Result<std::vector<Target>> list_targets(const FrontendRequest& request) {
  const SourceText source = read_source(request);
  KILN_TRY(source.status);
  std::vector<Target> targets;
  for (const dockerfile::TypedInstruction& instruction : source.instructions) {
    const auto* from = std::get_if<dockerfile::From>(&instruction.kind);
    if (from == nullptr) continue;
    targets.push_back({from->stage, description_of(instruction.comments, from->stage), from->base,
                       from->platform, false, instruction.where});
  }
  if (targets.empty()) {
    return fail(Code::kInvalidArgument, "dockerfile contains no stages to build");
  }
  targets.back().is_default = true;
  return targets;
}

std::string outline_text(const Outline& outline) {
  std::string out;
  if (!outline.name.empty() || !outline.description.empty()) {
    std::vector<Row> rows = {{"TARGET:", outline.name.empty() ? "(default)" : outline.name}};
    if (!outline.description.empty()) rows.push_back({"DESCRIPTION:", outline.description});
    out += table(rows, 1) + "\n";
  }
  if (!outline.args.empty()) {
    std::vector<Row> rows = {{"BUILD ARG", "VALUE", "DESCRIPTION"}};
    for (const Outline::Arg& arg : outline.args) {
      rows.push_back({arg.name, arg.value, arg.description});
    }
    out += table(rows, 3) + "\n";
  }
  return out + access_table("SECRET", outline.secrets) + access_table("SSH", outline.ssh);
}

std::string outline_json(const Outline& outline, std::string_view dockerfile) {
  Json json = Json::object();
  set_text(json, "name", outline.name);
  set_text(json, "description", outline.description);
  if (!outline.args.empty()) json.set("args", args_json(outline.args));
  if (!outline.secrets.empty()) json.set("secrets", access_json(outline.secrets));
  if (!outline.ssh.empty()) json.set("ssh", access_json(outline.ssh));
  json.set("sources", Json::array({source_data(dockerfile)}));
  return json.dump_pretty() + "\n";
}

std::string targets_text(const std::vector<Target>& targets) {
  std::vector<Row> rows = {{"TARGET", "DESCRIPTION"}};
  for (const Target& target : targets) {
    std::string name = target.name;
    if (target.is_default) name += name.empty() ? "(default)" : " (default)";
    rows.push_back({std::move(name), target.description});
  }
  return table(rows, 1);
}

std::string targets_json(const std::vector<Target>& targets, std::string_view dockerfile) {
  Json list = Json::array();
  for (const Target& target : targets) {
    Json json = Json::object();
    set_text(json, "name", target.name);
    if (target.is_default) json.set("default", true);
    set_text(json, "description", target.description);
    set_text(json, "base", target.base);
    set_text(json, "platform", target.platform);
    json.set("location", location_json(target.where));
    list.push_back(std::move(json));
  }
  Json json = Json::object();
  json.set("targets", std::move(list));
  json.set("sources", Json::array({source_data(dockerfile)}));
  return json.dump_pretty() + "\n";
}

}  // namespace kiln::frontend
