#include "frontend/parser.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "frontend/heredoc.h"
#include "frontend/line_grammar.h"
#include "frontend/line_reader.h"

namespace kiln::dockerfile {
namespace {

// Where things are: in a file at their own lines, in a fragment all at one place.
struct Place {
  std::string file;
  std::optional<SourceRange> fixed;
  SourceRange range(int first, int last) const {
    return fixed ? *fixed : SourceRange{file, first, last};
  }
};

class FileParser {
 public:
  FileParser(LineReader& reader, Place place) : reader_(reader), place_(std::move(place)) {}

  Parsed run() {
    while (auto line = reader_.next()) parse_line(std::move(*line));
    parsed_.ast.file = place_.fixed ? place_.fixed->file : place_.file;
    parsed_.ast.escape = reader_.escape();
    for (const LineReader::Problem& problem : reader_.problems()) {
      parsed_.errors.push_back(
          parse_error(place_.range(problem.line, problem.line), problem.message));
    }
    std::stable_sort(parsed_.errors.begin(), parsed_.errors.end(),
                     [](const Error& a, const Error& b) {
                       return a.where().value_or(SourceRange{}).first_line <
                              b.where().value_or(SourceRange{}).first_line;
                     });
    return std::move(parsed_);
  }

 private:
  void parse_line(LogicalLine line) {
    if (!grammar_) grammar_.emplace(reader_.escape());  // the directives have been read
    Instruction node;
    node.start = line.start;
    node.comments = std::move(line.comments);
    node.empty_continuation = line.empty_continuation;
    Status status = grammar_->parse(line.text, node);
    const bool body_follows = takes_heredocs(node, status);
    if (status && body_follows) status = read_heredocs(node);
    const SourceRange range = place_.range(line.start, reader_.line_number());
    node.start = range.first_line;
    node.end = range.last_line;
    if (!status) parsed_.errors.push_back(parse_error(range, status.error()));
    parsed_.ast.instructions.push_back(std::move(node));
  }

  // May lines after this one belong to it? ONBUILD's trigger is looked at for that, and checked on
  // the way.
  bool takes_heredocs(const Instruction& node, Status& status) {
    const auto accepts = [](const Instruction& i) {
      return !i.json && (i.name == "run" || i.name == "copy" || i.name == "add");
    };
    if (node.name != "onbuild" || node.args.empty()) return accepts(node);
    Instruction trigger;
    if (status) status = grammar_->parse(node.args.front(), trigger);
    return accepts(trigger);
  }

  Status read_heredocs(Instruction& node) {
    for (Heredoc& heredoc : heredoc_words(node.text)) {
      const bool terminated = reader_.read_body(heredoc);
      node.heredocs.push_back(std::move(heredoc));
      if (!terminated) return fail(Code::kInvalidArgument, "unterminated heredoc");
    }
    return {};
  }

  LineReader& reader_;
  const Place place_;
  std::optional<LineGrammar> grammar_;
  Parsed parsed_;
};

}  // namespace

Parsed parse(std::string_view text, const std::string& file) {
  if (text.empty()) {
    Parsed parsed;
    parsed.ast.file = file;
    parsed.errors.emplace_back(Code::kInvalidArgument, "the Dockerfile cannot be empty");
    return parsed;
  }
  LineReader reader(text);
  Parsed parsed = FileParser(reader, Place{file, std::nullopt}).run();
  parsed.ast.syntax = detect_syntax(text);
  parsed.ast.check = detect_check(text);
  if (parsed.ast.instructions.empty() && parsed.errors.empty()) {
    parsed.errors.emplace_back(Code::kInvalidArgument, "file with no instructions");
  }
  return parsed;
}

Parsed parse_fragment(std::string_view text, char escape, const SourceRange& where) {
  LineReader reader(text, escape);
  return FileParser(reader, Place{where.file, where}).run();
}

}  // namespace kiln::dockerfile
