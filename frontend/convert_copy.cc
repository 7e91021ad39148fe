#include "base/path.h"
#include "base/strings.h"
#include "frontend/conversion.h"
#include "frontend/git_ref.h"
#include "frontend/owner.h"
#include "frontend/remote_sources.h"

#include <utility>

namespace kiln::frontend {
namespace {

using dockerfile::Transfer;

/// COPY or ADD with its words expanded.
struct Request {
  const char* keyword = "COPY";
  bool is_add = false;
  bool parents = false;
  bool link = false;
  bool keep_git_dir = false;
  std::optional<bool> unpack;
  std::vector<std::string> sources;
  std::vector<std::pair<std::string, std::string>> files;  // name, content
  std::string destination, chown, chmod, checksum;
  std::vector<std::string> exclude;
  Root tree;  // where plain sources are
};

/// The file op under construction: one action for each source, each on the result of the one
/// before.
struct Draft {
  Inputs inputs;
  int base = llb::kNoIndex;
  std::vector<std::pair<llb::CopyAction, int>> copies;  // with the index of what is read
  llb::CopyAction common;
};

Result<Request> expand_transfer(Conversion& c, const Stage& stage, const Command& command,
                                const Transfer& transfer) {
  Request out;
  const auto word = [&](const std::string& text) { return expand_word(c, stage, command, text); };
  KILN_TRY_ASSIGN(out.chown, word(transfer.chown));
  KILN_TRY_ASSIGN(out.chmod, word(transfer.chmod));
  KILN_TRY_ASSIGN(out.sources, expand_words(c, stage, command, transfer.sources));
  KILN_TRY_ASSIGN(out.destination, word(transfer.destination));
  dockerfile::ExpandOptions literal;
  literal.quotes = dockerfile::Quotes::kLiteral;
  for (const dockerfile::InlineFile& file : transfer.files) {
    std::string content = file.content;
    if (file.expand) {
      KILN_TRY_ASSIGN(content, expand_word(c, stage, command, file.content, literal));
    }
    out.files.emplace_back(file.name, std::move(content));
  }
  out.link = transfer.link;
  out.exclude = transfer.exclude;
  return out;
}

/// A trailing "/" or "/." says "a directory" and must survive cleaning (DOCKERFILE.md C3).
std::string destination_path(const Stage& stage, const std::string& text) {
  const bool here = text.empty() || text == ".";
  std::string path = join_path(stage.cwd, here ? "./" : text);
  if (here || text.ends_with('/')) return path == "/" ? path : path + "/";
  if (text.ends_with("/.")) return path == "/" ? "/." : path + "/.";
  return path;
}

bool has_wildcard(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '*' || text[i] == '?' || text[i] == '[') {
      return true;
    }
  }
  return false;
}

/// --parents: the directories of the source are kept, from the pivot "/./" on (DOCKERFILE.md C18).
void keep_parents(const std::string& source, llb::CopyAction& copy) {
  const size_t pivot = source.find("/./");
  const bool found = pivot != std::string::npos;
  const std::string from = found ? source.substr(0, pivot) : "/";
  const std::string pattern = join_path("/", found ? source.substr(pivot + 3) : source);
  copy.src = join_path("/", from);
  copy.include_patterns = {pattern.substr(1)};
  if (!has_wildcard(from) && !has_wildcard(pattern)) {
    copy.required_paths = {join_path("/", copy.src + pattern)};
  }
}

void add_tree_source(Conversion& c, const Request& request, const std::string& source,
                     Draft& draft) {
  llb::CopyAction copy = draft.common;
  copy.src = join_path("/", source);
  if (request.parents) keep_parents(source, copy);
  copy.follow_symlink = true;
  copy.dir_copy_contents = true;
  copy.attempt_unpack = request.unpack.value_or(request.is_add);
  copy.allow_wildcard = true;
  copy.allow_empty_wildcard = true;
  c.contexts.use(request.tree, source);
  draft.copies.emplace_back(std::move(copy), draft.inputs.add(request.tree));
}

Status add_http_source(Conversion& c, const Request& request, const std::string& url,
                       const llb::Meta& meta, Draft& draft) {
  if (!request.is_add) return fail(Code::kInvalidArgument, "source can't be a URL for COPY");
  const std::string name = url_file_name(url);
  llb::SourceOp op{url, {{"http.filename", name}}};
  if (!request.checksum.empty()) {
    KILN_TRY_ASSIGN(const Digest digest, Digest::parse(request.checksum));
    op.attrs["http.checksum"] = digest.to_string();
  }
  llb::CopyAction copy = draft.common;
  copy.src = "/" + name;
  copy.attempt_unpack = request.unpack.value_or(false);
  const Root file = c.plan.add(std::move(op), {}, std::nullopt, meta);
  draft.copies.emplace_back(std::move(copy), draft.inputs.add(file));
  return {};
}

