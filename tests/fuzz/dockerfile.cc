// Any bytes as a Dockerfile: lines, syntax, instructions and the conversion, for which every image
// exists. No input may crash or hang it, every error and warning must say where in the file it is,
// and what is converted must survive the wire.
#include <stop_token>
#include <string>
#include <vector>

#include "frontend/frontend.h"
#include "frontend/instructions.h"
#include "frontend/parser.h"
#include "llb/codec.h"
#include "tests/fuzz/fuzz.h"

namespace kiln::fuzz {
namespace {

constexpr const char* kFile = "Dockerfile";

class EveryImage final : public frontend::ImageConfigResolver {
 public:
  Result<frontend::ResolvedImage> resolve(const std::string& reference, const Platform&,
                                          frontend::ResolveMode, std::stop_token) override {
    const bool triggers = reference.find("trigger") != std::string::npos;
    const std::string config = triggers ? R"({"OnBuild":["COPY . /src","RUN make"]})"
                                        : R"({"Env":["PATH=/bin","X=base"],"WorkingDir":"/srv"})";
    const std::string document = R"({"architecture":"amd64","os":"linux","config":)" + config + "}";
    return frontend::ResolvedImage{reference, Digest::of(document), document};
  }
};

void check_syntax(std::string_view text) {
  const dockerfile::Parsed parsed = dockerfile::parse(text, kFile);
  for (const Error& error : parsed.errors) {
    // An empty file has no line that an error could be at.
    if (error.where())
      check_place(*error.where(), kFile, text);
    else
      KILN_CHECK(parsed.ast.instructions.empty());
  }
  for (const Error& error : dockerfile::parse_instructions(parsed.ast).errors) {
    KILN_CHECK(error.where().has_value());
    check_place(*error.where(), kFile, text);
  }
}

void check_wire(const llb::Graph& graph) {
  if (graph.targets().empty()) return;
  const std::string bytes = llb::marshal_definition(graph);
  const Result<llb::Graph> again = llb::unmarshal_definition(bytes);
  KILN_CHECK(again);
  KILN_CHECK(llb::marshal_definition(*again) == bytes);
}

void check_conversion(std::string_view text) {
  frontend::FrontendRequest request;
  request.dockerfile = std::string(text);
  request.filename = kFile;
  request.build_platform = Platform{"linux", "amd64", ""};
  EveryImage images;
  std::vector<BuildWarning> warnings;
  const Result<frontend::FrontendResult> result =
      frontend::dockerfile_to_llb(request, images, {}, &warnings);
  for (const BuildWarning& warning : warnings)
    if (warning.where.first_line != 0) check_place(warning.where, kFile, text);
  if (!result) {
    if (result.error().where()) check_place(*result.error().where(), kFile, text);
    return;
  }
  check_wire(result->graph);
}

}  // namespace
}  // namespace kiln::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  kiln::fuzz::check_syntax(kiln::fuzz::view(bytes, size));
  kiln::fuzz::check_conversion(kiln::fuzz::view(bytes, size));
  return 0;
}
