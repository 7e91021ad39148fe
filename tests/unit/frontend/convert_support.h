// A Dockerfile in, its graph in readable pieces out.
#pragma once

#include "base/json.h"
#include "frontend/frontend.h"
#include "tests/fakes/image_config_resolver.h"

#include <functional>
#include <string>
#include <vector>

namespace kiln::frontend {

class Converted {
 public:
  /// KILN_CHECKs that the conversion succeeds.
  explicit Converted(const std::string& dockerfile,
                     const std::function<void(FrontendRequest&)>& change = {});
  Converted(const std::string& dockerfile, FakeImages& images,
            const std::function<void(FrontendRequest&)>& change = {});

  const FrontendResult& result() const { return result_; }
  const Json& config() const { return config_; }  // the image config's "config"
  const Json& document() const { return document_; }
  std::vector<std::string> history() const;   // created_by of each entry
  std::vector<std::string> steps() const;     // names of vertices, in order
  std::vector<std::string> warnings() const;  // "rule: message"
  /// The n-th op of a kind; KILN_CHECKs that there is one.
  template <class Kind>
  const Kind& op(size_t n = 0) const {
    for (const llb::Vertex& vertex : result_.graph.vertices()) {
      const auto* kind = std::get_if<Kind>(&vertex.op);
      if (kind != nullptr && n-- == 0) return *kind;
    }
    KILN_CHECK(false);
    return std::get<Kind>(result_.graph.vertices().front().op);
  }
  template <class Kind>
  size_t count() const {
    size_t n = 0;
    for (const llb::Vertex& vertex : result_.graph.vertices()) {
      n += std::holds_alternative<Kind>(vertex.op) ? 1 : 0;
    }
    return n;
  }
  const llb::CopyAction& copy(size_t file_op = 0, size_t action = 0) const;
  const llb::Vertex& named(const std::string& step) const;

 private:
  FrontendResult result_;
  Json document_, config_;
};

/// "alpine" with PATH, and what else the tests start FROM.
FakeImages usual_images();
Result<FrontendResult> convert_text(const std::string& dockerfile, ImageConfigResolver& images,
                                    const std::function<void(FrontendRequest&)>& change = {});
/// The error's message with place, or "no error".
std::string error_of(const std::string& dockerfile,
                     const std::function<void(FrontendRequest&)>& change = {});

}  // namespace kiln::frontend
