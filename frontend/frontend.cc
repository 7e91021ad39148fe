#include "frontend/frontend.h"

#include "frontend/converter.h"
#include "frontend/source_text.h"

#include <utility>

namespace kiln::frontend {
namespace {

Result<FrontendResult> convert_source(const FrontendRequest& request, ImageConfigResolver& resolver,
                                      std::stop_token stop, SourceText& source) {
  KILN_TRY(source.status);
  KILN_TRY_ASSIGN(FrontendResult result, convert({request, source.instructions, source.escape,
                                                  resolver, source.linter, std::move(stop)}));
  KILN_TRY(source.linter.verdict());
  return result;
}

}  // namespace

Result<FrontendResult> dockerfile_to_llb(const FrontendRequest& request,
                                         ImageConfigResolver& resolver, std::stop_token stop,
                                         std::vector<BuildWarning>* warnings) {
  SourceText source = read_source(request);
  Result<FrontendResult> result = convert_source(request, resolver, std::move(stop), source);
  std::vector<BuildWarning> found;
  for (const lint::Finding& finding : source.linter.findings()) {
    found.push_back(lint::to_warning(finding));
  }
  if (warnings != nullptr) *warnings = found;
  if (result) result->warnings = std::move(found);
  return result;
}

}  // namespace kiln::frontend