Status add_git_source(Conversion& c, const Request& request, GitRef git, const llb::Meta& meta,
                      Draft& draft) {
  if (!request.is_add) return fail(Code::kInvalidArgument, "source can't be a git ref for COPY");
  KILN_TRY(apply_add_flags({request.keep_git_dir, request.checksum}, git));
  llb::CopyAction copy = draft.common;
  copy.src = "/";
  const Root tree = c.plan.add(git_source(git), {}, std::nullopt, meta);
  draft.copies.emplace_back(std::move(copy), draft.inputs.add(tree));
  return {};
}

Status add_source(Conversion& c, const Request& request, const std::string& source,
                  const llb::Meta& meta, Draft& draft) {
  KILN_TRY_ASSIGN(std::optional<GitRef> git, parse_git_ref(source));
  if (git) return add_git_source(c, request, *std::move(git), meta, draft);
  if (is_http_url(source)) return add_http_source(c, request, source, meta, draft);
  add_tree_source(c, request, source, draft);
  return {};
}

void add_inline_file(Conversion& c, const std::string& name, const std::string& content,
                     Draft& draft) {
  const std::string path = join_path("/", name);
  llb::FileOp op{
      {{llb::kNoIndex, llb::kNoIndex, 0, llb::MkFileAction{path, 0644, content, {}, -1}}}};
  const Root file =
      c.plan.add(std::move(op), {}, std::nullopt, internal_meta("preparing inline document"));
  llb::CopyAction copy = draft.common;
  copy.src = path;
  draft.copies.emplace_back(std::move(copy), draft.inputs.add(file));
}

Status check_checksum(const Request& request) {
  if (request.checksum.empty()) return {};
  if (request.sources.size() != 1 || !request.files.empty()) {
    return fail(Code::kInvalidArgument, "checksum can't be specified for multiple sources");
  }
  KILN_TRY_ASSIGN(const std::optional<GitRef> git, parse_git_ref(request.sources.front()));
  if (!git && !is_http_url(request.sources.front())) {
    return fail(Code::kInvalidArgument, "checksum requires HTTP(S) or Git sources");
  }
  return {};
}

void fill_common(const Conversion& c, const Stage& stage, const Request& request,
                 const ModeChange& mode, Draft& draft) {
  llb::CopyAction& common = draft.common;
  common.dest = destination_path(stage, request.destination);
  common.mode = mode.mode;
  common.mode_str = mode.text;
  common.create_dest_path = true;
  common.exclude_patterns = request.exclude;
  common.timestamp = file_timestamp(c);
  if (!request.chown.empty()) common.owner = parse_owner(request.chown, draft.base);
}

llb::FileOp file_op(Draft& draft) {
  llb::FileOp op;
  const auto inputs = static_cast<int>(draft.inputs.count());
  for (size_t i = 0; i < draft.copies.size(); ++i) {
    llb::FileAction action;
    action.input = i == 0 ? draft.base : inputs + static_cast<int>(i) - 1;
    action.secondary_input = draft.copies[i].second;
    action.output = i + 1 == draft.copies.size() ? 0 : llb::kNoIndex;
    action.action = std::move(draft.copies[i].first);
    op.actions.push_back(std::move(action));
  }
  return op;
}

std::string history_text(const Request& request) {
  std::string out = request.keyword;
  if (request.parents) out += " --parents";
  if (!request.chown.empty()) out += " --chown=" + request.chown;
  if (!request.chmod.empty()) out += " --chmod=" + request.chmod;
  for (const std::string& source : request.sources) out += " " + without_credentials(source);
  for (const auto& [name, content] : request.files) out += " <<" + name;
  return out + " " + request.destination + " # buildkit";
}

/// A link's layer stands on scratch, so that its key does not depend on what is below it. Modes (as
/// in BuildKit) and names, which only the stage's own passwd can tell, need the stage itself: then
/// it is a plain copy.
bool makes_link(const Request& request) {
  return request.link && request.chmod.empty() &&
         (request.chown.empty() || !needs_lookup(parse_owner(request.chown, 0)));
}

Root add_link(Conversion& c, const Stage& stage, const Command& command, const std::string& text,
              Root layer) {
  if (!stage.root) return layer;
  Inputs inputs;
  llb::MergeOp merge;
  merge.inputs = {inputs.add(stage.root), inputs.add(layer)};
  llb::Meta meta = step_meta(stage, command, step_name(c, stage, command, "LINK " + text));
  meta.ignore_cache = stage.ignore_cache;
  return c.plan.add(std::move(merge), inputs.take(), std::nullopt, std::move(meta));
}

