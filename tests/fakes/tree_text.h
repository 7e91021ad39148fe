// Trees as one line of text, for tests that make and compare them: entries separated by ";", each
//   d PATH MODE [UID:GID] | f PATH MODE UID:GID [TEXT] | l PATH TARGET | h PATH EXISTING
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/strings.h"

namespace kiln::fake {

inline std::vector<std::string> tree_entries(const std::string& text) {
  std::vector<std::string> entries;
  for (const std::string& entry : split(text, ';'))
    if (const std::string trimmed(trim(entry)); !trimmed.empty()) entries.push_back(trimmed);
  return entries;
}

/// Entries as list_tree() prints them: with an owner.
inline std::string normalized_tree(const std::string& text) {
  std::vector<std::string> entries = tree_entries(text);
  for (std::string& entry : entries)
    if (entry.front() == 'd' && entry.find(':') == std::string::npos) entry += " 0:0";
  std::sort(entries.begin(), entries.end(), [](const std::string& a, const std::string& b) {
    return a.substr(2, a.find(' ', 2)) < b.substr(2, b.find(' ', 2));
  });
  return join(entries, "\n");
}

inline void make_entry(const std::string& root, const std::string& entry) {
  std::istringstream fields(entry);
  std::string type, name, word, owner = "0:0";
  fields >> type >> name >> word;
  const std::string path = root + "/" + name;
  if (type == "l") {
    ASSERT_EQ(::symlink(word.c_str(), path.c_str()), 0) << entry;
    return;
  }
  if (type == "h") {
    ASSERT_EQ(::link((root + "/" + word).c_str(), path.c_str()), 0) << entry;
    return;
  }
  fields >> owner;
  std::string text;
  std::getline(fields >> std::ws, text);
  if (type == "f") {
    ASSERT_TRUE(write_file(path, text)) << entry;
  } else if (type == "s") {
    ASSERT_EQ(::mknod(path.c_str(), S_IFSOCK | 0600, 0), 0) << entry;
  } else {
    ASSERT_EQ(::mkdir(path.c_str(), 0755), 0) << entry;
  }
  const size_t colon = owner.find(':');
  ASSERT_EQ(::chown(path.c_str(), static_cast<uid_t>(std::stoul(owner.substr(0, colon))),
                    static_cast<gid_t>(std::stoul(owner.substr(colon + 1)))),
            0)
      << entry;
  ASSERT_EQ(::chmod(path.c_str(), static_cast<mode_t>(std::stoul(word, nullptr, 8))), 0) << entry;
}

inline void make_tree(const std::string& root, const std::string& text) {
  for (const std::string& entry : tree_entries(text)) make_entry(root, entry);
  // Equal times everywhere, older than any test.
  const timespec times[2] = {{1'500'000'000, 0}, {1'500'000'000, 0}};
  for (const std::string& entry : tree_entries(text)) {
    const std::string name = entry.substr(2, entry.find(' ', 2) - 2);
    ASSERT_EQ(::utimensat(AT_FDCWD, (root + "/" + name).c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  }
}

inline void list_below(const std::string& root, const std::string& below,
                       std::map<ino_t, std::string>& seen, std::vector<std::string>& lines) {
  auto opened = Root::open(root + "/" + below);
  ASSERT_TRUE(opened) << below;
  const auto entries = list_dir(opened->fd());
  ASSERT_TRUE(entries);
  for (const DirEntry& entry : *entries) {
    const std::string name = below.empty() ? entry.name : below + "/" + entry.name;
    const std::string path = root + "/" + name;
    struct stat st {};
    ASSERT_EQ(::lstat(path.c_str(), &st), 0);
    std::ostringstream line;
    const std::string owner = std::to_string(st.st_uid) + ":" + std::to_string(st.st_gid);
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(st.st_mode & 07777U));
    if (S_ISLNK(st.st_mode)) {
      std::string target(4096, '\0');
      target.resize(static_cast<size_t>(::readlink(path.c_str(), target.data(), target.size())));
      line << "l " << name << " " << target;
    } else if (S_ISDIR(st.st_mode)) {
      line << "d " << name << " " << mode << " " << owner;
    } else if (S_ISREG(st.st_mode) && st.st_nlink > 1 && seen.count(st.st_ino) != 0) {
      line << "h " << name << " " << seen[st.st_ino];
    } else if (S_ISREG(st.st_mode)) {
      seen[st.st_ino] = name;
      const std::string text = read_file(path, 1U << 20U).value_or("?");
      line << "f " << name << " " << mode << " " << owner << (text.empty() ? "" : " ") << text;
    } else {
      line << "? " << name;
    }
    lines.push_back(line.str());
    if (S_ISDIR(st.st_mode)) list_below(root, name, seen, lines);
  }
}

/// As normalized_tree() gives it.
inline std::string list_tree(const std::string& root) {
  std::map<ino_t, std::string> seen;
  std::vector<std::string> lines;
  list_below(root, "", seen, lines);
  return normalized_tree(join(lines, ";"));
}

}  // namespace kiln::fake
