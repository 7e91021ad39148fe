#include "oci/registry_copy.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <set>
#include <thread>

#include "base/strings.h"
#include "oci/image.h"
#include "oci/parallel.h"
#include "oci/push.h"

namespace kiln::oci {
namespace {

// The writing end of a stream: drops what comes before `skip_`, hashes all.
class StreamSink : public Sink {
 public:
  StreamSink(int fd, uint64_t skip) : fd_(fd), skip_(skip) {}
  Status write(std::span<const std::byte> data) override {
    hasher_.update(data);
    const auto dropped = static_cast<size_t>(std::min<uint64_t>(skip_, data.size()));
    skip_ -= dropped;
    for (std::span<const std::byte> left = data.subspan(dropped); !left.empty();) {
      // Not write(2): the reader may be gone, which is no reason for a signal.
      const ssize_t n = ::send(fd_, left.data(), left.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("hand on", "a blob");
      left = left.subspan(static_cast<size_t>(n));
    }
    return {};
  }
  Digest digest() { return hasher_.finish(); }

 private:
  int fd_;
  uint64_t skip_;
  Hasher hasher_;
};

// A blob of a repository as a source, fetched by a thread of its own while it is read. What fails,
// or has another digest, shows at the end of the stream.
class BlobStream : public Source {
 public:
  static Result<std::unique_ptr<Source>> open(Repository& from, const Descriptor& blob,
                                              uint64_t skip, std::stop_token stop) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
      return fail_errno("make", "a socket pair");
    return std::unique_ptr<Source>(
        new BlobStream(from, blob, skip, Fd(ends[0]), Fd(ends[1]), std::move(stop)));
  }
  ~BlobStream() override {
    fetching_.request_stop();
    reading_.reset();  // before the thread is waited for: it may be writing
  }
  BlobStream(const BlobStream&) = delete;
  BlobStream& operator=(const BlobStream&) = delete;

  Result<size_t> read(std::span<std::byte> buffer) override {
    if (buffer.empty()) return size_t{0};
    while (true) {
      const ssize_t n = ::read(reading_.get(), buffer.data(), buffer.size());
      if (n > 0) return static_cast<size_t>(n);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("read", "a blob");
      if (thread_.joinable()) thread_.join();
      if (!fetched_) return tl::unexpected(fetched_.error());
      return size_t{0};
    }
  }

 private:
  BlobStream(Repository& from, const Descriptor& blob, uint64_t skip, Fd reading, Fd writing,
             std::stop_token stop)
      : reading_(std::move(reading)),
        outer_(std::move(stop), [this] { fetching_.request_stop(); }),
        thread_([this, &from, blob, skip, fd = std::move(writing)]() mutable {
          fetched_ = fetch(from, blob, skip, fd.get());
          fd.reset();
        }) {}

  Status fetch(Repository& from, const Descriptor& blob, uint64_t skip, int fd) {
    StreamSink sink(fd, skip);
    KILN_TRY(from.blob(blob, sink, {}, fetching_.get_token()));
    const Digest got = sink.digest();
    if (got == blob.digest) return {};
    return fail(Code::kDataLoss,
                "blob " + blob.digest.to_string() + " came with digest " + got.to_string());
  }

  Fd reading_;
  std::stop_source fetching_;
  std::stop_callback<std::function<void()>> outer_;
  Status fetched_;  // the thread's until it is joined
  std::jthread thread_;
};

class Copy {
 public:
  Copy(const CopyRoute& route, const OnCopied& on_copied, std::stop_token stop)
      : route_(route), on_copied_(on_copied), stop_(std::move(stop)) {
    if (route.from_name.domain == route.to_name.domain) mount_from_ = {route.from_name.path};
  }

  Status manifest(const Digest& digest, int depth) {
    if (depth > kMaxIndexNesting)
      return fail(Code::kInvalidArgument, "its indexes are nested too deeply");
    KILN_TRY_ASSIGN(const bool there, route_.to.has_manifest(digest, stop_));
    if (there) return {};  // with all that it names, which is the registry's to see to
    Reference name = route_.from_name;
    name.digest = digest;
    KILN_TRY_ASSIGN(const Repository::Document document, route_.from.manifest(name, stop_));
    if (is_index(document.descriptor.media_type)) {
      KILN_TRY_ASSIGN(const Index index, parse_index(document.text));
      for (const Descriptor& entry : index.manifests) KILN_TRY(manifest(entry.digest, depth + 1));
    } else {
      KILN_TRY(blobs(document));
    }
    return route_.to.put_manifest(document.descriptor.media_type, document.text, "", stop_);
  }

 private:
  Status blobs(const Repository::Document& document) {
    KILN_TRY_ASSIGN(const Manifest manifest, parse_manifest(document.text));
    std::vector<Descriptor> all;
    std::set<Digest> seen;
    const auto add = [&](const Descriptor& blob) {
      if (!is_foreign_layer(blob.media_type) && seen.insert(blob.digest).second)
        all.push_back(blob);
    };
    add(manifest.config);
    for (const Descriptor& layer : manifest.layers) add(layer);
    return for_each_blob(all.size(), [&](size_t i) { return blob(all[i]); });
  }

  Status blob(const Descriptor& blob) {
    const BlobContent content{
        blob, [&](uint64_t from) { return BlobStream::open(route_.from, blob, from, stop_); }};
    KILN_TRY_ASSIGN(const Upload how, route_.to.upload(content, mount_from_, {}, stop_));
    if (on_copied_) on_copied_(blob, how);
    return {};
  }

  const CopyRoute& route_;
  const OnCopied& on_copied_;
  const std::stop_token stop_;
  std::vector<std::string> mount_from_;
};

}  // namespace

Status copy_manifest(const CopyRoute& route, const Digest& manifest, const OnCopied& on_copied,
                     std::stop_token stop) {
  const Status copied = Copy(route, on_copied, std::move(stop)).manifest(manifest, 0);
  if (!copied)
    return tl::unexpected(copied.error().wrap("copy " + manifest.to_string() + " from " +
                                              quote(route.from_name.name()) + " to " +
                                              quote(route.to_name.name())));
  return {};
}

}  // namespace kiln::oci
