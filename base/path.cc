#include "base/path.h"

namespace kiln {
namespace {

// Calls `visit` with each component between slashes, empty ones left out.
template <class Visit>
void for_each_component(std::string_view path, Visit visit) {
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    if (end > 0) visit(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
}

void append_component(std::string& path, std::string_view component) {
  if (!path.empty() && path != "/") path.push_back('/');
  path.append(component);
}

void drop_last(std::string& path) {
  const size_t slash = path.rfind('/');
  path.resize(slash == std::string::npos ? 0 : slash);
}

Status check_no_nul(std::string_view text) {
  if (text.find('\0') != std::string_view::npos)
    return fail(Code::kInvalidArgument, "path contains a NUL byte");
  return {};
}

}  // namespace

Result<RelPath> RelPath::rooted(std::string_view text) {
  KILN_TRY(check_no_nul(text));
  std::string clean;
  clean.reserve(text.size());
  for_each_component(text, [&](std::string_view component) {
    if (component == "..") {
      drop_last(clean);
    } else if (component != ".") {
      append_component(clean, component);
    }
  });
  return RelPath(std::move(clean));
}

Result<RelPath> RelPath::strict(std::string_view text) {
  KILN_TRY(check_no_nul(text));
  std::string clean;
  clean.reserve(text.size());
  bool escapes = false;
  for_each_component(text, [&](std::string_view component) {
    escapes = escapes || component == "..";
    if (component != ".") append_component(clean, component);
  });
  if (escapes)
    return fail(Code::kInvalidArgument, "path \"" + std::string(text) + "\" contains \"..\"");
  return RelPath(std::move(clean));
}

std::string_view RelPath::name() const {
  const std::string_view text = text_;
  return text.substr(text.rfind('/') + 1);  // npos + 1 == 0
}

RelPath RelPath::parent() const {
  RelPath up = *this;
  drop_last(up.text_);
  return up;
}

RelPath RelPath::child(std::string_view name) const {
  KILN_CHECK(!name.empty() && name != "." && name != "..");
  KILN_CHECK(name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos);
  RelPath below = *this;
  append_component(below.text_, name);
  return below;
}

RelPath RelPath::join(const RelPath& below) const {
  if (below.is_root()) return *this;
  RelPath joined = *this;
  append_component(joined.text_, below.text_);
  return joined;
}

bool RelPath::is_within(const RelPath& ancestor) const {
  if (ancestor.is_root()) return true;
  return text_.starts_with(ancestor.text_) &&
         (text_.size() == ancestor.text_.size() || text_[ancestor.text_.size()] == '/');
}

std::vector<std::string_view> RelPath::components() const& {
  std::vector<std::string_view> parts;
  for_each_component(text_, [&](std::string_view component) { parts.push_back(component); });
  return parts;
}

std::string clean_path(std::string_view path) {
  const bool rooted = path.starts_with('/');
  std::string clean;
  int kept = 0;  // components in `clean` that a ".." may take away
  for_each_component(path, [&](std::string_view component) {
    if (component == ".") return;
    if (component != "..") {
      append_component(clean, component);
      ++kept;
    } else if (kept > 0) {
      drop_last(clean);
      --kept;
    } else if (!rooted) {
      append_component(clean, component);
    }
  });
  if (rooted) return "/" + clean;
  return clean.empty() ? "." : clean;
}

std::string join_path(std::string_view base, std::string_view path) {
  if (path.starts_with('/') || base.empty()) return clean_path(path);
  if (path.empty()) return clean_path(base);
  return clean_path(std::string(base) + "/" + std::string(path));
}

}  // namespace kiln
