#include "solver/sources/http.h"

#include "base/strings.h"

namespace kiln {

Result<std::unique_ptr<Operation>> make_http_op(const OpsEnvironment& /*environment*/,
                                                const llb::Vertex& vertex) {
  const std::string& identifier = std::get<llb::SourceOp>(vertex.op).identifier;
  return tl::unexpected(Error(Code::kUnimplemented, "cannot fetch " + quote(identifier) + " yet")
                            .hint("fetch it yourself and COPY it, or use RUN"));
}

}  // namespace kiln
