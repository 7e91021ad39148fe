#include "frontend/line_grammar.h"

#include <antlr4-runtime.h>

#include <algorithm>
#include <exception>

#include "DockerfileLexer.h"
#include "DockerfileParser.h"
#include "base/json.h"
#include "base/strings.h"
#include "frontend/words.h"

namespace kiln::dockerfile {
namespace {

using Parser = grammar::DockerfileParser;
using antlr4::Token;

// Feeds bytes: positions in tokens are then byte offsets. Bytes beyond ASCII all look alike to the
// grammar.
class ByteStream final : public antlr4::ANTLRInputStream {
 public:
  void assign(std::string_view text) {
    _data.resize(text.size());
    std::transform(text.begin(), text.end(), _data.begin(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return static_cast<char32_t>(byte < 0x80 ? byte : 0x7F);
    });
    p = 0;
  }
};

// The grammar holds the rules of ENV's words twice, once for each escape character.
class Lexer final : public grammar::DockerfileLexer {
 public:
  Lexer(antlr4::CharStream* input, char escape)
      : grammar::DockerfileLexer(input), backtick_(escape == '`') {}
  void setMode(size_t wanted) override {
    grammar::DockerfileLexer::setMode(backtick_ && wanted == PAIRS ? size_t{PAIRS_TICK} : wanted);
  }

 private:
  const bool backtick_;
};

// Cuts a parse tree's tokens out of the line.
class Cutter {
 public:
  Cutter(std::string_view line, char escape, Instruction& out)
      : line_(line), escape_(escape), out_(out) {}

  Status cut(Parser::InstructionContext* tree) {
    if (auto* command = dynamic_cast<Parser::CommandContext*>(tree)) return cut_command(command);
    if (auto* list = dynamic_cast<Parser::ListContext*>(tree)) return cut_list(list);
    if (auto* pairs = dynamic_cast<Parser::PairsContext*>(tree)) return cut_pairs(pairs);
    if (auto* health = dynamic_cast<Parser::HealthcheckContext*>(tree)) return cut_health(health);
    if (auto* words = dynamic_cast<Parser::WordsContext*>(tree)) return cut_words(words);
    if (auto* text = dynamic_cast<Parser::TextContext*>(tree)) return cut_line(text);
    if (auto* trigger = dynamic_cast<Parser::TriggerContext*>(tree)) return cut_line(trigger);
    return cut_line(dynamic_cast<Parser::UnknownContext*>(tree));
  }

 private:
  std::string_view text_of(const Token* token) const {
    return line_.substr(token->getStartIndex(), token->getStopIndex() + 1 - token->getStartIndex());
  }
  std::string_view from(const Token* token) const { return line_.substr(token->getStartIndex()); }

  // Sets the name and the flags. False: a quote that never closes makes the rest of the line part
  // of the last flag.
  bool cut_head(const Token* name, Parser::FlagsContext* flags) {
    out_.original_name = text_of(name);
    out_.name = to_lower(out_.original_name);
    for (size_t i = 0; i < flags->children.size(); ++i) {
      const Token* token =
          static_cast<antlr4::tree::TerminalNode*>(flags->children[i])->getSymbol();
      const size_t next = token->getStopIndex() + 1;
      const bool open = next < line_.size() && kBlanks.find(line_[next]) == std::string_view::npos;
      Flag flag = decode_flag(open ? from(token) : text_of(token));
      if (flag.raw != "--") out_.flags.push_back(std::move(flag));
      if (open) return false;
    }
    return true;
  }

  // True: `form` is an array of strings and its elements were appended.
  Result<bool> cut_array(Parser::FormContext* form) {
    if (auto* array = dynamic_cast<Parser::ArrayContext*>(form)) {
      for (auto* element : array->STRING()) {
        out_.args.push_back(decode_json_string(text_of(element->getSymbol())));
      }
      out_.json = true;
      return true;
    }
    const std::string_view text = from(form->start);
    if (text.front() != '[') return false;
    const Result<Json> json = Json::parse(text);
    if (json && json->is_array()) {
      return fail(Code::kInvalidArgument,
                  "when using JSON array syntax, arrays must be comprised of strings only");
    }
    return false;
  }

  Status cut_form(Parser::FormContext* form) {
    if (form == nullptr) return {};
    KILN_TRY_ASSIGN(const bool array, cut_array(form));
    if (!array) out_.args.emplace_back(from(form->start));
    return {};
  }

