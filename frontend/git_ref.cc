#include "frontend/git_ref.h"

#include "base/path.h"
#include "base/strings.h"
#include "frontend/go_value.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace kiln::frontend {
namespace {

struct Cut {
  std::string_view before, after;
  bool found = false;
};
Cut cut(std::string_view text, std::string_view separator) {
  const size_t at = text.find(separator);
  if (at == std::string_view::npos) return {text, {}, false};
  return {text.substr(0, at), text.substr(at + separator.size()), true};
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string unescape_query(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
                        hex_value(text[i + 2]) >= 0;
    if (escape) {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

tl::unexpected<Error> conflict(const char* what, const std::string& a, const std::string& b) {
  return fail(Code::kInvalidArgument,
              std::string(what) + " conflicts: " + quote(a) + " vs " + quote(b));
}

using Query = std::map<std::string, std::string>;

Result<Query> parse_query(std::string_view text) {
  Query query;
  for (const std::string& item : split(text, '&')) {
    if (item.empty()) continue;
    const Cut pair = cut(item, "=");
    std::string key = unescape_query(pair.before);
    if (!query.emplace(key, unescape_query(pair.after)).second) {
      return fail(Code::kInvalidArgument, "query " + quote(key) + " has multiple values");
    }
  }
  return query;
}

Result<bool> flag_value(const std::string& key, const std::string& value) {
  if (value.empty()) return true;
  Result<bool> parsed = dockerfile::parse_bool(value);
  if (parsed) return parsed;
  return fail(Code::kInvalidArgument, "invalid " + key + " value: " + quote(value));
}

Status set_once(std::string& field, const char* what, const std::string& value) {
  if (!field.empty() && field != value) return conflict(what, field, value);
  field = value;
  return {};
}

Status apply_text(GitRef& ref, const std::string& key, const std::string& value) {
  static const std::vector<std::string> kKeys = {
      "ref",    "tag",        "branch",       "subdir", "checksum",
      "commit", "submodules", "keep-git-dir", "mtime",  "fetch-by-commit"};
  if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
    return fail(Code::kInvalidArgument,
                "unexpected query " + quote(key) + did_you_mean(key, kKeys));
  }
  if (value.empty()) return fail(Code::kInvalidArgument, "query " + quote(key) + " has no value");
  if (key == "ref") return set_once(ref.ref, "ref", value);
  if (key == "subdir") return set_once(ref.subdir, "subdir", value);
  if (key == "checksum" || key == "commit") return set_once(ref.checksum, "checksum", value);
  if (key == "mtime" && value != "checkout" && value != "commit") {
    return fail(Code::kInvalidArgument, "invalid mtime value: " + quote(value));
  }
  if (key == "mtime") ref.mtime = value;
  return {};  // tag and branch come later: they are checked against ref
}

Status apply_query(GitRef& ref, const Query& query) {
  for (const auto& [key, value] : query) {
    if (key == "submodules") {
      KILN_TRY_ASSIGN(ref.submodules, flag_value(key, value));
    } else if (key == "keep-git-dir") {
      KILN_TRY_ASSIGN(ref.keep_git_dir, flag_value(key, value));
    } else if (key == "fetch-by-commit") {
      KILN_TRY_ASSIGN(ref.fetch_by_commit, flag_value(key, value));
    } else {
      KILN_TRY(apply_text(ref, key, value));
    }
  }
  if (query.contains("tag") && query.contains("branch")) {
    return fail(Code::kInvalidArgument, "branch conflicts with tag");
  }
  for (const auto& [key, prefix] :
       {std::pair<const char*, const char*>{"tag", "refs/tags/"}, {"branch", "refs/heads/"}}) {
    const auto found = query.find(key);
    if (found == query.end()) continue;
    const bool full = found->second.starts_with(prefix);
    KILN_TRY(set_once(ref.ref, "ref", full ? found->second : prefix + found->second));
  }
  if (ref.ref.empty()) ref.ref = ref.checksum;
  return {};
}

void apply_fragment(GitRef& ref, std::string_view fragment) {
  const Cut parts = cut(fragment, ":");
  ref.ref = parts.before;
  const std::string subdir = join_path("/", parts.after);
  if (parts.found && subdir != "/") ref.subdir = subdir.substr(1);
}

/// "git@host:path": what git calls the scp-like form.
bool parse_scp(std::string_view text, GitRef& ref) {
  const Cut at = cut(text, "@");
  const Cut colon = cut(at.after, ":");
  if (!at.found || !colon.found || at.before.find_first_of("/:") != std::string_view::npos ||
      colon.before.find('/') != std::string_view::npos) {
    return false;
  }
  ref.host = colon.before;
  ref.path = colon.after;
  ref.ssh = true;
  return true;
}

bool parse_url(std::string_view text, GitRef& ref) {
  const Cut scheme = cut(text, "://");
  if (!scheme.found) return parse_scp(text, ref);
  const bool http = scheme.before == "http" || scheme.before == "https";
  if (!http && scheme.before != "ssh" && scheme.before != "git") return false;
  const Cut rest = cut(scheme.after, "/");
  const size_t at = rest.before.rfind('@');
  ref.host = at == std::string_view::npos ? rest.before : rest.before.substr(at + 1);
  ref.path = rest.after;
  ref.ssh = scheme.before == "ssh";
  return !http || ref.path.ends_with(".git");
}

}  // namespace

Result<std::optional<GitRef>> parse_git_ref(std::string_view text) {
  const Cut fragment = cut(text, "#");
  const Cut query = cut(fragment.before, "?");
  GitRef ref;
  if (text.starts_with("./") || text.starts_with("../") || !parse_url(query.before, ref)) {
    return std::optional<GitRef>();
  }
  ref.remote = query.before;
  apply_fragment(ref, fragment.after);
  KILN_TRY_ASSIGN(const Query items, parse_query(query.after));
  KILN_TRY(apply_query(ref, items));
  return std::optional<GitRef>(std::move(ref));
}

llb::SourceOp git_source(const GitRef& ref) {
  llb::SourceOp op;
  op.identifier = "git://" + ref.host + join_path("/", ref.path);
  if (!ref.ref.empty() || !ref.subdir.empty()) op.identifier += "#" + ref.ref;
  if (!ref.subdir.empty()) op.identifier += ":" + ref.subdir;
  op.attrs["git.fullurl"] = ref.remote;
  op.attrs["git.authtokensecret"] = "GIT_AUTH_TOKEN";
  op.attrs["git.authheadersecret"] = "GIT_AUTH_HEADER";
  if (ref.ssh) op.attrs["git.mountsshsock"] = "default";
  if (ref.keep_git_dir.value_or(false)) op.attrs["git.keepgitdir"] = "true";
  if (!ref.checksum.empty()) op.attrs["git.checksum"] = ref.checksum;
  if (!ref.submodules.value_or(true)) op.attrs["git.skipsubmodules"] = "true";
  if (!ref.mtime.empty()) op.attrs["git.mtime"] = ref.mtime;
  if (ref.fetch_by_commit.value_or(false)) op.attrs["git.fetchbycommit"] = "true";
  return op;
}

}  // namespace kiln::frontend
