// The rules of ARCHITECTURE.md and STYLE.md that a compiler does not check: which folder may
// include which, which files may include which library, how large a file may get, and what may be
// written nowhere. The tables are the rules: a change of the architecture is a change here.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

// ---- The tables
// ----------------------------------------------------------------------------------------------------

struct Layer {
  std::string folder;  // the longest match owns a file
  Names may_include;   // folders (all below them too) or single headers, besides its own folder
};
const std::vector<Layer> kLayers = {
    {"base", {}},
    {"oci", {"base"}},
    {"llb", {"base"}},
    {"frontend", {"base", "llb", "oci/reference.h", "oci/image.h"}},
    {"snapshotter", {"base", "oci"}},
    {"cache", {"base", "oci"}},
    {"cache/server", {"base", "oci", "cache"}},
    {"solver/executor", {"base", "llb", "snapshotter/types.h"}},
    {"solver", {"base", "llb", "cache", "snapshotter/types.h"}},
    {"solver/ops", {"base", "oci", "llb", "snapshotter", "cache", "solver"}},
    {"solver/sources", {"base", "oci", "llb", "snapshotter", "cache", "solver"}},
    {"exporter",
     {"base", "oci", "llb", "snapshotter", "cache", "solver/operation.h", "solver/solver.h",
      "solver/ops/snapshot_ref.h", "solver/ops/tree_ref.h"}},
    {"cmd", {"base", "oci", "llb", "frontend", "snapshotter", "cache", "solver", "exporter"}},
    {"tests",
     {"base", "oci", "llb", "frontend", "snapshotter", "cache", "solver", "exporter", "cmd"}},
    {"bench", {"base", "oci", "llb", "frontend", "snapshotter", "cache", "solver", "exporter"}},
};

struct Library {
  std::string header;  // a header, or a folder of headers with its "/"
  Names owners;        // folders or files that may include it
};
const std::vector<Library> kLibraries = {
    {"tl/expected.hpp", {"base/result.h"}},
    {"nlohmann/", {"base/json.cc"}},
    {"curl/", {"base/curl_api.h"}},
    {"openssl/", {"base"}},
    {"xxhash.h", {"base/fingerprint.cc"}},
    {"sqlite3.h", {"base/database.cc"}},
    {"archive.h", {"oci"}},
    {"archive_entry.h", {"oci"}},
    {"zstd.h", {"oci"}},
    {"zlib.h", {"oci"}},
    {"bzlib.h", {"oci"}},
    {"lzma.h", {"oci"}},
    {"isa-l/", {"oci"}},
    {"isa-l.h", {"oci"}},
    {"tbb/", {"oci", "snapshotter", "solver", "exporter"}},
    {"oneapi/", {"oci", "snapshotter", "solver", "exporter"}},
    {"google/protobuf/", {"llb"}},
    {"ops.pb.h", {"llb"}},
    {"antlr4-runtime.h", {"frontend"}},
    {"DockerfileLexer.h", {"frontend"}},
    {"DockerfileParser.h", {"frontend"}},
    {"seccomp.h", {"solver/executor"}},
    {"CLI/", {"cmd"}},
    {"boost/", {"cache/server"}},
    {"gtest/", {"tests"}},
    {"gmock/", {"tests"}},
};

// C and POSIX headers without a folder. (Headers without a dot are C++'s own.)
const std::set<std::string> kSystemHeaders = {
    "assert.h",  "dirent.h", "dlfcn.h",  "errno.h",  "fcntl.h",   "features.h", "fnmatch.h",
    "ftw.h",     "getopt.h", "glob.h",   "grp.h",    "ifaddrs.h", "inttypes.h", "limits.h",
    "link.h",    "locale.h", "malloc.h", "mntent.h", "netdb.h",   "poll.h",     "pthread.h",
    "pty.h",     "pwd.h",    "regex.h",  "sched.h",  "signal.h",  "spawn.h",    "stdarg.h",
    "stddef.h",  "stdint.h", "stdio.h",  "stdlib.h", "string.h",  "strings.h",  "syslog.h",
    "termios.h", "time.h",   "unistd.h", "utime.h",  "wait.h"};
