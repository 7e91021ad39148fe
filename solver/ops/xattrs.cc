#include "solver/ops/xattrs.h"

#include <sys/xattr.h>

#include <algorithm>
#include <string_view>

namespace kiln {
namespace {

bool is_carried(std::string_view name) {
  if (name == "security.capability") return true;
  return name.starts_with("user.") && !name.starts_with("user.overlay.");
}

}  // namespace

Xattrs read_xattrs(const Fd& fd) {
  Xattrs found;
  const ssize_t size = ::flistxattr(fd.get(), nullptr, 0);
  if (size <= 0) return found;
  std::string names(static_cast<size_t>(size), '\0');
  const ssize_t filled = ::flistxattr(fd.get(), names.data(), names.size());
  if (filled <= 0) return found;
  names.resize(static_cast<size_t>(filled));
  for (size_t at = 0; at < names.size();) {
    const std::string name(names.c_str() + at);
    at += name.size() + 1;
    if (!is_carried(name)) continue;
    const ssize_t bytes = ::fgetxattr(fd.get(), name.c_str(), nullptr, 0);
    if (bytes < 0) continue;
    std::string value(static_cast<size_t>(bytes), '\0');
    if (::fgetxattr(fd.get(), name.c_str(), value.data(), value.size()) == bytes)
      found.emplace_back(name, std::move(value));
  }
  std::sort(found.begin(), found.end());
  return found;
}

void write_xattrs(const Fd& fd, const Xattrs& xattrs) {
  for (const auto& [name, value] : xattrs)
    (void)::fsetxattr(fd.get(), name.c_str(), value.data(), value.size(), 0);  // best effort
}

}  // namespace kiln
