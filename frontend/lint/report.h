// A Dockerfile checked without being built (`kiln build --check`), and how the result is shown.
#pragma once

#include "base/result.h"
#include "frontend/frontend.h"
#include "frontend/lint/linter.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::lint {

struct CheckResult {
  std::vector<Finding> findings;  // violations only, in order of lines
  std::vector<Finding> advice;
  std::optional<Error> error;  // what a build would fail with, before any step runs
  bool passed() const { return findings.empty() && !error; }
};

/// Checks what a build of the request's target would need, or every stage if it names no target.
/// Asks `resolver` for the base images' configs, as a build does.
CheckResult check_dockerfile(const frontend::FrontendRequest& request,
                             frontend::ImageConfigResolver& resolver, std::stop_token stop);

/// Docker's layout: how many there are, then each with its rule, address and lines. `error` is not
/// in it. `file` is the name that is shown, `text` the Dockerfile.
std::string check_text(const CheckResult& result, const std::string& file, std::string_view text);
/// BuildKit's frontend.lint: {"warnings":[…],"sources":[…],"buildError":{…}}.
std::string check_json(const CheckResult& result, const std::string& file, std::string_view text);

}  // namespace kiln::lint
