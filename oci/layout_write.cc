#include <unistd.h>

#include <algorithm>
#include <set>

#include "oci/image.h"
#include "oci/image_store.h"
#include "oci/layout.h"
#include "oci/tar.h"

namespace kiln::oci {
namespace {

constexpr std::string_view kLayoutFile = R"({"imageLayoutVersion":"1.0.0"})";

// One index entry a name, so that tools which look for a name find it; an unnamed image has one
// entry.
Result<std::string> index_text(std::span<const NamedImage> images,
                               std::vector<Descriptor> already) {
  Index index{std::string(media_type::kIndex), std::move(already), {}};
  const auto add = [&index](const Descriptor& descriptor) {
    if (std::find(index.manifests.begin(), index.manifests.end(), descriptor) ==
        index.manifests.end())
      index.manifests.push_back(descriptor);
  };
  for (const NamedImage& image : images) {
    if (image.names.empty()) add(image.descriptor);
    for (const std::string& text : image.names) {
      KILN_TRY_ASSIGN(const Reference name, Reference::parse(text));
      Descriptor descriptor = image.descriptor;
      descriptor.annotations["io.containerd.image.name"] = name.to_string();
      if (!name.tag.empty()) descriptor.annotations["org.opencontainers.image.ref.name"] = name.tag;
      // A name belongs to one image: the one written last.
      std::erase_if(index.manifests, [&](const Descriptor& other) {
        const auto named = other.annotations.find("io.containerd.image.name");
        return named != other.annotations.end() && named->second == name.to_string();
      });
      add(descriptor);
    }
  }
  return to_json_text(index);
}

Result<std::set<Digest>> blobs_of(ContentStore& content, std::span<const NamedImage> images) {
  std::set<Digest> blobs;
  for (const NamedImage& image : images) {
    KILN_TRY_ASSIGN(const std::vector<Digest> some, reachable_blobs(content, image.descriptor));
    blobs.insert(some.begin(), some.end());
  }
  return blobs;
}

// Hashing what this process has just written would double the cost of an export; what it finds is
// verified, or damage would travel on under a digest that promises something else.
Result<std::unique_ptr<Source>> open_blob(ContentStore& content, const Digest& digest) {
  if (!content.is_known(digest)) return content.open(digest);
  KILN_TRY_ASSIGN(Fd fd, content.open_fd(digest));
  return std::make_unique<FdSource>(std::move(fd), digest.to_string());
}

// Where one blob is damaged others may be: each is read now, so that one failure finds them all and
// what makes them anew does so once.
tl::unexpected<Error> after_damage(ContentStore& content, const std::set<Digest>& blobs,
                                   const Error& seen) {
  std::vector<std::byte> buffer(1U << 20U);
  for (const Digest& digest : blobs) {
    if (seen.code() != Code::kDataLoss || content.is_known(digest)) continue;
    const auto bytes = content.open(digest);
    if (!bytes) continue;  // what is absent is no longer damaged
    Result<size_t> got = size_t{1};
    while (got && *got > 0) got = (*bytes)->read(buffer);
  }
  return tl::unexpected(seen);
}

class ArchiveWriter {
 public:
  ArchiveWriter(ContentStore& content, Sink& to, std::stop_token stop)
      : content_(content), tar_(to), stop_(std::move(stop)) {}

  Status directory(const char* path) {
    KILN_TRY_ASSIGN(RelPath name, RelPath::strict(path));
    TarEntry entry;
    entry.path = std::move(name);
    entry.type = EntryType::kDirectory;
    entry.mode = 0755;
    return tar_.add(entry);
  }
  Status text(const char* path, std::string_view bytes) {
    KILN_TRY(header(path, bytes.size()));
    return tar_.data(as_bytes(bytes));
  }
  Status blobs(const std::set<Digest>& blobs) {
    KILN_TRY(directory("blobs"));
    KILN_TRY(directory("blobs/sha256"));
    for (const Digest& digest : blobs) KILN_TRY(blob(digest));
    return {};
  }
  Status finish() { return tar_.finish(); }

 private:
  Status header(const std::string& path, uint64_t size) {
    KILN_TRY_ASSIGN(RelPath name, RelPath::strict(path));
    TarEntry entry;
    entry.path = std::move(name);
    entry.mode = 0644;
    entry.size = size;
    return tar_.add(entry);
  }

  Status blob(const Digest& digest) {
    KILN_TRY_ASSIGN(const std::optional<uint64_t> size, content_.size(digest));
    if (!size)
      return fail(Code::kNotFound, "blob " + digest.to_string() + " is not in the content store");
    KILN_TRY_ASSIGN(const std::unique_ptr<Source> bytes, open_blob(content_, digest));
    KILN_TRY(header("blobs/sha256/" + digest.hex(), *size));
    if (buffer_.empty()) buffer_.resize(1U << 20U);
    for (uint64_t left = *size;;) {
      if (stop_.stop_requested()) return fail(Code::kCancelled, "writing the archive was stopped");
      KILN_TRY_ASSIGN(const size_t got, bytes->read(buffer_));  // to the end, which verifies
      if (got > left || (got == 0 && left > 0))
        return fail(Code::kDataLoss, "blob " + digest.to_string() + " changes its size");
      if (got == 0) return {};
      KILN_TRY(tar_.data({buffer_.data(), got}));
      left -= got;
    }
  }

