// Reading archives and layouts. An archive is read once, front to back: what looks like a blob goes
// into the content store as it passes, documents are kept in memory, and the images are put
// together at the end.
#include <fcntl.h>

#include <algorithm>
#include <map>

#include "oci/compression.h"
#include "oci/docker_archive.h"
#include "oci/image.h"
#include "oci/image_store.h"
#include "oci/layout.h"
#include "oci/tar.h"

namespace kiln::oci {
namespace {

constexpr std::string_view kBlobs = "blobs/sha256/";

// "" if the annotation is missing or no reference: tools write bare tags there too.
std::vector<std::string> names_of(const Descriptor& descriptor) {
  for (const char* key : {"io.containerd.image.name", "org.opencontainers.image.ref.name"}) {
    const auto it = descriptor.annotations.find(key);
    if (it == descriptor.annotations.end()) continue;
    const bool bare_tag = it->second.find_first_of("/:") == std::string::npos;
    const Result<Reference> name = Reference::parse(it->second);
    if (name && !bare_tag) return {name->to_string()};
  }
  return {};
}

// Entries for one image under several names become one.
std::vector<NamedImage> named_images(const Index& index) {
  std::vector<NamedImage> images;
  for (const Descriptor& entry : index.manifests) {
    Descriptor plain = entry;
    plain.annotations.clear();
    auto known = std::find_if(images.begin(), images.end(), [&](const NamedImage& image) {
      return image.descriptor.digest == plain.digest;
    });
    if (known == images.end())
      known = images.insert(images.end(), NamedImage{{}, std::move(plain)});
    for (std::string& name : names_of(entry)) known->names.push_back(std::move(name));
  }
  return images;
}

Status require_complete(ContentStore& content, const NamedImage& image) {
  KILN_TRY_ASSIGN(const std::vector<Digest> blobs, reachable_blobs(content, image.descriptor));
  // Of an index, platforms that were left out of the archive are fine; a manifest needs all of its
  // own.
  if (is_index(image.descriptor.media_type)) return {};
  for (const Digest& blob : blobs) {
    KILN_TRY_ASSIGN(const std::optional<uint64_t> size, content.size(blob));
    if (!size) return fail(Code::kDataLoss, "the archive lacks blob " + blob.to_string());
  }
  return {};
}

Status copy_entry(TarReader& tar, BlobWriter& to, const std::stop_token& stop) {
  std::vector<std::byte> buffer(1U << 20U);
  while (true) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "reading the archive was stopped");
    KILN_TRY_ASSIGN(const size_t got, tar.read(buffer));
    if (got == 0) return {};
    KILN_TRY(to.write({buffer.data(), got}));
  }
}

Result<std::string> entry_text(TarReader& tar, const TarEntry& entry) {
  if (entry.size > kMaxDocumentBytes)
    return fail(Code::kResourceExhausted,
                "\"" + entry.path.str() + "\" in the archive is larger than 4 MiB");
  std::string text(entry.size, '\0');
  size_t filled = 0;
  while (filled < text.size()) {
    KILN_TRY_ASSIGN(const size_t got,
                    tar.read(std::as_writable_bytes(std::span(text).subspan(filled))));
    if (got == 0)
      return fail(Code::kDataLoss, "the archive ends within \"" + entry.path.str() + "\"");
    filled += got;
  }
  return text;
}

class ArchiveImport {
 public:
  ArchiveImport(ContentStore& content, const Lease& lease, std::stop_token stop)
      : content_(content), lease_(lease), stop_(std::move(stop)) {}

  Status read(TarReader& tar) {
    while (true) {
      KILN_TRY_ASSIGN(const std::optional<TarEntry> entry, tar.next());
      if (!entry) return {};
      KILN_TRY(take(tar, *entry));
    }
  }

  Result<std::vector<NamedImage>> images() {
    std::vector<NamedImage> found;
    if (!documents_["index.json"].empty()) {
      KILN_TRY_ASSIGN(const Index index, parse_index(documents_["index.json"]));
      found = named_images(index);
    }
    // docker's own list knows names that an index may lack, and is all that an old archive has.
    if (!documents_["manifest.json"].empty())
      KILN_TRY(merge_docker(content_, lease_, documents_["manifest.json"], files_, found, stop_));
    if (found.empty())
      return tl::unexpected(
          Error(Code::kInvalidArgument,
                "the archive holds no image: it has neither index.json nor manifest.json")
              .hint("a tar of a root file system is read with `kiln import`"));
    for (const NamedImage& image : found) KILN_TRY(require_complete(content_, image));
    return found;
  }

