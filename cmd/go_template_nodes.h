// What a template is parsed into (go_template.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cmd/go_template.h"

namespace kiln::cmd {

/// An operand: a path of fields from the dot or the root, a literal, a function's name, or a
/// pipeline in parentheses.
struct GoPipeline;
struct GoOperand {
  enum class Kind : uint8_t { kDot, kRoot, kLiteral, kFunction, kPipeline } kind = Kind::kDot;
  std::vector<std::string> path;  // fields below it
  Json literal;
  std::string function;
  std::shared_ptr<GoPipeline> pipeline;
};
struct GoPipeline {
  std::vector<std::vector<GoOperand>> commands;
};

struct GoTemplate::Node {
  enum class Kind : uint8_t { kText, kAction, kIf, kRange, kWith } kind = Kind::kText;
  std::string text;
  GoPipeline pipeline;
  std::vector<std::unique_ptr<Node>> body, otherwise;
};

using GoNodes = std::vector<std::unique_ptr<GoTemplate::Node>>;
Result<GoNodes> parse_go_template(std::string_view text);
/// A function's value; kInvalidArgument.
Result<Json> call_go_function(const std::string& name, const std::vector<Json>& arguments);
bool is_go_function(const std::string& name);
const std::vector<std::string>& go_functions();
/// False: false, 0, "", empty, null.
bool go_truth(const Json& value);

}  // namespace kiln::cmd
