// Which files may include which library.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "tests/architecture/source_tree.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

struct Library {
  std::string header;  // a header, or a folder of headers with its "/"
  Names owners;        // folders or files that may include it
};
const std::vector<Library> kLibraries = {
    {"tl/expected.hpp", {"base/result.h"}},
    {"nlohmann/", {"base/json.cc"}},
    {"curl/", {"base/curl_api.h"}},
    {"openssl/", {"base", "cache/server"}},
    {"expat.h", {"cache/server/s3_xml.cc"}},
    {"xxhash.h", {"base/fingerprint.cc"}},
    {"yaml.h", {"base/yaml.cc"}},
    {"sqlite3.h", {"base/database_connection.h"}},
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
    {"antlr4-runtime/", {"frontend/antlr"}},
    {"DockerfileLexer.h", {"frontend"}},
    {"DockerfileParser.h", {"frontend"}},
    {"seccomp.h", {"solver/executor"}},
    {"CLI/", {"cmd"}},
    {"boost/",
     {"cache/server/transport.h", "cache/server/transport.cc", "cache/server/http_connection.cc",
      "cache/server/http_server.cc"}},
    {"toml++/", {"cache/server/config.cc", "oci/registry_config.cc"}},
    {"crypt.h", {"cache/server/authenticator.cc"}},
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

TEST(LibrariesTest, LibrariesAreIncludedByTheirOwnersAlone) {
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

TEST(LibrariesTest, EveryLibraryIsInTheTable) {
  Violations violations;
  for (const SourceFile& file : sources())
    for (const Include& include : includes_of(file))
      if (!is_known(file, include))
        violations.add(file.path, include.line,
                       "\"" + include.header + "\" is in no table of libraries_test.cc");
  violations.expect_none();
}

}  // namespace
}  // namespace kiln
