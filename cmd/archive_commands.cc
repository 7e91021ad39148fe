// `kiln import`, `save`, `load`.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "cmd/commands.h"
#include "cmd/image_lookup.h"
#include "exporter/image_assembler.h"
#include "exporter/output_file.h"
#include "frontend/frontend.h"
#include "oci/compression.h"
#include "oci/layout.h"
#include "oci/tar.h"

namespace kiln::cmd {
namespace {

Result<std::unique_ptr<Source>> open_input(const std::string& file) {
  const bool stream = file.empty() || file == "-";
  Fd fd(stream ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
               : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  const std::string name = stream ? "standard input" : file;
  if (!fd.valid()) return fail_errno("open", name);
  return std::make_unique<FdSource>(std::move(fd), name);
}

// What was given is wrong, and not what kiln keeps.
Error about_input(const Error& error, const char* what) {
  if (error.code() != Code::kDataLoss) return error;
  return Error(Code::kInvalidArgument,
               std::string("it is ") + what + ", or damaged: " + error.message());
}

/// Hands on what is read.
class CopyingSource : public Source {
 public:
  CopyingSource(Source& from, Sink& to, uint64_t& bytes) : from_(from), to_(to), bytes_(bytes) {}
  Result<size_t> read(std::span<std::byte> buffer) override {
    KILN_TRY_ASSIGN(const size_t count, from_.read(buffer));
    bytes_ += count;
    KILN_TRY(to_.write(buffer.first(count)));
    return count;
  }

 private:
  Source& from_;
  Sink& to_;
  uint64_t& bytes_;
};

Status read_every_entry(std::unique_ptr<Source> archive) {
  KILN_TRY_ASSIGN(const std::unique_ptr<oci::TarReader> tar,
                  oci::TarReader::open(std::move(archive)));
  while (true) {
    KILN_TRY_ASSIGN(const std::optional<oci::TarEntry> entry, tar->next());
    if (!entry) return {};
  }
}

class NoImages : public frontend::ImageConfigResolver {
 public:
  Result<frontend::ResolvedImage> resolve(const std::string& reference,
                                          const Platform& /*platform*/,
                                          frontend::ResolveMode /*mode*/,
                                          std::stop_token /*stop*/) override {
    return fail(Code::kInvalidArgument, "--change cannot name an image (" + reference + ")");
  }
};

// The config that `FROM scratch` plus the changes gives: one meaning of CMD, ENV and the rest for
// import and build.
Result<Json> config_from_changes(const ImportOptions& options, const Platform& platform,
                                 const std::stop_token& stop) {
  frontend::FrontendRequest request;
  request.dockerfile = "FROM scratch\n";
  for (const std::string& change : options.changes) {
    const std::string word = to_lower(change.substr(0, change.find_first_of(" \t")));
    static const std::vector<std::string> kAllowed = {
        "cmd",     "entrypoint", "env",        "expose", "healthcheck", "label",
        "onbuild", "shell",      "stopsignal", "user",   "volume"};
    // WORKDIR makes a directory, which an import does not: it is set in the config below.
    if (word == "workdir") continue;
    if (std::find(kAllowed.begin(), kAllowed.end(), word) == kAllowed.end())
      return tl::unexpected(Error(Code::kInvalidArgument, "--change " + quote(change) + ": " +
                                                              to_upper(word) +
                                                              " is not a valid change command" +
                                                              did_you_mean(word, kAllowed))
                                .hint("CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, "
                                      "SHELL, STOPSIGNAL, USER, VOLUME and WORKDIR are"));
    request.dockerfile += change + "\n";
  }
  request.filename = "--change";
  request.platform = platform;
  NoImages images;
  KILN_TRY_ASSIGN(const frontend::FrontendResult converted,
                  frontend::dockerfile_to_llb(request, images, stop));
  KILN_TRY_ASSIGN(Json config, Json::parse(converted.image_config_json));
  for (const std::string& change : options.changes) {
    if (to_lower(change.substr(0, change.find_first_of(" \t"))) != "workdir") continue;
    Json inner = config["config"];
    inner.set(
        "WorkingDir",
        join_path(inner["WorkingDir"].as_string().empty() ? "/" : inner["WorkingDir"].as_string(),
                  trim(std::string_view(change).substr(7))));
    config.set("config", std::move(inner));
  }
  Json entry = Json::object();
  entry.set("comment", options.message.empty() ? "Imported from " + options.file : options.message);
  config.set("history", Json::array({std::move(entry)}));
  return config;
}

// The tar is kept as it is, and read to its end: an image must not hold half of one.
Result<oci::LayerBlob> import_layer(Engine& engine, const std::string& file,
                                    const std::stop_token& stop) {
  KILN_TRY_ASSIGN(std::unique_ptr<Source> input, open_input(file));
  KILN_TRY_ASSIGN(const std::unique_ptr<Source> tar, oci::decompress(std::move(input)));
  KILN_TRY_ASSIGN(const std::unique_ptr<oci::LayerWriter> layer,
                  oci::LayerWriter::create(engine.content(), engine.lease(), {}, stop));
  uint64_t bytes = 0;
  const Status read = read_every_entry(std::make_unique<CopyingSource>(*tar, *layer, bytes));
  if (!read && bytes == 0 && read.error().code() == Code::kDataLoss)
    return fail(Code::kInvalidArgument, "the archive is empty");
  if (!read) return tl::unexpected(about_input(read.error(), "no tar archive"));
  KILN_TRY(copy_stream(*tar, *layer));  // what stands behind the archive's end
  return layer->finish();
}

Result<Digest> import_image(Engine& engine, const ImportOptions& options,
                            const std::optional<oci::Reference>& name, const Platform& platform,
                            const std::stop_token& stop) {
  KILN_TRY_ASSIGN(const Json config, config_from_changes(options, platform, stop));
  KILN_TRY_ASSIGN(oci::LayerBlob layer, import_layer(engine, options.file, stop));
  const auto now = Clock::system().now();
  const ChainLayer chain{std::move(layer), now};
  AssembleRequest request;
  request.config_json = config.dump();
  request.layers = {&chain, 1};
  request.platform = platform;
  request.now = now;
  KILN_TRY_ASSIGN(const AssembledImage image, assemble_image(request));
  KILN_TRY_ASSIGN(const Digest config_digest,
                  oci::write_blob(engine.content(), engine.lease(), image.config_json));
  const std::string text = oci::to_json_text(image.manifest);
  KILN_TRY_ASSIGN(const Digest manifest, oci::write_blob(engine.content(), engine.lease(), text));
  const oci::Descriptor descriptor{image.manifest.media_type, manifest, text.size(), platform, {}};
  if (name)
    KILN_TRY(engine.images().tag(*name, descriptor));
  else
    KILN_TRY(engine.images().keep_dangling(descriptor));
  return config_digest;
}

// By its name with a tag, or by ID, one image; by a name without a tag all tags of it, as docker.
Result<std::vector<oci::StoredImage>> images_to_save(Engine& engine, const std::string& text) {
  const Result<oci::Reference> asked = oci::Reference::parse(text);
  std::vector<oci::StoredImage> found;
  if (asked && !asked->digest && !oci::has_tag(text)) {
    KILN_TRY_ASSIGN(const std::vector<oci::StoredImage> all, engine.images().list());
    for (const oci::StoredImage& image : all) {
      const auto name = oci::Reference::parse(image.name);
      if (name && name->name() == asked->name() && !name->digest) found.push_back(image);
    }
  }
  if (!found.empty()) return found;
  KILN_TRY_ASSIGN(oci::StoredImage image, find_image(engine, text));
  if (!asked || asked->digest || image.name != asked->to_string()) image.name.clear();
  return std::vector<oci::StoredImage>{std::move(image)};
}

// An image is in an archive once, with all the names that it was asked for by.
Status add_to_archive(Engine& engine, const std::string& text, const std::optional<Platform>& only,
                      std::vector<oci::NamedImage>& images) {
  KILN_TRY_ASSIGN(const std::vector<oci::StoredImage> wanted, images_to_save(engine, text));
  for (const oci::StoredImage& image : wanted) {
    oci::Descriptor what = image.descriptor;
    if (only) {
      auto manifest = manifest_for(engine, what, *only);
      if (!manifest) return tl::unexpected(manifest.error().wrap("save " + quote(text)));
      what = *std::move(manifest);
    }
    auto entry = std::find_if(images.begin(), images.end(), [&](const oci::NamedImage& known) {
      return known.descriptor.digest == what.digest;
    });
    if (entry == images.end()) entry = images.insert(images.end(), {{}, what});
    const bool new_name =
        std::find(entry->names.begin(), entry->names.end(), image.name) == entry->names.end();
    if (!image.name.empty() && new_name) entry->names.push_back(image.name);
  }
  return {};
}

}  // namespace

CommandResult run_import(const ImportOptions& options, const Invocation& invocation) {
  std::optional<oci::Reference> name;
  if (!options.reference.empty()) {
    const Result<oci::Reference> parsed = oci::Reference::parse(options.reference);
    if (!parsed) return usage_failure(parsed.error());
    name = *parsed;
  }
  const Result<Platform> platform = options.platform.empty() ? Result<Platform>(Platform::host())
                                                             : Platform::parse(options.platform);
  if (!platform) return usage_failure(platform.error());
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  const Result<Digest> config = import_image(*engine, options, name, *platform, invocation.stop);
  if (!config) return failure(config.error().wrap("import " + quote(options.file)));
  (void)std::printf("%s\n",
                    config->to_string().c_str());  // a closed stdout shows in the shell, not here
  return {};
}

CommandResult run_save(const SaveOptions& options, const Invocation& invocation) {
  std::optional<Platform> only;
  if (!options.platform.empty()) {
    const Result<Platform> parsed = Platform::parse(options.platform);
    if (!parsed) return usage_failure(parsed.error().wrap("--platform " + quote(options.platform)));
    only = *parsed;
  }
  if (options.output.empty() && ::isatty(STDOUT_FILENO) == 1)
    return usage_failure(Error(Code::kInvalidArgument, "refusing to write an archive to a terminal")
                             .hint("use -o FILE or redirect"));
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  std::vector<oci::NamedImage> images;
  for (const std::string& text : options.references)
    KILN_CMD_TRY(add_to_archive(*engine, text, only, images));
  KILN_CMD_TRY_ASSIGN(
      OutputFile file,
      OutputFile::open(options.output.empty() ? "-" : options.output, STDOUT_FILENO));
  FdSink sink(file.fd(), options.output.empty() ? "standard output" : options.output);
  if (options.format == "oci")
    KILN_CMD_TRY(oci::write_oci_tar(engine->content(), images, sink, invocation.stop));
  else
    KILN_CMD_TRY(oci::write_docker_tar(engine->content(), images, sink, invocation.stop));
  KILN_CMD_TRY(file.commit());
  return {};
}

CommandResult run_load(const LoadOptions& options, const Invocation& invocation) {
  if (options.input.empty() && ::isatty(STDIN_FILENO) == 1)
    return usage_failure(
        Error(Code::kInvalidArgument, "refusing to read an archive from a terminal")
            .hint("use -i FILE or redirect"));
  KILN_CMD_TRY_ASSIGN(const std::unique_ptr<Engine> engine,
                      open_engine(options.global, Need::kStores, invocation));
  KILN_CMD_TRY_ASSIGN(std::unique_ptr<Source> input, open_input(options.input));
  const Result<std::vector<oci::NamedImage>> images =
      oci::read_archive(engine->content(), engine->lease(), std::move(input), invocation.stop);
  if (!images)
    return failure(about_input(images.error(), "no archive of images")
                       .wrap("load " + quote(options.input.empty() ? "-" : options.input)));
  // Said with --quiet, too, as docker says it.
  for (const oci::NamedImage& image : *images) {
    if (image.names.empty()) {
      KILN_CMD_TRY(engine->images().keep_dangling(image.descriptor));
      KILN_CMD_TRY_ASSIGN(const ImageFacts facts, image_facts(*engine, image.descriptor));
      (void)std::printf("Loaded image ID: %s\n", facts.id.to_string().c_str());  // as in import
    }
    for (const std::string& text : image.names) {
      KILN_CMD_TRY_ASSIGN(const oci::Reference name, oci::Reference::parse(text));
      KILN_CMD_TRY(engine->images().tag(name, image.descriptor));
      (void)std::printf("Loaded image: %s\n", name.familiar().c_str());  // as in import
    }
  }
  return {};
}

}  // namespace kiln::cmd
