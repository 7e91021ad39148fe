// The grammar is that of github.com/distribution/reference; the defaults ("docker.io", "library/",
// "latest") are Docker's.
#include "oci/reference.h"

#include <algorithm>

namespace kiln::oci {
namespace {

constexpr std::string_view kDefaultDomain = "docker.io";
constexpr size_t kLongestName = 255, kLongestTag = 128;

bool is_lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_word(char c) {
  return is_lower_alnum(c) || is_upper(c) || c == '_';
}

tl::unexpected<Error> invalid(std::string_view text, const std::string& why) {
  return fail(Code::kInvalidArgument,
              "invalid reference format: \"" + std::string(text) + "\": " + why);
}

// Runs of [a-z0-9] joined by ".", "_", "__" or any number of "-".
bool is_path_component(std::string_view text) {
  if (text.empty() || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) return false;
  for (size_t i = 0; i < text.size();) {
    if (is_lower_alnum(text[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < text.size() && !is_lower_alnum(text[end])) ++end;
    const std::string_view separator = text.substr(i, end - i);
    const bool dashes = separator.find_first_not_of('-') == std::string_view::npos;
    if (!dashes && separator != "." && separator != "_" && separator != "__") return false;
    i = end;
  }
  return true;
}

bool is_domain(std::string_view text) {
  std::string_view host = text;
  if (const size_t colon = text.rfind(':'); colon != std::string_view::npos && text.back() != ']') {
    host = text.substr(0, colon);
    const std::string_view port = text.substr(colon + 1);
    if (port.empty() || port.find_first_not_of("0123456789") != std::string_view::npos)
      return false;
  }
  if (host.starts_with('[') && host.ends_with(']'))
    return host.substr(1, host.size() - 2).find_first_not_of("0123456789abcdefABCDEF:") ==
           std::string_view::npos;
  return !host.empty() && host.front() != '-' && host.back() != '-' &&
         std::all_of(host.begin(), host.end(),
                     [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

bool is_tag(std::string_view text) {
  return !text.empty() && text.size() <= kLongestTag && is_word(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

// The part before the first "/" is a registry if it could not be a name: it has a dot, a port, an
// upper-case letter, or is "localhost".
bool names_registry(std::string_view first) {
  return first == "localhost" || first.find_first_of(".:") != std::string_view::npos ||
         std::any_of(first.begin(), first.end(), is_upper);
}

// Docker takes no such names, so that one never stands for another image than its ID.
bool is_image_id(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

struct Parts {
  std::string_view name, tag, digest;
};

Parts split_parts(std::string_view text) {
  Parts parts{text, {}, {}};
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    parts.digest = text.substr(at + 1);
    parts.name = text.substr(0, at);
  }
  const size_t slash = parts.name.rfind('/');
  const size_t colon = parts.name.find(':', slash == std::string_view::npos ? 0 : slash);
  if (colon != std::string_view::npos) {
    parts.tag = parts.name.substr(colon + 1);
    parts.name = parts.name.substr(0, colon);
  }
  return parts;
}

}  // namespace

Result<Reference> Reference::parse(std::string_view text) {
  if (text.empty()) return invalid(text, "it is empty");
  if (is_image_id(text)) return invalid(text, "it is an image ID, not a name");
  const Parts parts = split_parts(text);
  Reference reference;
  std::string_view path = parts.name;
  const size_t slash = path.find('/');
  if (slash != std::string_view::npos && names_registry(path.substr(0, slash))) {
    reference.domain = path.substr(0, slash);
    path = path.substr(slash + 1);
    if (!is_domain(reference.domain))
      return invalid(text, "\"" + reference.domain + "\" is not a registry's name");
  }
  if (reference.domain.empty() || reference.domain == "index.docker.io")
    reference.domain = kDefaultDomain;
  if (std::any_of(path.begin(), path.end(), is_upper))
    return invalid(text, "repository name must be lowercase");
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (!is_path_component(path.substr(begin, end - begin)))
      return invalid(text, "\"" + std::string(path) + "\" is not a repository's name");
    begin = end + 1;
  }
  reference.path = path;
  if (reference.domain == kDefaultDomain && path.find('/') == std::string_view::npos)
    reference.path = "library/" + reference.path;
  if (reference.name().size() > kLongestName)
    return invalid(text, "the name is longer than 255 characters");
  const bool tagged = text.size() > parts.name.size() && text[parts.name.size()] == ':';
  if (tagged && !is_tag(parts.tag))
    return invalid(text, "\"" + std::string(parts.tag) + "\" is not a tag");
  reference.tag = parts.tag;
  if (text.find('@') != std::string_view::npos) {
    Result<Digest> digest = Digest::parse(parts.digest);
    if (!digest)
      return tl::unexpected(digest.error().wrap("reference \"" + std::string(text) + "\""));
    reference.digest = *digest;
  } else if (reference.tag.empty()) {
    reference.tag = "latest";
  }
  return reference;
}

bool has_tag(std::string_view text) {
  return !split_parts(text).tag.empty();
}

std::string Reference::name() const {
  return domain + "/" + path;
}

std::string Reference::to_string() const {
  std::string text = name();
  if (!tag.empty()) text += ":" + tag;
  if (digest) text += "@" + digest->to_string();
  return text;
}

std::string Reference::familiar() const {
  std::string text = to_string();
  if (domain != kDefaultDomain) return text;
  text.erase(0, kDefaultDomain.size() + 1);
  constexpr std::string_view kLibrary = "library/";
  if (text.starts_with(kLibrary)) text.erase(0, kLibrary.size());
  return text;
}

}  // namespace kiln::oci
