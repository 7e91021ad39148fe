#include "frontend/ast.h"

#include <algorithm>

#include "base/json.h"

namespace kiln::dockerfile {
namespace {

Json heredoc_json(const Heredoc& heredoc) {
  return Json::object({{"name", heredoc.name},
                       {"body", heredoc.body},
                       {"expand", heredoc.expand},
                       {"chomp", heredoc.chomp}});
}

Json instruction_json(const Instruction& instruction) {
  Json flags = Json::array();
  for (const Flag& flag : instruction.flags) flags.push_back(flag.raw);
  Json heredocs = Json::array();
  for (const Heredoc& heredoc : instruction.heredocs) heredocs.push_back(heredoc_json(heredoc));
  return Json::object({{"name", instruction.name},
                       {"flags", std::move(flags)},
                       {"args", Json::array_of(instruction.args)},
                       {"json", instruction.json},
                       {"heredocs", std::move(heredocs)},
                       {"start", instruction.start},
                       {"end", instruction.end},
                       {"text", instruction.text}});
}

}  // namespace

std::string Heredoc::content() const {
  if (!chomp) return body;
  std::string out;
  out.reserve(body.size());
  for (size_t at = 0; at < body.size();) {
    at = std::min(body.find_first_not_of('\t', at), body.size());
    const size_t end = body.find('\n', at);
    const size_t next = end == std::string::npos ? body.size() : end + 1;
    out.append(body, at, next - at);
    at = next;
  }
  return out;
}

std::string ast_json(const Ast& ast) {
  Json array = Json::array();
  for (const Instruction& instruction : ast.instructions) {
    array.push_back(instruction_json(instruction));
  }
  return array.dump_pretty() + "\n";
}

}  // namespace kiln::dockerfile
