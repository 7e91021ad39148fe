// Layer tars for tests: made from a few words, and told as text, one line an entry in the archive's
// order. Needs kiln_oci.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "oci/tar.h"
#include "tests/fakes/must.h"

namespace kiln::fake {

/// Writes entries one after the other; take() ends the archive.
class LayerMaker {
 public:
  LayerMaker& dir(const std::string& path, uint32_t mode = 0755, int64_t mtime = 1000) {
    oci::TarEntry entry;
    entry.path = rel(path);
    entry.type = oci::EntryType::kDirectory;
    entry.mode = mode;
    entry.mtime = mtime;
    return add(std::move(entry));
  }
  LayerMaker& file(const std::string& path, const std::string& content = "", uint32_t mode = 0644,
                   int64_t mtime = 1000) {
    oci::TarEntry entry;
    entry.path = rel(path);
    entry.mode = mode;
    entry.mtime = mtime;
    return add(std::move(entry), content);
  }
  LayerMaker& symlink(const std::string& path, const std::string& target) {
    return link(oci::EntryType::kSymlink, path, target);
  }
  LayerMaker& hardlink(const std::string& path, const std::string& target) {
    return link(oci::EntryType::kHardlink, path, target);
  }
  LayerMaker& add(oci::TarEntry entry, const std::string& content = "") {
    entry.size = content.size();
    must(writer_.add(entry));
    if (!content.empty()) must(writer_.data(as_bytes(content)));
    return *this;
  }
  std::string take() {
    must(writer_.finish());
    return sink_.take();
  }

 private:
  static RelPath rel(const std::string& path) { return must(RelPath::strict(path)); }
  LayerMaker& link(oci::EntryType type, const std::string& path, const std::string& target) {
    oci::TarEntry entry;
    entry.path = rel(path);
    entry.type = type;
    entry.mode = 0777;
    entry.mtime = 1000;
    entry.link_target = target;
    return add(std::move(entry));
  }

  StringSink sink_;
  oci::TarWriter writer_{sink_};
};

inline std::unique_ptr<oci::TarReader> read_layer(std::string tar) {
  return must(oci::TarReader::open(std::make_unique<StringSource>(std::move(tar))));
}

inline std::vector<oci::TarEntry> layer_entries(const std::string& tar) {
  std::vector<oci::TarEntry> entries;
  const auto reader = read_layer(tar);
  while (auto entry = must(reader->next())) entries.push_back(*std::move(entry));
  return entries;
}

/// Paths in order, directories with a slash, links with their target: "a/", "a/b", "c -> b",
/// "d = a/b".
inline std::vector<std::string> layer_names(const std::string& tar) {
  std::vector<std::string> names;
  for (const oci::TarEntry& entry : layer_entries(tar)) {
    std::string name = entry.path.str();
    if (entry.type == oci::EntryType::kDirectory) name += '/';
    if (entry.type == oci::EntryType::kSymlink) name += " -> " + entry.link_target;
    if (entry.type == oci::EntryType::kHardlink) name += " = " + entry.link_target;
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace kiln::fake