 private:
  Status take(TarReader& tar, const TarEntry& entry) {
    const std::string& path = entry.path.str();
    if (entry.type == EntryType::kSymlink || entry.type == EntryType::kHardlink) {
      // Old docker versions link a layer that two images share.
      const std::string base =
          entry.type == EntryType::kHardlink ? "" : entry.path.parent().str() + "/";
      KILN_TRY_ASSIGN(const RelPath target, RelPath::rooted(base + entry.link_target));
      files_.links[path] = target.str();
      return {};
    }
    if (entry.type != EntryType::kFile) return {};
    if (path == "index.json" || path == "manifest.json") {
      KILN_TRY_ASSIGN(documents_[path], entry_text(tar, entry));
      return {};
    }
    if (path == "oci-layout" || path == "repositories" || path.ends_with("/VERSION")) return {};
    std::optional<Digest> expected;
    if (path.starts_with(kBlobs)) {
      KILN_TRY_ASSIGN(expected, Digest::parse("sha256:" + path.substr(kBlobs.size())));
    }
    return store(tar, path, expected);
  }

  Status store(TarReader& tar, const std::string& path, const std::optional<Digest>& expected) {
    if (expected) {
      KILN_TRY_ASSIGN(const bool there, content_.touch(*expected, lease_));
      if (there) {
        files_.blobs.emplace(path, *expected);
        return {};
      }
    }
    KILN_TRY_ASSIGN(const std::unique_ptr<BlobWriter> writer, content_.writer(lease_));
    KILN_TRY(copy_entry(tar, *writer, stop_));
    KILN_TRY_ASSIGN(const BlobWriter::Committed committed, writer->commit(expected));
    files_.blobs.emplace(path, committed.digest);
    return {};
  }

  ContentStore& content_;
  const Lease& lease_;
  std::stop_token stop_;
  std::map<std::string, std::string> documents_;
  ArchiveFiles files_;
};

class LayoutImport {
 public:
  LayoutImport(ContentStore& content, const Lease& lease, Root root, std::stop_token stop)
      : content_(content), lease_(lease), root_(std::move(root)), stop_(std::move(stop)) {}

  Result<Index> index() {
    KILN_TRY_ASSIGN(const RelPath path, RelPath::strict("index.json"));
    Result<std::string> text = root_.read_file(path, kMaxDocumentBytes);
    if (!text)
      return tl::unexpected(
          text.error().wrap("read image layout").hint("an OCI layout has index.json and blobs/"));
    return parse_index(*text);
  }

  // Blobs first, so that nothing in the store names what is not there.
  Status image(const Descriptor& descriptor) {
    KILN_TRY_ASSIGN(const bool complete, blob(descriptor.digest));
    if (!complete)
      return fail(Code::kDataLoss, "the layout lacks blob " + descriptor.digest.to_string());
    KILN_TRY_ASSIGN(const std::string text,
                    read_blob(content_, descriptor.digest, kMaxDocumentBytes));
    if (is_index(descriptor.media_type)) {
      KILN_TRY_ASSIGN(const Index index, parse_index(text));
      for (const Descriptor& child : index.manifests) KILN_TRY(optional_image(child));
      return {};
    }
    KILN_TRY_ASSIGN(const Manifest manifest, parse_manifest(text));
    std::vector<Digest> parts{manifest.config.digest};
    for (const Descriptor& layer : manifest.layers) parts.push_back(layer.digest);
    for (const Digest& part : parts) {
      KILN_TRY_ASSIGN(const bool there, blob(part));
      if (!there) return fail(Code::kDataLoss, "the layout lacks blob " + part.to_string());
    }
    return {};
  }

 private:
  // A layout may hold some platforms of an index only.
  Status optional_image(const Descriptor& descriptor) {
    KILN_TRY_ASSIGN(const RelPath path,
                    RelPath::strict(std::string(kBlobs) + descriptor.digest.hex()));
    KILN_TRY_ASSIGN(const auto there, root_.stat(path, FollowLast::kYes));
    return there ? image(descriptor) : Status{};
  }

