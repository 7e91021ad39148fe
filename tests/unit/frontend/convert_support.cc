#include "tests/unit/frontend/convert_support.h"

#include <utility>

namespace kiln::frontend {

FakeImages usual_images() {
  FakeImages images;
  images.add_config("docker.io/library/alpine:latest", R"({"Env":["PATH=/bin"],"Cmd":["sh"]})");
  images.add_config(
      "docker.io/library/app:1",
      R"({"User":"app","Env":["PATH=/bin","X=base"],"WorkingDir":"/srv","Entrypoint":["/app"],)"
      R"("Cmd":["--help"],"Labels":{"b":"1"},"Future":{"kept":true}})");
  images.add_config("docker.io/library/trigger:latest",
                    R"({"OnBuild":["COPY . /src","RUN make"],"Env":["PATH=/bin"]})");
  images.add("docker.io/library/hollow:latest",
             R"({"architecture":"amd64","os":"linux","config":{"Env":["A=1"]}})");
  return images;
}

Result<FrontendResult> convert_text(const std::string& dockerfile, ImageConfigResolver& images,
                                    const std::function<void(FrontendRequest&)>& change) {
  FrontendRequest request;
  request.dockerfile = dockerfile;
  request.build_platform = Platform{"linux", "amd64", ""};
  if (change) change(request);
  return dockerfile_to_llb(request, images, {});
}

std::string error_of(const std::string& dockerfile,
                     const std::function<void(FrontendRequest&)>& change) {
  FakeImages images = usual_images();
  const Result<FrontendResult> result = convert_text(dockerfile, images, change);
  return result ? "no error" : result.error().to_string();
}

Converted::Converted(const std::string& dockerfile, FakeImages& images,
                     const std::function<void(FrontendRequest&)>& change) {
  Result<FrontendResult> result = convert_text(dockerfile, images, change);
  if (!result) fprintf(stderr, "%s\n", result.error().to_string().c_str());
  KILN_CHECK(result);
  result_ = *std::move(result);
  document_ = *Json::parse(result_.image_config_json);
  config_ = document_["config"];
}

namespace {
FakeImages& static_images(FakeImages&& images) {
  return images;
}
}  // namespace

Converted::Converted(const std::string& dockerfile,
                     const std::function<void(FrontendRequest&)>& change)
    : Converted(dockerfile, static_images(usual_images()), change) {}

std::vector<std::string> Converted::history() const {
  std::vector<std::string> out;
  for (const Json& entry : document_["history"].elements()) {
    out.push_back(entry["created_by"].as_string());
  }
  return out;
}

std::vector<std::string> Converted::steps() const {
  std::vector<std::string> out;
  for (const llb::Vertex& vertex : result_.graph.vertices()) out.push_back(vertex.meta.name);
  return out;
}

std::vector<std::string> Converted::warnings() const {
  std::vector<std::string> out;
  for (const BuildWarning& warning : result_.warnings) {
    out.push_back(warning.rule + ": " + warning.message);
  }
  return out;
}

const llb::CopyAction& Converted::copy(size_t file_op, size_t action) const {
  return std::get<llb::CopyAction>(op<llb::FileOp>(file_op).actions.at(action).action);
}

const llb::Vertex& Converted::named(const std::string& step) const {
  for (const llb::Vertex& vertex : result_.graph.vertices()) {
    if (vertex.meta.name == step) return vertex;
  }
  KILN_CHECK(false);
  return result_.graph.vertices().front();
}

}  // namespace kiln::frontend