const Names kSystemFolders = {"arpa/", "asm/", "linux/", "net/", "netinet/", "sanitizer/", "sys/"};

struct Ban {
  enum class Kind : uint8_t { kText, kCall };
  Kind kind;
  std::string text;  // kCall: a function's name; calls of members of that name are no violation
  std::string rule;
  Names allowed;  // folders or files
};
const std::vector<Ban> kBans = {
    {Ban::Kind::kCall, "system", "no shell for our own work: spawn argv with base/process.h", {}},
    {Ban::Kind::kCall, "popen", "no shell for our own work: spawn argv with base/process.h", {}},
    {Ban::Kind::kCall, "getenv", "the environment is read in cmd/ alone", {"cmd", "tests"}},
    {Ban::Kind::kCall, "secure_getenv", "the environment is read in cmd/ alone", {"cmd"}},
    {Ban::Kind::kCall, "setenv", "the environment of the process is not ours to change", {"tests"}},
    {Ban::Kind::kCall,
     "unsetenv",
     "the environment of the process is not ours to change",
     {"tests"}},
    {Ban::Kind::kCall, "putenv", "the environment of the process is not ours to change", {}},
    {Ban::Kind::kText, "catch (...)", "catch what can be thrown, by type", {}},
    {Ban::Kind::kText, "std::filesystem", "untrusted paths go through base/fs.h", {"cmd", "tests"}},
    {Ban::Kind::kText, ".detach()", "threads are joined by their owner", {}},
    {Ban::Kind::kText, "archive_read_support_filter_all", "filters are listed (SAFETY.md 1.2)", {}},
    {Ban::Kind::kText, "archive_read_support_format_all", "formats are listed (SAFETY.md 1.2)", {}},
    {Ban::Kind::kText,
     "archive_write_disk",
     "archives are unpacked through Root (SAFETY.md 1.2)",
     {}},
};

constexpr size_t kSmellLines = 400;
constexpr size_t kMaxLines = 600;
constexpr size_t kMaxTestLines = 800;
const Names kBadFolderNames = {"util",    "utils",   "common", "core",
                               "helpers", "include", "src",    "misc"};

// ---- Reading the tree
// ----------------------------------------------------------------------------------------------

struct SourceFile {
  std::string path;  // from the root of the tree
  Names lines;       // as they are
  Names code;        // with comments and the insides of literals blanked
};

bool is_below(const std::string& path, const std::string& folder_or_file) {
  return path == folder_or_file || path.starts_with(folder_or_file + "/");
}

bool is_below_any(const std::string& path, const Names& places) {
  return std::any_of(places.begin(), places.end(),
                     [&](const std::string& place) { return is_below(path, place); });
}

