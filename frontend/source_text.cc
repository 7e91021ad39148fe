#include "frontend/source_text.h"

#include "base/strings.h"
#include "base/utf8.h"
#include "frontend/lint/file_checks.h"
#include "frontend/parse_error.h"
#include "frontend/parser.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace kiln::frontend {
namespace {

/// Texts of the graph are UTF-8 on the wire (protobuf strings).
Status check_utf8(const FrontendRequest& request) {
  std::string_view rest = request.dockerfile;
  int line = 1;
  while (!rest.empty()) {
    const Utf8Char next = decode_utf8(rest);
    if (next.bytes == 0) {
      return tl::unexpected(Error(Code::kInvalidArgument, "the Dockerfile is not valid UTF-8")
                                .at({request.filename, line, line}));
    }
    if (next.code_point == '\n') ++line;
    rest.remove_prefix(next.bytes);
  }
  for (const auto& [key, value] : request.build_args) {
    std::string_view text = value;
    while (!text.empty()) {
      const Utf8Char next = decode_utf8(text);
      if (next.bytes == 0) {
        return fail(Code::kInvalidArgument, "build argument " + key + " is not valid UTF-8");
      }
      text.remove_prefix(next.bytes);
    }
  }
  return {};
}

bool is_own_syntax(std::string_view image) {
  if (image == "dockerfile.v0") return true;
  for (std::string_view prefix : {"docker.io/", "index.docker.io/"}) {
    if (image.starts_with(prefix)) image.remove_prefix(prefix.size());
  }
  for (std::string_view name : {"docker/dockerfile-upstream", "docker/dockerfile"}) {
    if (!image.starts_with(name)) continue;
    const std::string_view rest = image.substr(name.size());
    if (rest.empty() || rest.front() == ':' || rest.front() == '@') return true;
  }
  return false;
}

/// "# syntax=docker/dockerfile:1" is this frontend; any other image would have to be run.
Status check_syntax(const FrontendRequest& request) {
  std::optional<dockerfile::Directive> syntax = dockerfile::detect_syntax(request.dockerfile);
  for (const auto& [key, value] : request.build_args) {
    if (key == "BUILDKIT_SYNTAX") syntax = dockerfile::Directive{value, 0};
  }
  if (!syntax) return {};
  const std::string_view text = trim(syntax->value);
  const std::string_view image = text.substr(0, text.find_first_of(" \t"));
  if (image.empty() || is_own_syntax(image)) return {};
  Error error = Error(Code::kUnimplemented, "frontend image \"" + std::string(image) +
                                                "\" cannot be run; kiln reads Dockerfiles itself")
                    .hint(
                        "remove the syntax line, or pass "
                        "--build-arg BUILDKIT_SYNTAX=dockerfile.v0");
  if (syntax->line > 0) error = error.at({request.filename, syntax->line, syntax->line});
  return tl::unexpected(error);
}

Status check_errors(std::vector<Error> errors) {
  if (errors.empty()) return {};
  std::stable_sort(errors.begin(), errors.end(), [](const Error& a, const Error& b) {
    return (a.where() ? a.where()->first_line : 0) < (b.where() ? b.where()->first_line : 0);
  });
  return tl::unexpected(dockerfile::combine_errors(errors));
}

constexpr std::string_view kCheckArg = "BUILDKIT_DOCKERFILE_CHECK";

/// The build argument's options take the place of the file's.
Result<lint::Linter> make_linter(const FrontendRequest& request) {
  std::optional<dockerfile::Directive> check = dockerfile::detect_check(request.dockerfile);
  for (const auto& [key, value] : request.build_args) {
    if (key == kCheckArg) check = dockerfile::Directive{value, 0};
  }
  if (!check) return lint::Linter();
  const SourceRange where =
      check->line > 0 ? SourceRange{request.filename, check->line, check->line} : SourceRange{};
  Result<lint::CheckOptions> options = lint::parse_check_options(check->value);
  if (options) return lint::Linter(*std::move(options), where);
  if (check->line == 0) return tl::unexpected(options.error().wrap(kCheckArg));
  return tl::unexpected(options.error().wrap("failed to parse check options").at(where));
}

/// Reads as much as there is to read.
Status read_into(const FrontendRequest& request, SourceText& out) {
  KILN_TRY(check_utf8(request));
  KILN_TRY(check_syntax(request));
  KILN_TRY_ASSIGN(out.linter, make_linter(request));
  dockerfile::Parsed parsed = dockerfile::parse(request.dockerfile, request.filename);
  dockerfile::TypedDockerfile typed = dockerfile::parse_instructions(parsed.ast);
  out.linter.read_comments(typed.instructions);
  lint::check_file(parsed.ast, typed.instructions, out.linter);
  std::vector<Error> errors = std::move(parsed.errors);
  // What could not be read has no meaning to complain about.
  std::set<int> unread;
  for (const Error& error : errors) unread.insert(error.where() ? error.where()->first_line : 0);
  std::copy_if(typed.errors.begin(), typed.errors.end(), std::back_inserter(errors),
               [&unread](const Error& error) {
                 return !error.where() || !unread.contains(error.where()->first_line);
               });
  out.instructions = std::move(typed.instructions);
  out.escape = parsed.ast.escape;
  return check_errors(std::move(errors));
}

}  // namespace

SourceText read_source(const FrontendRequest& request) {
  SourceText out;
  out.status = read_into(request, out);
  return out;
}

}  // namespace kiln::frontend
