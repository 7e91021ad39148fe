#include "cmd/go_template.h"

#include <algorithm>

#include "base/strings.h"
#include "cmd/go_template_nodes.h"

namespace kiln::cmd {
namespace {

tl::unexpected<Error> bad_data(const std::string& why) {
  return fail(Code::kInvalidArgument, "template: " + why);
}

// What a Go struct's field is called in JSON: MediaType is "mediaType", OSVersion "os.version",
// DiffIDs "diff_ids". Keys that begin with a capital are fields by themselves.
bool is_json_name(std::string_view key, std::string_view field) {
  if (key.empty() || (key.front() >= 'A' && key.front() <= 'Z')) return false;
  std::string letters;
  for (const char c : key)
    if (c != '.' && c != '_' && c != '-') letters += c;
  return equal_fold(letters, field);
}

const Json* find_field(const Json& from, const std::string& field) {
  if (const Json* exact = from.find(field)) return exact;
  if (field.empty() || field.front() < 'A' || field.front() > 'Z') return nullptr;
  for (const auto& [key, value] : from.members())
    if (is_json_name(key, field)) return &value;
  return nullptr;
}

class Rendering {
 public:
  explicit Rendering(const Json& root) : root_(root) {}

  Status nodes(const GoNodes& nodes, const Json& dot) {
    for (const auto& node : nodes) KILN_TRY(this->node(*node, dot));
    return {};
  }
  std::string take() { return std::move(text_); }

 private:
  using Kind = GoTemplate::Node::Kind;

  Status node(const GoTemplate::Node& node, const Json& dot) {
    if (node.kind == Kind::kText) {
      text_ += node.text;
      return {};
    }
    KILN_TRY_ASSIGN(const Json value, pipeline(node.pipeline, dot));
    if (node.kind == Kind::kAction) {
      text_ += go_text(value);
      return {};
    }
    if (!go_truth(value)) return nodes(node.otherwise, dot);
    if (node.kind == Kind::kIf) return nodes(node.body, dot);
    if (node.kind == Kind::kWith) return nodes(node.body, value);
    return range(node, value);
  }

  Status range(const GoTemplate::Node& node, const Json& over) {
    if (!over.is_array() && !over.is_object())
      return bad_data("range can't iterate over " + go_text(over));
    for (const Json& element : over.elements()) KILN_TRY(nodes(node.body, element));
    std::vector<Json::Member> members = over.members();
    std::sort(members.begin(), members.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [key, value] : members) KILN_TRY(nodes(node.body, value));
    return {};
  }

  Result<Json> pipeline(const GoPipeline& pipeline, const Json& dot) {
    std::optional<Json> last;
    for (const std::vector<GoOperand>& command : pipeline.commands) {
      KILN_TRY_ASSIGN(last, this->command(command, dot, last));
    }
    return *std::move(last);
  }

  /// What came through the pipe is the last argument.
  Result<Json> command(const std::vector<GoOperand>& words, const Json& dot,
                       const std::optional<Json>& piped) {
    const GoOperand& first = words.front();
    if (first.kind != GoOperand::Kind::kFunction) {
      if (words.size() > 1 || piped) return bad_data("a value cannot be given arguments");
      return operand(first, dot);
    }
    std::vector<Json> arguments;
    for (size_t i = 1; i < words.size(); ++i) {
      KILN_TRY_ASSIGN(Json argument, operand(words[i], dot));
      arguments.push_back(std::move(argument));
    }
    if (piped) arguments.push_back(*piped);
    return call_go_function(first.function, arguments);
  }

  Result<Json> operand(const GoOperand& operand, const Json& dot) {
    switch (operand.kind) {
      case GoOperand::Kind::kLiteral:
        return operand.literal;
      case GoOperand::Kind::kFunction:
        return call_go_function(operand.function, {});
      case GoOperand::Kind::kDot:
        return below(dot, operand.path);
      case GoOperand::Kind::kRoot:
        return below(root_, operand.path);
      case GoOperand::Kind::kPipeline:
        break;
    }
    KILN_TRY_ASSIGN(const Json value, pipeline(*operand.pipeline, dot));
    return below(value, operand.path);
  }

  static Result<Json> below(const Json& from, const std::vector<std::string>& path) {
    const Json* at = &from;
    for (const std::string& field : path) {
      const Json* next = find_field(*at, field);
      if (next == nullptr) {
        std::vector<std::string> known;
        for (const auto& [name, value] : at->members()) known.push_back(name);
        return bad_data("there is no field ." + field + did_you_mean(field, known));
      }
      at = next;
    }
    return *at;
  }

  const Json& root_;
  std::string text_;
};

}  // namespace

GoTemplate::GoTemplate(std::vector<std::unique_ptr<Node>> nodes) : nodes_(std::move(nodes)) {}
GoTemplate::~GoTemplate() = default;
GoTemplate::GoTemplate(GoTemplate&&) noexcept = default;
GoTemplate& GoTemplate::operator=(GoTemplate&&) noexcept = default;

Result<GoTemplate> GoTemplate::parse(std::string_view text) {
  KILN_TRY_ASSIGN(GoNodes nodes, parse_go_template(text));
  return GoTemplate(std::move(nodes));
}

Result<std::string> GoTemplate::render(const Json& data) const {
  Rendering rendering(data);
  KILN_TRY(rendering.nodes(nodes_, data));
  return rendering.take();
}

std::vector<std::string> GoTemplate::top_fields() const {
  std::vector<std::string> fields;
  for (const auto& node : nodes_)
    for (const std::vector<GoOperand>& command : node->pipeline.commands)
      for (const GoOperand& operand : command)
        if (operand.kind == GoOperand::Kind::kDot && !operand.path.empty())
          fields.push_back(operand.path.back());
  return fields;
}

}  // namespace kiln::cmd