Status convert_transfer(Conversion& c, Stage& stage, const Command& command,
                        const Request& request) {
  KILN_TRY(check_checksum(request));
  KILN_TRY_ASSIGN(const ModeChange mode, parse_chmod(request.chmod));
  ++stage.step;
  const std::string text = step_text(c, stage, command);
  llb::Meta meta = step_meta(stage, command, step_name(c, stage, command, text));
  const bool link = makes_link(request);
  Draft draft;
  if (!link) draft.base = draft.inputs.add(stage.root);
  fill_common(c, stage, request, mode, draft);
  for (const std::string& source : request.sources) {
    KILN_TRY(add_source(c, request, source, meta, draft));
  }
  for (const auto& [name, content] : request.files) add_inline_file(c, name, content, draft);

  meta.ignore_cache = stage.ignore_cache;
  llb::FileOp op = file_op(draft);
  const Root layer = c.plan.add(std::move(op), draft.inputs.take(), std::nullopt, std::move(meta));
  stage.root = link ? add_link(c, stage, command, text, layer) : layer;
  add_history(c, stage, history_text(request), Layer::kYes);
  return {};
}

/// The build context is opened only if something is read from it.
Result<Root> context_tree(Conversion& c, const Command& command, const Request& request) {
  bool is_read = false;
  for (const std::string& source : request.sources) {
    KILN_TRY_ASSIGN(const std::optional<GitRef> git, parse_git_ref(source));
    if (git || is_http_url(source)) continue;
    is_read = true;
    c.ignored.check(command.instruction->where, request.is_add ? "Add" : "Copy", source, c.linter);
  }
  if (is_read) return c.contexts.main();
  return Root();
}

}  // namespace

Status convert_copy(Conversion& c, Stage& stage, const Command& command,
                    const dockerfile::Copy& copy) {
  KILN_TRY_ASSIGN(Request request, expand_transfer(c, stage, command, copy.transfer));
  request.parents = copy.parents;
  if (command.sources.empty()) {
    KILN_TRY_ASSIGN(request.tree, context_tree(c, command, request));
  } else {
    const Stage& source = *command.sources.front();
    if (!source.converted) {
      return tl::unexpected(
          Error(Code::kInvalidArgument, "cannot copy from stage \"" + copy.from +
                                            "\", it needs to be defined before current stage \"" +
                                            stage.label + "\"")
              .hint("move that stage above this one"));
    }
    request.tree = source.root;
  }
  return convert_transfer(c, stage, command, request);
}

Status convert_add(Conversion& c, Stage& stage, const Command& command,
                   const dockerfile::Add& add) {
  KILN_TRY_ASSIGN(Request request, expand_transfer(c, stage, command, add.transfer));
  request.keyword = "ADD";
  request.is_add = true;
  request.unpack = add.unpack;
  request.keep_git_dir = add.keep_git_dir;
  KILN_TRY_ASSIGN(request.checksum, expand_word(c, stage, command, add.checksum));
  KILN_TRY_ASSIGN(request.tree, context_tree(c, command, request));
  return convert_transfer(c, stage, command, request);
}

Status convert_workdir(Conversion& c, Stage& stage, const Command& command,
                       const dockerfile::Workdir& workdir) {
  KILN_TRY_ASSIGN(const std::string path, expand_word(c, stage, command, workdir.path));
  lint::check_workdir(command.instruction->where, path, stage.checks, c.linter);
  stage.cwd = join_path(stage.cwd, path);
  stage.config.set_text("WorkingDir", stage.cwd);
  ++stage.step;
  if (stage.cwd == "/") {
    add_history(c, stage, "WORKDIR /", Layer::kNo);
    return {};
  }
  Inputs inputs;
  llb::FileAction action;
  action.input = inputs.add(stage.root);
  action.output = 0;
  llb::MkDirAction mkdir{stage.cwd, 0755, true, {}, file_timestamp(c)};
  if (!stage.config.user().empty()) {
    mkdir.owner = parse_owner(stage.config.user(), action.input);
  }
  action.action = std::move(mkdir);
  llb::Meta meta =
      step_meta(stage, command, step_name(c, stage, command, step_text(c, stage, command)));
  stage.root =
      c.plan.add(llb::FileOp{{std::move(action)}}, inputs.take(), std::nullopt, std::move(meta));
  add_history(c, stage, "WORKDIR " + stage.cwd, Layer::kYes);
  return {};
}

}  // namespace kiln::frontend