  Result<bool> blob(const Digest& digest) {
    KILN_TRY_ASSIGN(const bool stored, content_.touch(digest, lease_));
    if (stored) return true;
    KILN_TRY_ASSIGN(const RelPath path, RelPath::strict(std::string(kBlobs) + digest.hex()));
    KILN_TRY_ASSIGN(const auto there, root_.stat(path, FollowLast::kYes));
    if (!there) return false;
    if (stop_.stop_requested()) return fail(Code::kCancelled, "reading the layout was stopped");
    KILN_TRY_ASSIGN(Fd fd, root_.open(path, O_RDONLY));
    FdSource source(std::move(fd), path.str());
    KILN_TRY_ASSIGN(const std::unique_ptr<BlobWriter> writer, content_.writer(lease_));
    KILN_TRY_ASSIGN(const uint64_t copied, copy_stream(source, *writer));
    (void)copied;  // the digest says whether it is all there
    KILN_TRY(writer->commit(digest));
    return true;
  }

  ContentStore& content_;
  const Lease& lease_;
  Root root_;
  std::stop_token stop_;
};

Result<NamedImage> choose(std::vector<NamedImage> images, std::string_view wanted,
                          const std::string& path) {
  if (wanted.empty()) {
    if (images.size() == 1) return std::move(images.front());
    return tl::unexpected(
        Error(Code::kInvalidArgument,
              "\"" + path + "\" holds " + std::to_string(images.size()) + " images")
            .hint("name one: oci-layout://" + path + ":TAG or @sha256:…"));
  }
  for (NamedImage& image : images) {
    if (image.descriptor.digest.to_string() == wanted) return std::move(image);
    for (const std::string& text : image.names)
      if (const Result<Reference> name = Reference::parse(text); name && name->tag == wanted)
        return std::move(image);
  }
  return fail(Code::kNotFound, "\"" + path + "\" holds no image \"" + std::string(wanted) + "\"");
}

bool has_tag(const Descriptor& entry, std::string_view tag) {
  const auto name = entry.annotations.find("org.opencontainers.image.ref.name");
  if (name == entry.annotations.end()) return false;
  return name->second == tag || name->second.ends_with(":" + std::string(tag));
}

}  // namespace

Result<std::vector<NamedImage>> read_archive(ContentStore& content, const Lease& lease,
                                             std::unique_ptr<Source> archive,
                                             std::stop_token stop) {
  KILN_TRY_ASSIGN(std::unique_ptr<Source> plain, decompress(std::move(archive)));
  KILN_TRY_ASSIGN(const std::unique_ptr<TarReader> tar, TarReader::open(std::move(plain)));
  ArchiveImport import(content, lease, std::move(stop));
  KILN_TRY(import.read(*tar));
  return import.images();
}

Result<std::vector<NamedImage>> read_layout_directory(ContentStore& content, const Lease& lease,
                                                      const std::string& directory,
                                                      std::stop_token stop) {
  KILN_TRY_ASSIGN(Root root, Root::open(directory));
  LayoutImport layout(content, lease, std::move(root), std::move(stop));
  KILN_TRY_ASSIGN(const Index index, layout.index());
  std::vector<NamedImage> images = named_images(index);
  for (const NamedImage& image : images) KILN_TRY(layout.image(image.descriptor));
  return images;
}

Result<NamedImage> import_from_layout(ContentStore& content, const Lease& lease,
                                      const std::string& path, std::string_view tag_or_digest,
                                      std::stop_token stop) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("open", path);
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return fail_errno("stat", path);
  if (!S_ISDIR(st.st_mode)) {
    KILN_TRY_ASSIGN(std::vector<NamedImage> images,
                    read_archive(content, lease, std::make_unique<FdSource>(std::move(fd), path),
                                 std::move(stop)));
    return choose(std::move(images), tag_or_digest, path);
  }
  LayoutImport layout(content, lease, Root(std::move(fd)), std::move(stop));
  KILN_TRY_ASSIGN(const Index index, layout.index());
  for (const Descriptor& entry : index.manifests) {
    if (!has_tag(entry, tag_or_digest)) continue;
    KILN_TRY(layout.image(entry));
    Descriptor plain = entry;
    plain.annotations.clear();
    return NamedImage{names_of(entry), std::move(plain)};
  }
  KILN_TRY_ASSIGN(NamedImage chosen, choose(named_images(index), tag_or_digest, path));
  KILN_TRY(layout.image(chosen.descriptor));
  return chosen;
}

}  // namespace kiln::oci
