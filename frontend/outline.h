// What a build can be given, as --call=outline and --call=targets tell it: the arguments, secrets
// and sockets that a target takes, and the targets of a file. Comments directly above an ARG or a
// FROM that begin with its name describe it.
#pragma once

#include "base/result.h"
#include "frontend/frontend.h"

#include <string>
#include <vector>

namespace kiln::frontend {

struct Outline {
  struct Arg {
    std::string name, description;
    std::string value;  // with the request's arguments; "" if there is none
    SourceRange where;
  };
  struct Access {
    std::string name;
    bool required = false;
    SourceRange where;
  };
  std::string name;  // of the target, "" if it has none
  std::string description;
  // Of the target and the stages it needs, each name once, in order of lines.
  std::vector<Arg> args;
  std::vector<Access> secrets, ssh;
};

struct Target {
  std::string name;  // "" if it has none
  std::string description;
  std::string base, platform;  // as written
  bool is_default = false;
  SourceRange where;
};

/// Errors as dockerfile_to_llb's.
Result<Outline> outline_dockerfile(const FrontendRequest& request, ImageConfigResolver& resolver,
                                   std::stop_token stop);
/// Looks at the text alone. kInvalidArgument: it cannot be read.
Result<std::vector<Target>> list_targets(const FrontendRequest& request);

// As BuildKit's subrequests frontend.outline and frontend.targets show it. `dockerfile` is the
// text, which the JSON carries along.
std::string outline_text(const Outline& outline);
std::string outline_json(const Outline& outline, std::string_view dockerfile);
std::string targets_text(const std::vector<Target>& targets);
std::string targets_json(const std::vector<Target>& targets, std::string_view dockerfile);

}  // namespace kiln::frontend
