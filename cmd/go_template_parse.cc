// Templates to nodes.
#include "base/strings.h"
#include "cmd/go_template_nodes.h"

namespace kiln::cmd {
namespace {

tl::unexpected<Error> bad_template(const std::string& why) {
  return fail(Code::kInvalidArgument, "template: " + why);
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// The words of one action: ".A.B", "\"text\"", "(", ")", "|", names, numbers.
Result<std::vector<std::string>> words_of(std::string_view action) {
  std::vector<std::string> words;
  for (size_t i = 0; i < action.size();) {
    const char c = action[i];
    size_t end = i + 1;
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      i = end;
      continue;
    }
    if (c == '"' || c == '`') {
      while (end < action.size() && action[end] != c)
        end += c == '"' && action[end] == '\\' ? 2 : 1;
      if (end >= action.size()) return bad_template("unterminated string in " + quote(action));
      ++end;
    } else if (c == '.' || c == '$' || c == '-' || is_name_char(c)) {
      while (end < action.size() && (is_name_char(action[end]) || action[end] == '.')) ++end;
    } else if (c != '(' && c != ')' && c != '|') {
      return bad_template("unexpected " + quote(std::string(1, c)) + " in " + quote(action));
    }
    words.emplace_back(action.substr(i, end - i));
    i = end;
  }
  return words;
}

class ActionParser {
 public:
  explicit ActionParser(std::vector<std::string> words) : words_(std::move(words)) {}

  bool at_end() const { return at_ >= words_.size(); }
  std::string take() { return at_end() ? std::string() : words_[at_++]; }
  const std::string& peek() const {
    static const std::string kNone;
    return at_end() ? kNone : words_[at_];
  }

  // Up to the end, or to a closing parenthesis.
  Result<GoPipeline> pipeline() {
    GoPipeline pipeline;
    pipeline.commands.emplace_back();
    while (!at_end() && peek() != ")") {
      if (peek() == "|") {
        (void)take();
        pipeline.commands.emplace_back();
        continue;
      }
      KILN_TRY_ASSIGN(GoOperand operand, this->operand());
      pipeline.commands.back().push_back(std::move(operand));
    }
    for (const auto& command : pipeline.commands)
      if (command.empty()) return bad_template("missing value for command");
    return pipeline;
  }

 private:
  Result<GoOperand> operand() {
    const std::string word = take();
    GoOperand operand;
    if (word == "(") {
      KILN_TRY_ASSIGN(GoPipeline inner, pipeline());
      if (take() != ")") return bad_template("unclosed left paren");
      operand.kind = GoOperand::Kind::kPipeline;
      operand.pipeline = std::make_shared<GoPipeline>(std::move(inner));
      if (peek().starts_with(".") && peek().size() > 1) operand.path = fields(take().substr(1));
      return operand;
    }
    if (word.front() == '.' || word.front() == '$') {
      operand.kind = word.front() == '.' ? GoOperand::Kind::kDot : GoOperand::Kind::kRoot;
      const size_t skip = word.starts_with("$.") ? 2 : 1;
      if (word.front() == '$' && word.size() > 1 && skip == 1)
        return bad_template("undefined variable " + quote(word));
      operand.path = fields(word.size() > skip ? word.substr(skip) : "");
      return operand;
    }
    return literal_or_function(word);
  }

  static Result<GoOperand> literal_or_function(const std::string& word) {
    GoOperand operand;
    operand.kind = GoOperand::Kind::kLiteral;
    if (word.front() == '`') {
      operand.literal = word.substr(1, word.size() - 2);
      return operand;
    }
    if (word.front() == '"' || word == "true" || word == "false" || parse_int(word)) {
      const Result<Json> value = Json::parse(word);
      if (!value) return bad_template("bad constant " + word);
      operand.literal = *value;
      return operand;
    }
    if (!is_go_function(word))
      return bad_template("function " + quote(word) + " not defined" +
                          did_you_mean(word, go_functions()));
    operand.kind = GoOperand::Kind::kFunction;
    operand.function = word;
    return operand;
  }

