#include "frontend/heredoc.h"

#include <algorithm>

#include "frontend/shell_lex.h"

namespace kiln::dockerfile {
namespace {

constexpr size_t kMaxFdDigits = 6;

Result<std::vector<std::string>> words_of(std::string_view text, Quotes quotes, Escapes escapes) {
  const ExpandOptions options{'\\', quotes, escapes, Unset::kKeep, Split::kYes};
  KILN_TRY_ASSIGN(Expansion expansion, expand(text, nullptr, options));
  return std::move(expansion.words);
}

}  // namespace

std::optional<Heredoc> parse_heredoc_word(std::string_view word) {
  const size_t digits = static_cast<size_t>(
      std::find_if_not(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; }) -
      word.begin());
  std::string_view rest = word.substr(digits);
  if (rest.substr(0, 2) != "<<" || digits > kMaxFdDigits) return std::nullopt;
  rest.remove_prefix(2);
  Heredoc heredoc;
  for (const char c : word.substr(0, digits)) heredoc.fd = heredoc.fd * 10 + (c - '0');
  heredoc.chomp = !rest.empty() && rest.front() == '-';
  if (heredoc.chomp) rest.remove_prefix(1);
  if (rest.empty() || rest.find('<') != std::string_view::npos) return std::nullopt;
  const auto plain = words_of(rest, Quotes::kRemove, Escapes::kRemove);
  const auto raw = words_of(rest, Quotes::kKeep, Escapes::kKeep);
  if (!plain || !raw || plain->size() != 1 || raw->size() != 1) return std::nullopt;
  heredoc.name = plain->front();
  heredoc.expand = plain->front() == raw->front();  // otherwise some part of the word was quoted
  return heredoc;
}

std::vector<Heredoc> heredoc_words(std::string_view line) {
  std::vector<Heredoc> heredocs;
  if (line.find("<<") == std::string_view::npos) return heredocs;
  const auto words = words_of(line, Quotes::kKeep, Escapes::kKeep);
  if (!words) return heredocs;
  for (const std::string& word : *words) {
    if (auto heredoc = parse_heredoc_word(word)) heredocs.push_back(std::move(*heredoc));
  }
  return heredocs;
}

}  // namespace kiln::dockerfile
