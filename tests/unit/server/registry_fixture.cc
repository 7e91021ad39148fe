#include "tests/unit/server/registry_fixture.h"

#include <unistd.h>

#include "base/io.h"
#include "base/process.h"
#include "base/strings.h"
#include "tests/fakes/must.h"

namespace kiln::server {

using fake::must;

std::string Reply::header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers)
    if (to_lower(name) == lower_case_name) return value;
  return {};
}

std::string Reply::code() const {
  const Result<Json> json = Json::parse(body);
  if (!json || (*json)["errors"].elements().empty()) return {};
  return (*json)["errors"].elements().front()["code"].as_string();
}

ServerConfig TestRegistry::open_to_all() {
  ServerConfig config;
  config.access.everyone_may_all = true;
  return config;
}

TestRegistry::TestRegistry(ServerConfig config, std::unique_ptr<BlobStorage> storage)
    : dir_(must(TempDir::create("/tmp", "kiln-registry-"))) {
  storage_ = std::move(storage);
  if (!storage_) storage_ = must(DirectoryStorage::open(path("store")));
  registry_ =
      std::make_unique<Registry>(*storage_, RegistryOptions{config.quotas, config.collect_grace});
  if (!config.upstreams.empty())
    mirror_ = must(Mirror::create(config.upstreams, *registry_, 4, {}));
  const auto write = [this](std::string_view line) { lines_.lock()->emplace_back(line); };
  service_ = std::make_unique<Service>(
      config, Service::Parts{*registry_, metrics_, mirror_.get(), write, {}});
}

Reply TestRegistry::ask(const Ask& ask) const {
  const size_t question = ask.target.find('?');
  Request request{ask.method, percent_decode(ask.target.substr(0, question)).value_or(""), ""};
  if (question != std::string::npos) request.query = ask.target.substr(question + 1);
  for (const auto& [name, value] : ask.headers) request.headers.emplace_back(to_lower(name), value);
  request.headers.emplace_back("host", "registry.test");
  request.body_bytes = ask.body.size();
  request.peer = "127.0.0.1";
  Started started = service_->start(request);
  Response response;
  if (auto* receiver = std::get_if<std::unique_ptr<BodyReceiver>>(&started)) {
    std::optional<Response> early;
    if (!ask.body.empty()) early = (*receiver)->write(as_bytes(ask.body));
    response = early ? *std::move(early) : (*receiver)->finish();
  } else {
    response = std::move(std::get<Response>(started));
  }
  Reply reply{response.status, response.headers, {}};
  reply.headers.emplace_back("Content-Length", std::to_string(response.body_bytes()));
  if (auto* text = std::get_if<std::string>(&response.body)) {
    reply.body = *text;
  } else if (const auto* stream = std::get_if<StreamedBody>(&response.body)) {
    if (ask.method != "HEAD")
      reply.body = must(read_all(*stream->source, stream->length, "streamed body"));
  } else {
    const FileRange& range = std::get<FileRange>(response.body);
    reply.body.resize(range.length);
    EXPECT_EQ(
        ::pread(range.fd.get(), reply.body.data(), range.length, static_cast<off_t>(range.offset)),
        static_cast<ssize_t>(range.length));
  }
  if (ask.method == "HEAD") reply.body.clear();
  service_->finished(request, response.status, ask.body.size(), reply.body.size());
  return reply;
}

std::string digest_of(std::string_view bytes) {
  return BlobDigest::of(HashAlgorithm::kSha256, bytes).to_string();
}

void make_certificate(const std::string& certificate, const std::string& key,
                      const std::string& common_name,
                      const std::optional<ClientCertificate>& issuer) {
  ProcessSpec spec;
  spec.argv = {"openssl",
               "req",
               "-x509",
               "-newkey",
               "ec",
               "-pkeyopt",
               "ec_paramgen_curve:P-256",
               "-nodes",
               "-days",
               "2",
               "-subj",
               "/CN=" + common_name,
               "-addext",
               "subjectAltName=IP:127.0.0.1",
               "-keyout",
               key,
               "-out",
               certificate};
  if (issuer)
    spec.argv.insert(spec.argv.end(),
                     {"-CA", issuer->certificate_file, "-CAkey", issuer->key_file});
  spec.env = {"PATH=/usr/bin:/bin"};
  const CapturedRun run = must(run_captured(spec, "", 1U << 16U, {}));
  ASSERT_TRUE(run.exit.ok()) << run.err;
}

std::string manifest_of(const std::vector<std::string>& blobs, Json extra) {
  const auto descriptor = [](const std::string& type, const std::string& blob) {
    return Json::object(
        {{"mediaType", type}, {"digest", digest_of(blob)}, {"size", uint64_t{blob.size()}}});
  };
  Json json = Json::object({{"schemaVersion", 2}, {"mediaType", kManifestType}});
  Json layers = Json::array();
  for (size_t i = 0; i < blobs.size(); ++i) {
    if (i == 0)
      json.set("config", descriptor("application/vnd.oci.image.config.v1+json", blobs[i]));
    else
      layers.push_back(descriptor("application/vnd.oci.image.layer.v1.tar", blobs[i]));
  }
  json.set("layers", std::move(layers));
  for (const auto& [key, value] : extra.members()) json.set(key, value);
  return json.dump();
}

}  // namespace kiln::server
