#include "cmd/build_inputs.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/strings.h"
#include "frontend/dockerignore.h"
#include "oci/compression.h"
#include "oci/tar.h"
#include "snapshotter/layer_apply.h"

namespace kiln::cmd {
namespace {

constexpr uint64_t kDockerfileLimit = 64U << 20U;
constexpr uint64_t kIgnoreFileLimit = 16U << 20U;

bool is_remote(std::string_view text) {
  for (const std::string_view prefix :
       {"http://", "https://", "git://", "ssh://", "git@", "github.com/"})
    if (text.starts_with(prefix)) return true;
  return false;
}

Result<std::string> read_stdin(uint64_t limit) {
  Fd input(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!input.valid()) return fail_errno("read", "standard input");
  FdSource source(std::move(input), "standard input");
  return read_all(source, limit, "standard input");
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
  if (is_remote(options.file))
    return fail(Code::kUnimplemented, "a Dockerfile from a URL is not supported yet");
  std::string path = options.file;
  if (path.empty()) {
    path = directory + "/Dockerfile";
    if (!is_file(path) && is_file(directory + "/dockerfile")) path = directory + "/dockerfile";
  } else if (inputs.unpacked) {
    path = directory + "/" + path;
  }
  if (!is_file(path)) return tl::unexpected(no_dockerfile(path, directory));
  KILN_TRY_ASSIGN(inputs.dockerfile, read_file(path, kDockerfileLimit));
  inputs.filename = options.file.empty() ? path.substr(path.rfind('/') + 1) : options.file;
  return {};
}

std::string ignore_file_for(const BuildOptions& options, const BuildInputs& inputs,
                            const std::string& directory) {
  std::string own;
  if (options.file != "-") {
    own = options.file.empty() ? directory + "/" + inputs.filename : options.file;
    own += ".dockerignore";
    if (is_file(own)) return own;
  }
  return directory + "/.dockerignore";
}

bool looks_like_archive(std::string_view head) {
  if (oci::detect_compression(as_bytes(head.substr(0, 6))) != oci::Detected::kNone) return true;
  return head.size() >= 262 && head.substr(257, 5) == "ustar";
}

// `kiln build - < x`: a tar, compressed or not, is the context; anything else is a Dockerfile with
// an empty context.
Status read_stream_context(const BuildOptions& options, BuildInputs& inputs,
                           const InputPlaces& places) {
  if (options.file == "-")
    return fail(Code::kInvalidArgument,
                "context and Dockerfile cannot both come from standard input");
  if (places.scratch.empty())
    return fail(Code::kUnimplemented, "a context on standard input is not supported here");
  KILN_TRY_ASSIGN(TempDir temporary, TempDir::create(places.scratch, "context-"));
  inputs.unpacked = std::make_unique<TempDir>(std::move(temporary));
  KILN_TRY_ASSIGN(std::string bytes, read_stdin(uint64_t{1} << 32U));
  if (!looks_like_archive(bytes)) {
    inputs.dockerfile = std::move(bytes);
    inputs.filename = "Dockerfile";
    return {};
  }
  KILN_TRY_ASSIGN(const Root root, Root::open(inputs.unpacked->path()));
  KILN_TRY_ASSIGN(std::unique_ptr<Source> tar,
                  oci::decompress(std::make_unique<StringSource>(std::move(bytes))));
  KILN_TRY_ASSIGN(const std::unique_ptr<oci::TarReader> reader,
                  oci::TarReader::open(std::move(tar)));
  ApplyOptions apply;
  apply.mode = ApplyMode::kArchive;
  KILN_TRY(apply_layer(*reader, root, apply, {}));
  return read_dockerfile(options, inputs, inputs.unpacked->path());
}

Status read_context(const BuildOptions& options, BuildInputs& inputs, const InputPlaces& places) {
  if (options.context.empty())
    return tl::unexpected(
        Error(Code::kInvalidArgument, "kiln build needs a context: a directory or \"-\"")
            .hint("kiln build ."));
  if (is_remote(options.context))
    return tl::unexpected(Error(Code::kUnimplemented, "a context from a URL is not supported yet")
                              .hint("clone or download it and give the directory"));
  if (options.context == "-") {
    KILN_TRY(read_stream_context(options, inputs, places));
    KILN_TRY_ASSIGN(inputs.local["context"], local_context(inputs.unpacked->path(), "", {}));
    return {};
  }
  if (!is_directory(options.context))
    return fail(Code::kNotFound, "unable to prepare context: path " + quote(options.context) +
                                     " not found or not a directory");
  KILN_TRY(read_dockerfile(options, inputs, options.context));
  const std::string ignore = ignore_file_for(options, inputs, options.context);
  KILN_TRY_ASSIGN(inputs.local["context"], local_context(options.context, ignore, places));
  inputs.context.exclude_patterns = inputs.local["context"].exclude_patterns;
  return {};
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
  } else if (is_remote(value)) {
    return fail(Code::kUnimplemented,
                "--build-context " + quote(text) + ": contexts from a URL are not supported yet");
  } else {
    if (!is_directory(value))
      return fail(Code::kNotFound, "--build-context " + quote(text) + ": no such directory");
    context.kind = Kind::kLocal;
    context.identifier = name;
    KILN_TRY_ASSIGN(inputs.local[name], local_context(value, value + "/.dockerignore", places));
    context.exclude_patterns = inputs.local[name].exclude_patterns;
  }
  if (!inputs.named.emplace(name, std::move(context)).second)
    return fail(Code::kInvalidArgument, "--build-context " + quote(name) + " is given twice");
  return {};
}

}  // namespace

Result<BuildInputs> read_build_inputs(const BuildOptions& options, const InputPlaces& places) {
  BuildInputs inputs;
  KILN_TRY(read_context(options, inputs, places));
  for (const std::string& text : options.build_contexts)
    KILN_TRY(add_named_context(text, inputs, places));
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