Names split_lines(const std::string& text) {
  Names lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
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

// Blanks comments, strings and characters; lines stay where they are.
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

SourceFile read_source(const fs::path& root, const fs::path& path) {
  std::ifstream stream(path);
  std::stringstream text;
  text << stream.rdbuf();
  return {fs::relative(path, root).string(), split_lines(text.str()),
          split_lines(blank_literals(text.str()))};
}

const std::vector<SourceFile>& sources() {
  static const std::vector<SourceFile> kSources = [] {
    const fs::path root = KILN_SOURCE_DIR;
    std::vector<SourceFile> files;
    for (const Layer& layer : kLayers) {
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

const Layer* layer_of(const std::string& path) {
  const Layer* best = nullptr;
  for (const Layer& layer : kLayers)
    if (is_below(path, layer.folder) &&
        (best == nullptr || layer.folder.size() > best->folder.size()))
      best = &layer;
  return best;
}

struct Include {
  size_t line;  // 1-based
  std::string header;
  bool quoted;
};

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

// Whether what stands before a name and its "(" makes that a call of the global function: not a
// member
// ("Clock::system(", ".system(") and not a declaration ("Clock& system(").
bool is_global_call(std::string_view before) {
  if (before.ends_with("::")) {
    before.remove_suffix(2);
    if (before.ends_with("std")) return true;
    return before.empty() || !(is_word(before.back()) || before.back() == '>');
  }
  if (!before.empty() && (is_word(before.back()) || before.back() == '.' || before.ends_with("->")))
    return false;
  const size_t last = before.find_last_not_of(' ');
  if (last == std::string_view::npos) return true;
  before = before.substr(0, last + 1);
  if (before.ends_with("return")) return true;
  const bool reference = before.ends_with('&') && !before.ends_with("&&");
  return !is_word(before.back()) && before.back() != '*' && before.back() != '>' && !reference;
}

bool has_call(std::string_view line, const std::string& name) {
  for (size_t at = line.find(name); at != std::string_view::npos; at = line.find(name, at + 1))
    if (line.substr(at + name.size()).starts_with('(') && is_global_call(line.substr(0, at)))
      return true;
  return false;
}

bool breaks(std::string_view line, const Ban& ban) {
  return ban.kind == Ban::Kind::kCall ? has_call(line, ban.text)
                                      : line.find(ban.text) != std::string_view::npos;
}

class Violations {
 public:
  void add(const std::string& path, size_t line, const std::string& rule) {
    text_ += "  " + path + ":" + std::to_string(line) + ": " + rule + "\n";
  }
  void expect_none() const { EXPECT_TRUE(text_.empty()) << "\n" << text_; }

 private:
  std::string text_;
};

// ---- The tests
// -----------------------------------------------------------------------------------------------------

TEST(ArchitectureTest, FilesIncludeOnlyTheirOwnFolderAndLowerLayers) {
  Violations violations;
  for (const SourceFile& file : sources()) {
    const Layer* own = layer_of(file.path);
    for (const Include& include : includes_of(file)) {
      const Layer* other = layer_of(include.header);
      if (!include.quoted || other == nullptr || other == own) continue;
      if (!is_below_any(include.header, own->may_include))
        violations.add(file.path, include.line,
                       own->folder + "/ may not include \"" + include.header + "\"");
      // "solver" in a table means what lies directly in it and its lower part, not its siblings
      // above.
      const bool sideways = own->folder == "solver" && other->folder != "solver" &&
                            other->folder.starts_with("solver/");
      if (sideways)
        violations.add(file.path, include.line,
                       "solver/ may not include what is built on it: " + include.header);
    }
  }
  violations.expect_none();
}

TEST(ArchitectureTest, LibrariesAreIncludedByTheirOwnersAlone) {
  Violations violations;
  for (const SourceFile& file : sources()) {
    if (is_below(file.path, "tests")) continue;  // a test may look at what a library says
    for (const Include& include : includes_of(file))
      for (const Library& library : kLibraries) {
        const bool is_it = library.header.ends_with('/')
                               ? include.header.starts_with(library.header)
                               : include.header == library.header;
        if (is_it && !is_below_any(file.path, library.owners))
          violations.add(file.path, include.line,
                         "<" + include.header + "> belongs to " + library.owners.front());
      }
  }
  violations.expect_none();
}

bool is_known(const SourceFile& file, const Include& include) {
  const std::string& header = include.header;
  // Tests may name a header that lies beside them.
  const fs::path beside = fs::path(KILN_SOURCE_DIR) / fs::path(file.path).parent_path() / header;
  if (is_below(file.path, "tests") && include.quoted && fs::exists(beside)) return true;
  if (layer_of(header) != nullptr || kSystemHeaders.contains(header)) return true;
  if (header.find('.') == std::string::npos) return true;  // C++
  const auto starts = [&](const std::string& start) { return header.starts_with(start); };
  if (std::any_of(kSystemFolders.begin(), kSystemFolders.end(), starts)) return true;
  return std::any_of(kLibraries.begin(), kLibraries.end(),
                     [&](const Library& library) { return starts(library.header); });
}

TEST(ArchitectureTest, EveryLibraryIsInTheTable) {
  Violations violations;
  for (const SourceFile& file : sources())
    for (const Include& include : includes_of(file))
      if (!is_known(file, include))
        violations.add(file.path, include.line,
                       "\"" + include.header + "\" is in no table of architecture_test.cc");
  violations.expect_none();
}

TEST(ArchitectureTest, OwnHeadersAreIncludedFromTheRootWithQuotes) {
  Violations violations;
  for (const SourceFile& file : sources())
    for (const Include& include : includes_of(file)) {
      const bool ours = layer_of(include.header) != nullptr;
      if (ours && !include.quoted)
        violations.add(file.path, include.line, "kiln's own headers are quoted");
      if (include.header.find("..") != std::string::npos)
        violations.add(file.path, include.line, "includes name the path from the root of the tree");
    }
  violations.expect_none();
}

TEST(ArchitectureTest, HeadersStartWithADocumentationAndPragmaOnce) {
  Violations violations;
  for (const SourceFile& file : sources()) {
    if (!file.path.ends_with(".h")) continue;
    if (file.lines.empty() || !file.lines.front().starts_with("//"))
      violations.add(file.path, 1, "a header starts with a paragraph that says what it is");
    const auto directive =
        std::find_if(file.code.begin(), file.code.end(),
                     [](const std::string& line) { return line.starts_with('#'); });
    if (directive == file.code.end() || *directive != "#pragma once")
      violations.add(file.path, 1, "the first directive of a header is #pragma once");
  }
  violations.expect_none();
}

TEST(ArchitectureTest, FilesStayShortEnoughToReadInOneSitting) {
  Violations violations;
  for (const SourceFile& file : sources()) {
    const size_t limit = is_below(file.path, "tests") ? kMaxTestLines : kMaxLines;
    const size_t lines = file.lines.size();
    if (lines > limit)
      violations.add(file.path, lines, "longer than " + std::to_string(limit) + " lines: split it");
    else if (lines > kSmellLines && limit == kMaxLines)
      std::cout << "note: " << file.path << " has " << lines << " lines; above " << kSmellLines
                << " look for a seam\n";
  }
  violations.expect_none();
}

TEST(ArchitectureTest, WhatIsBannedIsWrittenNowhere) {
  Violations violations;
  for (const SourceFile& file : sources())
    for (const Ban& ban : kBans) {
      if (is_below_any(file.path, ban.allowed)) continue;
      for (size_t i = 0; i < file.code.size(); ++i)
        if (breaks(file.code[i], ban)) violations.add(file.path, i + 1, ban.rule);
    }
  violations.expect_none();
}

TEST(ArchitectureTest, NoFolderIsADrawerForOddments) {
  Violations violations;
  for (const SourceFile& file : sources())
    for (const fs::path& part : fs::path(file.path).parent_path())
      if (std::find(kBadFolderNames.begin(), kBadFolderNames.end(), part.string()) !=
          kBadFolderNames.end())
        violations.add(file.path, 1,
                       "a folder is named after what it holds, not \"" + part.string() + "\"");
  violations.expect_none();
}

TEST(ArchitectureTest, TheScannerSeesCodeAndNotComments) {
  const std::string text =
      "a(\"system(1)\"); // system(2)\n/* system(\n3) */ b('\"'); system(4); n = 1'000'000; "
      "c(R\"(system(5))\");";
  const std::string code = blank_literals(text);
  EXPECT_EQ(std::count(code.begin(), code.end(), '\n'), 2);
  EXPECT_EQ(code.find("system("), code.rfind("system(")) << code;
  EXPECT_NE(code.find("system(4)"), std::string::npos) << code;
  EXPECT_NE(code.find("1'000'000"), std::string::npos) << code;
  EXPECT_GT(sources().size(), 40U) << "the tree was found";
}

TEST(ArchitectureTest, TheScannerTellsCallsFromMembersAndDeclarations) {
  for (const char* line : {"system(x)", "  return system(x);", "if (!::system(x))",
                           "n = std::system(x)", "a && system(x)"})
    EXPECT_TRUE(has_call(line, "system")) << line;
  for (const char* line :
       {"Clock::system()", "c.system()", "c->system()", "static const Clock& system();",
        "int system(int);", "file_system(x)", "system_clock", "kiln::fs::system()"})
    EXPECT_FALSE(has_call(line, "system")) << line;
}

}  // namespace
}  // namespace kiln