  static std::vector<std::string> fields(const std::string& text) {
    return text.empty() ? std::vector<std::string>() : split(text, '.');
  }

  std::vector<std::string> words_;
  size_t at_ = 0;
};

class TemplateParser {
 public:
  explicit TemplateParser(std::string_view text) : text_(text) {}

  Result<GoNodes> run() {
    KILN_TRY_ASSIGN(GoNodes nodes, block(0));
    if (!ended_by_.empty()) return bad_template("unexpected {{" + ended_by_ + "}}");
    return nodes;
  }

 private:
  static constexpr int kMaxDepth = 50;

  // Nodes up to the end of the text, {{else}} or {{end}}.
  Result<GoNodes> block(int depth) {
    if (depth > kMaxDepth) return bad_template("it is nested too deeply");
    GoNodes nodes;
    ended_by_.clear();
    while (at_ < text_.size()) {
      const size_t open = std::min(text_.find("{{", at_), text_.size());
      std::string text(text_.substr(at_, open - at_));
      if (trim_next_) text.erase(0, text.find_first_not_of(" \t\r\n"));
      trim_next_ = false;
      at_ = open;
      if (open == text_.size()) {
        add_text(nodes, std::move(text));
        return nodes;
      }
      KILN_TRY_ASSIGN(const std::string action, next_action(text));
      add_text(nodes, std::move(text));
      if (action.starts_with("/*")) continue;
      KILN_TRY_ASSIGN(std::vector<std::string> words, words_of(action));
      if (words.empty()) return bad_template("missing value for command");
      if (words[0] == "end" || words[0] == "else") {
        ended_by_ = words[0];
        return nodes;
      }
      KILN_TRY_ASSIGN(auto node, action_node(std::move(words), depth));
      nodes.push_back(std::move(node));
    }
    return nodes;
  }

  // What is between {{ and }}; "{{-" and "-}}" trim the text around it.
  Result<std::string> next_action(std::string& before) {
    const size_t close = text_.find("}}", at_);
    if (close == std::string_view::npos) return bad_template("unclosed action");
    std::string_view action = text_.substr(at_ + 2, close - at_ - 2);
    at_ = close + 2;
    if (action.starts_with("- ")) {
      before.erase(before.find_last_not_of(" \t\r\n") + 1);
      action.remove_prefix(2);
    }
    if (action.ends_with(" -")) {
      trim_next_ = true;
      action.remove_suffix(2);
    }
    return std::string(trim(action));
  }

  static void add_text(GoNodes& nodes, std::string text) {
    if (text.empty()) return;
    auto node = std::make_unique<GoTemplate::Node>();
    node->text = std::move(text);
    nodes.push_back(std::move(node));
  }

  Result<std::unique_ptr<GoTemplate::Node>> action_node(std::vector<std::string> words, int depth) {
    using Kind = GoTemplate::Node::Kind;
    auto node = std::make_unique<GoTemplate::Node>();
    node->kind = words[0] == "if"      ? Kind::kIf
                 : words[0] == "range" ? Kind::kRange
                 : words[0] == "with"  ? Kind::kWith
                                       : Kind::kAction;
    if (node->kind != Kind::kAction) words.erase(words.begin());
    ActionParser parser(std::move(words));
    KILN_TRY_ASSIGN(node->pipeline, parser.pipeline());
    if (!parser.at_end()) return bad_template("unexpected " + quote(parser.take()));
    if (node->kind == Kind::kAction) return node;
    KILN_TRY_ASSIGN(node->body, block(depth + 1));
    if (ended_by_ == "else") {
      KILN_TRY_ASSIGN(node->otherwise, block(depth + 1));
    }
    if (ended_by_ != "end") return bad_template("there is no {{end}}");
    ended_by_.clear();
    return node;
  }

  const std::string_view text_;
  size_t at_ = 0;
  bool trim_next_ = false;
  std::string ended_by_;
};

}  // namespace

Result<GoNodes> parse_go_template(std::string_view text) {
  return TemplateParser(text).run();
}

}  // namespace kiln::cmd
