#include "cmd/build_inputs.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "cmd/fetch_dockerfile.h"
#include "cmd/stream_context.h"
#include "frontend/dockerignore.h"
#include "frontend/remote_sources.h"
#include "solver/ops/directory_view.h"

namespace kiln::cmd {
namespace {

constexpr uint64_t kDockerfileLimit = 64U << 20U;
constexpr uint64_t kIgnoreFileLimit = 16U << 20U;

bool is_url(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

// nullopt: a path. kInvalidArgument: a git URL that contradicts itself.
Result<std::optional<frontend::ContextRef>> remote_context(const std::string& text) {
  using Kind = frontend::ContextRef::Kind;
  KILN_TRY_ASSIGN(const std::optional<frontend::GitRef> git, frontend::parse_git_context(text));
  if (git) return frontend::ContextRef{Kind::kGit, text, {}};
  if (is_url(text)) return frontend::ContextRef{Kind::kHttp, text, {}};
  return std::nullopt;
}

bool is_directory(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}
bool is_file(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0 && !S_ISDIR(st.st_mode);
}

Result<std::string> absolute_directory(const std::string& path) {
  Result<Root> root = Root::open(path);
  if (!root) return tl::unexpected(root.error());
  std::string resolved(PATH_MAX, '\0');
  const std::string link = "/proc/self/fd/" + std::to_string(root->fd());
  const ssize_t size = ::readlink(link.c_str(), resolved.data(), resolved.size());
  if (size < 0) return fail_errno("resolve", path);
  resolved.resize(static_cast<size_t>(size));
  return resolved;
}

// A digest cache for each directory, under a name from which the directory cannot be guessed wrong.
std::string stat_cache_file(const InputPlaces& places, const std::string& directory) {
  if (places.stat_caches.empty()) return {};
  return places.stat_caches + "/" + Digest::of(directory).hex();
}

Result<LocalContext> local_context(const std::string& directory, const std::string& ignore_file,
                                   const InputPlaces& places) {
  LocalContext context;
  KILN_TRY_ASSIGN(context.directory, absolute_directory(directory));
  context.stat_cache_file = stat_cache_file(places, context.directory);
  if (is_file(ignore_file)) {
    KILN_TRY_ASSIGN(const std::string text, read_file(ignore_file, kIgnoreFileLimit));
    context.ignore_file = ignore_file;
    KILN_TRY(dockerfile::parse_dockerignore(text, ignore_file));
    context.exclude_patterns = dockerfile::read_ignore_patterns(text);
  }
  return context;
}

Error no_dockerfile(const std::string& path, const std::string& directory) {
  Error error(Code::kNotFound,
              "failed to read dockerfile: open " + path + ": no such file or directory");
  const Result<Root> root = Root::open(directory);
  if (!root) return error;
  const Result<std::vector<DirEntry>> entries = list_dir(root->fd());
  if (!entries) return error;
  for (const DirEntry& entry : *entries)
    if (to_lower(entry.name).find("dockerfile") != std::string::npos ||
        to_lower(entry.name).find("containerfile") != std::string::npos)
      return error.hint("there is " + quote(directory + "/" + entry.name) + ": name it with -f");
  return error.hint(
      "name the Dockerfile with -f, or give the directory that holds it as the context");
}

Status read_dockerfile(const BuildOptions& options, BuildInputs& inputs,
                       const std::string& directory) {
  if (options.file == "-") {
    inputs.filename = "Dockerfile";
    KILN_TRY_ASSIGN(inputs.dockerfile, read_stdin(kDockerfileLimit));
    return {};
  }
  if (is_url(options.file)) {
    inputs.remote = RemoteDockerfile{options.file, ""};
    return {};
  }
  std::string path = options.file;
  if (path.empty()) {
    path = directory + "/Dockerfile";
    if (!is_file(path) && is_file(directory + "/dockerfile")) path = directory + "/dockerfile";
  }
  if (!is_file(path)) return tl::unexpected(no_dockerfile(path, directory));
  KILN_TRY_ASSIGN(inputs.dockerfile, read_file(path, kDockerfileLimit));
  inputs.filename = options.file.empty() ? path.substr(path.rfind('/') + 1) : options.file;
  return {};
}

std::string ignore_file_for(const BuildOptions& options, const BuildInputs& inputs,
                            const std::string& directory) {
  std::string own;
  if (options.file != "-" && !is_url(options.file)) {
    own = options.file.empty() ? directory + "/" + inputs.filename : options.file;
    own += ".dockerignore";
    if (is_file(own)) return own;
  }
  return directory + "/.dockerignore";
}

// A tar is unpacked, and holds the Dockerfile; a bare Dockerfile leaves the context empty. No
// ignore file acts on it (DOCKERFILE.md A.7).
Status read_stream_context(const BuildOptions& options, BuildInputs& inputs,
                           const InputPlaces& places) {
  if (options.file == "-")
    return fail(Code::kInvalidArgument,
                "context and Dockerfile cannot both come from standard input");
  KILN_TRY_ASSIGN(TempDir temporary, TempDir::create(places.scratch, "context-"));
  inputs.unpacked = std::make_unique<TempDir>(std::move(temporary));
  KILN_TRY_ASSIGN(StreamContext stream, read_stream(inputs.unpacked->path(), places.stop));
  if (stream.is_archive) {
    if (is_url(options.file)) return read_dockerfile(options, inputs, "");
    KILN_TRY_ASSIGN(Root root, Root::open(inputs.unpacked->path()));
    return read_dockerfile_in(DirectoryView(std::move(root)), options.file, inputs);
  }
  if (!options.file.empty())
    return tl::unexpected(
        Error(Code::kInvalidArgument,
              "standard input is a Dockerfile and no archive: there is no " + quote(options.file) +
                  " in it")
            .hint("leave out -f, or use `-f - DIRECTORY` for a Dockerfile on standard input"));
  inputs.dockerfile = std::move(stream.dockerfile);
  inputs.filename = "Dockerfile";
  return {};
}

tl::unexpected<Error> no_context(const std::string& text) {
  Error error(Code::kNotFound, "unable to prepare context: path " + quote(text) + " not found");
  if (is_file(text))
    error = Error(Code::kInvalidArgument,
                  "unable to prepare context: " + quote(text) + " is not a directory");
  return tl::unexpected(
      error.hint("a context is a directory, a git or http(s) URL, or \"-\" for a tar or a "
                 "Dockerfile on standard input"));
}

// Only its URL is looked at; the Dockerfile in it comes later.
Status note_remote_context(const BuildOptions& options, BuildInputs& inputs) {
  inputs.remote.emplace();
  if (is_url(options.file)) {
    inputs.remote->url = options.file;
  } else if (options.file == "-") {
    inputs.remote.reset();
    return read_dockerfile(options, inputs, "");
  } else {
    inputs.remote->file = options.file;
  }
  return {};
}

Status read_directory_context(const BuildOptions& options, BuildInputs& inputs,
                              const InputPlaces& places) {
  KILN_TRY(read_dockerfile(options, inputs, options.context));
  const std::string ignore = ignore_file_for(options, inputs, options.context);
  KILN_TRY_ASSIGN(inputs.local["context"], local_context(options.context, ignore, places));
  inputs.context.exclude_patterns = inputs.local["context"].exclude_patterns;
  return {};
}

Status read_context(const BuildOptions& options, BuildInputs& inputs, const InputPlaces& places) {
  if (options.context.empty())
    return tl::unexpected(
        Error(Code::kInvalidArgument,
              "kiln build needs a context: a directory, a git or http(s) URL, or \"-\"")
            .hint("kiln build ."));
  if (options.context == "-") {
    KILN_TRY(read_stream_context(options, inputs, places));
    KILN_TRY_ASSIGN(inputs.local["context"], local_context(inputs.unpacked->path(), "", {}));
    return {};
  }
  if (is_directory(options.context)) return read_directory_context(options, inputs, places);
  KILN_TRY_ASSIGN(const std::optional<frontend::ContextRef> remote,
                  remote_context(options.context));
  if (!remote) return no_context(options.context);
  inputs.context = *remote;
  return note_remote_context(options, inputs);
}

Result<frontend::ContextRef> named_remote_context(const std::string& text,
                                                  const std::string& value) {
  const std::string shown = "--build-context " + quote(without_credentials(text));
  if (value.empty()) return fail(Code::kInvalidArgument, shown + ": expected NAME=VALUE");
  if (value == "-")
    return fail(Code::kInvalidArgument,
                shown + ": only the main context can come from standard input");
  Result<std::optional<frontend::ContextRef>> remote = remote_context(value);
  if (!remote) return tl::unexpected(remote.error().wrap(shown));
  if (*remote) return **std::move(remote);
  if (value.starts_with("target:") || value.starts_with("input:"))
    return tl::unexpected(
        Error(Code::kUnimplemented, shown + ": " + quote(value) + " names a part of a bake file")
            .hint("a stage of the same Dockerfile needs no --build-context: use its name"));
  const size_t scheme = value.find("://");
  if (scheme != std::string::npos)
    return tl::unexpected(
        Error(Code::kInvalidArgument,
              shown + ": unknown kind of context " + quote(value.substr(0, scheme + 3)))
            .hint("use a directory, docker-image://, oci-layout://, or a git or http(s) URL"));
  return tl::unexpected(Error(Code::kNotFound, shown + ": no such directory")
                            .hint("an image is named docker-image://" + value));
}

Status add_named_context(const std::string& text, BuildInputs& inputs, const InputPlaces& places) {
  using Kind = frontend::ContextRef::Kind;
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return fail(Code::kInvalidArgument, "--build-context " + quote(text) + ": expected NAME=VALUE");
  const std::string name = to_lower(text.substr(0, equals));
  const std::string value = text.substr(equals + 1);
  frontend::ContextRef context;
  if (value.starts_with("docker-image://")) {
    context.kind = Kind::kImage;
    context.identifier = value.substr(15);
  } else if (value.starts_with("oci-layout://")) {
    context.kind = Kind::kOciLayout;
    context.identifier = value.substr(13);
    inputs.layouts[name] = context.identifier;
  } else if (!is_directory(value)) {
    KILN_TRY_ASSIGN(context, named_remote_context(text, value));
  } else {
    context.kind = Kind::kLocal;
    context.identifier = name;
    KILN_TRY_ASSIGN(inputs.local[name], local_context(value, value + "/.dockerignore", places));
    context.exclude_patterns = inputs.local[name].exclude_patterns;
  }
  if (!inputs.named.emplace(name, std::move(context)).second)
    return fail(Code::kInvalidArgument, "--build-context " + quote(name) + " is given twice");
  return {};
}

// Names that mean something else in every Dockerfile.
Status check_context_name(const std::string& text) {
  const std::string name = to_lower(text.substr(0, text.find('=')));
  if (name != "context" && name != "scratch") return {};
  return tl::unexpected(
      Error(Code::kInvalidArgument,
            "--build-context " + quote(without_credentials(text)) + ": the name is reserved")
          .hint(name == "context" ? "the build context itself is the last argument"
                                  : "FROM scratch starts from nothing"));
}

}  // namespace

bool needs_fetch(const BuildOptions& options) {
  if (is_url(options.file)) return true;
  if (options.file == "-" || options.context == "-" || is_directory(options.context)) return false;
  const auto remote = remote_context(options.context);
  return remote && *remote;
}

Result<BuildInputs> read_build_inputs(const BuildOptions& options, const InputPlaces& places) {
  BuildInputs inputs;
  KILN_TRY(read_context(options, inputs, places));
  for (const std::string& text : options.build_contexts) {
    KILN_TRY(check_context_name(text));
    KILN_TRY(add_named_context(text, inputs, places));
  }
  return inputs;
}

Result<BuildInputs> read_definition_inputs(const BuildOptions& options, const InputPlaces& places) {
  constexpr uint64_t kDefinitionLimit = 64U << 20U;
  BuildInputs inputs;
  if (options.llb == "-") {
    KILN_TRY_ASSIGN(inputs.dockerfile, read_stdin(kDefinitionLimit));
  } else {
    KILN_TRY_ASSIGN(inputs.dockerfile, read_file(options.llb, kDefinitionLimit));
  }
  inputs.filename = options.llb;
  if (!options.context.empty()) {
    if (!is_directory(options.context))
      return fail(Code::kNotFound, "path " + quote(options.context) + " is not a directory");
    // Excludes are part of the definition, so the ignore file has no say here.
    KILN_TRY_ASSIGN(inputs.local["context"], local_context(options.context, "", places));
  }
  for (const std::string& text : options.build_contexts)
    KILN_TRY(add_named_context(text, inputs, places));
  return inputs;
}

}  // namespace kiln::cmd
