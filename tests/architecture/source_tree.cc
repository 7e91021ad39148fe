#include "tests/architecture/source_tree.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace kiln {
namespace {

namespace fs = std::filesystem;

Names split_lines(const std::string& text) {
  Names lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

size_t end_of_quoted(std::string_view text, size_t at) {
  const char quote = text[at];
  for (++at; at < text.size() && text[at] != quote && text[at] != '\n'; ++at)
    if (text[at] == '\\') ++at;
  return at + 1;
}

// The end of a comment or literal that starts at `at`; `at` itself if none does.
size_t end_of_blank(std::string_view text, size_t at) {
  const std::string_view rest = text.substr(at);
  const bool after_word = at > 0 && is_word(text[at - 1]);
  size_t end = at;
  if (rest.starts_with("//")) {
    end = text.find('\n', at);
  } else if (rest.starts_with("/*")) {
    end = text.find("*/", at + 2) + 2;
  } else if (rest.starts_with("R\"") && !after_word) {
    const std::string close = ")" + std::string(rest.substr(2, rest.find('(') - 2)) + "\"";
    end = text.find(close, at) + close.size();
  } else if (rest.starts_with('"') || (rest.starts_with('\'') && !after_word)) {
    end = end_of_quoted(text, at);  // after a word ' separates digits: 1'000
  }
  return std::max(at, std::min(end, text.size()));
}

SourceFile read_source(const fs::path& root, const fs::path& path) {
  std::ifstream stream(path);
  std::stringstream text;
  text << stream.rdbuf();
  return {fs::relative(path, root).string(), split_lines(text.str()),
          split_lines(blank_literals(text.str()))};
}

}  // namespace

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

std::string blank_literals(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = end_of_blank(text, at);
    if (end == at) {
      out.push_back(text[at++]);
      continue;
    }
    for (; at < end; ++at) out.push_back(text[at] == '\n' ? '\n' : ' ');
  }
  return out;
}

const std::vector<SourceFile>& sources() {
  static const std::vector<SourceFile> kSources = [] {
    const fs::path root = KILN_SOURCE_DIR;
    std::vector<SourceFile> files;
    for (const Layer& layer : layers()) {
      if (layer.folder.find('/') != std::string::npos || !fs::exists(root / layer.folder)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(root / layer.folder))
        if (entry.is_regular_file() &&
            (entry.path().extension() == ".h" || entry.path().extension() == ".cc"))
          files.push_back(read_source(root, entry.path()));
    }
    std::sort(files.begin(), files.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
    return files;
  }();
  return kSources;
}

std::vector<Include> includes_of(const SourceFile& file) {
  constexpr std::string_view kDirective = "#include ";
  std::vector<Include> includes;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const std::string_view line = file.lines[i];
    if (!line.starts_with(kDirective) || line.size() < kDirective.size() + 2) continue;
    const bool quoted = line[kDirective.size()] == '"';
    const std::string_view rest = line.substr(kDirective.size() + 1);
    includes.push_back({i + 1, std::string(rest.substr(0, rest.find(quoted ? '"' : '>'))), quoted});
  }
  return includes;
}

}  // namespace kiln