  ContentStore& content_;
  TarWriter tar_;
  std::stop_token stop_;
  std::vector<std::byte> buffer_;
};

// The manifest that docker loads: the only one of an index that is here, attestations apart.
Result<Manifest> single_manifest(ContentStore& content, const Descriptor& image) {
  Descriptor manifest = image;
  if (is_index(image.media_type)) {
    KILN_TRY_ASSIGN(const std::vector<Descriptor> present, present_manifests(content, image));
    if (present.size() != 1)
      return tl::unexpected(
          Error(Code::kInvalidArgument, "a docker archive holds one platform, the image has " +
                                            std::to_string(present.size()))
              .hint("use the OCI format"));
    manifest = present.front();
  }
  KILN_TRY_ASSIGN(const std::string text, read_blob(content, manifest.digest, kMaxDocumentBytes));
  return parse_manifest(text);
}

Result<std::string> docker_manifest(ContentStore& content, std::span<const NamedImage> images) {
  Json list = Json::array();
  for (const NamedImage& image : images) {
    KILN_TRY_ASSIGN(const Manifest manifest, single_manifest(content, image.descriptor));
    Json layers = Json::array();
    for (const Descriptor& layer : manifest.layers)
      layers.push_back("blobs/sha256/" + layer.digest.hex());
    Json tags = Json::array();
    for (const std::string& text : image.names) {
      KILN_TRY_ASSIGN(const Reference name, Reference::parse(text));
      tags.push_back(name.familiar());
    }
    Json entry = Json::object();
    entry.set("Config", "blobs/sha256/" + manifest.config.digest.hex());
    entry.set("RepoTags", tags.elements().empty() ? Json() : std::move(tags));
    entry.set("Layers", std::move(layers));
    list.push_back(std::move(entry));
  }
  return list.dump();
}

Status place_blob(ContentStore& content, const Digest& digest, const std::string& directory) {
  const std::string target = directory + "/" + digest.hex();
  KILN_TRY_ASSIGN(const bool there, exists(target));
  if (there) return {};
  KILN_TRY_ASSIGN(AtomicFile to, AtomicFile::create(target));
  if (content.is_known(digest)) {
    KILN_TRY_ASSIGN(const Fd from, content.open_fd(digest));
    KILN_TRY(copy_file_data(from.get(), to.fd()));
    return to.commit();
  }
  KILN_TRY_ASSIGN(const std::unique_ptr<Source> from, content.open(digest));
  FdSink sink(to.fd(), target);
  KILN_TRY(copy_stream(*from, sink));
  return to.commit();
}

Result<std::vector<Descriptor>> existing_manifests(const std::string& directory) {
  const std::string file = directory + "/index.json";
  KILN_TRY_ASSIGN(const bool there, exists(file));
  if (!there) return std::vector<Descriptor>();
  KILN_TRY_ASSIGN(const std::string text, read_file(file, kMaxDocumentBytes));
  KILN_TRY_ASSIGN(Index index, parse_index(text));
  return std::move(index.manifests);
}

Status write_atomically(const std::string& path, std::string_view text) {
  KILN_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
  KILN_TRY(file.write(text));
  return file.commit();
}

}  // namespace

Status write_oci_tar(ContentStore& content, std::span<const NamedImage> images, Sink& to,
                     std::stop_token stop) {
  KILN_TRY_ASSIGN(const std::set<Digest> blobs, blobs_of(content, images));
  KILN_TRY_ASSIGN(const std::string index, index_text(images, {}));
  ArchiveWriter archive(content, to, std::move(stop));
  if (Status written = archive.blobs(blobs); !written)
    return after_damage(content, blobs, written.error());
  KILN_TRY(archive.text("index.json", index));
  KILN_TRY(archive.text("oci-layout", kLayoutFile));
  return archive.finish();
}

Status write_docker_tar(ContentStore& content, std::span<const NamedImage> images, Sink& to,
                        std::stop_token stop) {
  KILN_TRY_ASSIGN(const std::set<Digest> blobs, blobs_of(content, images));
  KILN_TRY_ASSIGN(const std::string manifest, docker_manifest(content, images));
  KILN_TRY_ASSIGN(const std::string index, index_text(images, {}));
  ArchiveWriter archive(content, to, std::move(stop));
  if (Status written = archive.blobs(blobs); !written)
    return after_damage(content, blobs, written.error());
  KILN_TRY(archive.text("index.json", index));
  KILN_TRY(archive.text("manifest.json", manifest));
  KILN_TRY(archive.text("oci-layout", kLayoutFile));
  return archive.finish();
}

Status write_oci_directory(ContentStore& content, std::span<const NamedImage> images,
                           const std::string& directory, std::stop_token stop) {
  KILN_TRY_ASSIGN(const std::set<Digest> blobs, blobs_of(content, images));
  KILN_TRY(make_dirs(directory + "/blobs/sha256"));
  for (const Digest& digest : blobs) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "writing the layout was stopped");
    if (Status placed = place_blob(content, digest, directory + "/blobs/sha256"); !placed)
      return after_damage(content, blobs, placed.error());
  }
  KILN_TRY_ASSIGN(std::vector<Descriptor> already, existing_manifests(directory));
  KILN_TRY_ASSIGN(const std::string index, index_text(images, std::move(already)));
  KILN_TRY(write_atomically(directory + "/oci-layout", kLayoutFile));
  return write_atomically(directory + "/index.json", index);
}

}  // namespace kiln::oci