  Status cut_command(Parser::CommandContext* tree) {
    if (!cut_head(tree->name, tree->flags())) return {};
    return cut_form(tree->form());
  }

  Status cut_list(Parser::ListContext* tree) {
    if (!cut_head(tree->name, tree->flags()) || tree->form() == nullptr) return {};
    KILN_TRY_ASSIGN(const bool array, cut_array(tree->form()));
    if (!array) out_.args = split_blanks(from(tree->form()->start));
    return {};
  }

  Status cut_health(Parser::HealthcheckContext* tree) {
    if (!cut_head(tree->name, tree->flags()) || tree->kind == nullptr) return {};
    out_.args.emplace_back(text_of(tree->kind));
    return cut_form(tree->form());
  }

  Status cut_words(Parser::WordsContext* tree) {
    if (!cut_head(tree->name, tree->flags())) return {};
    for (auto* word : tree->WORD()) out_.args.emplace_back(text_of(word->getSymbol()));
    return {};
  }

  template <class Tree>
  Status cut_line(Tree* tree) {
    KILN_CHECK(tree != nullptr);
    if (!cut_head(tree->name, tree->flags()) || tree->TEXT() == nullptr) return {};
    out_.args.emplace_back(from(tree->TEXT()->getSymbol()));
    return {};
  }

  Status cut_pairs(Parser::PairsContext* tree) {
    if (!cut_head(tree->name, tree->flags()) || tree->piece().empty()) return {};
    std::vector<std::string> words = join_pieces(tree->piece());
    if (out_.name == "arg") {
      out_.args = std::move(words);
      return {};
    }
    const std::string_view text = from(tree->piece(0)->start);
    KILN_TRY_ASSIGN(out_.args, key_value_args(words, text, to_upper(out_.name)));
    return {};
  }

  // Pieces that touch are one word: what an open quote cuts off belongs to the word before it. An
  // escape character that ends the line escapes nothing and is dropped, in double quotes too.
  std::vector<std::string> join_pieces(const std::vector<Parser::PieceContext*>& pieces) const {
    std::vector<std::string> words;
    size_t end = std::string_view::npos;
    for (const Parser::PieceContext* piece : pieces) {
      const Token* token = piece->start;
      std::string_view text = text_of(token);
      if (token->getType() == Parser::BROKEN && text.front() == escape_) continue;
      const bool in_double_quotes = token->getType() == Parser::REST && words.back().back() == '"';
      if (in_double_quotes && ends_in_escape(text)) text.remove_suffix(1);
      if (token->getStartIndex() != end) words.emplace_back();
      words.back().append(text);
      end = token->getStopIndex() + 1;
    }
    return words;
  }

  bool ends_in_escape(std::string_view text) const {
    const size_t last = text.find_last_not_of(escape_);
    const size_t escapes = last == std::string_view::npos ? text.size() : text.size() - 1 - last;
    return escapes % 2 == 1;
  }

  const std::string_view line_;
  const char escape_;
  Instruction& out_;
};

}  // namespace

struct LineGrammar::Machine {
  explicit Machine(char escape_character)
      : escape(escape_character),
        lexer(&stream, escape_character),
        tokens(&lexer),
        parser(&tokens) {
    lexer.removeErrorListeners();
    parser.removeErrorListeners();
    parser.setErrorHandler(std::make_shared<antlr4::BailErrorStrategy>());
    // The grammar has no decision that needs the full context.
    parser.getInterpreter<antlr4::atn::ParserATNSimulator>()->setPredictionMode(
        antlr4::atn::PredictionMode::SLL);
  }

  const char escape;
  ByteStream stream;
  Lexer lexer;
  antlr4::CommonTokenStream tokens;
  Parser parser;
};

LineGrammar::LineGrammar(char escape) : machine_(std::make_unique<Machine>(escape)) {}
LineGrammar::~LineGrammar() = default;

Status LineGrammar::parse(std::string_view line, Instruction& out) {
  out.text = line;
  line = trim(line);
  if (line.empty()) return {};
  try {
    machine_->stream.assign(line);
    machine_->lexer.setInputStream(&machine_->stream);
    machine_->tokens.setTokenSource(&machine_->lexer);
    machine_->parser.setTokenStream(&machine_->tokens);
    return Cutter(line, machine_->escape, out).cut(machine_->parser.line()->instruction());
  } catch (const std::exception& e) {
    // Every line matches the grammar: this is a fault of the grammar, not of the line.
    return fail(Code::kInternal, std::string("the grammar refused the line: ") + e.what());
  }
}

}  // namespace kiln::dockerfile
