#include "exporter/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace kiln {

OutputFile::OutputFile(Fd owned, int fd, std::string temporary, std::string target)
    : owned_(std::move(owned)),
      fd_(fd),
      temporary_(std::move(temporary)),
      target_(std::move(target)) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : owned_(std::move(other.owned_)),
      fd_(other.fd_),
      temporary_(std::exchange(other.temporary_, {})),
      target_(std::move(other.target_)) {}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) (void)::unlink(temporary_.c_str());  // nothing to do about a failure
}

Result<OutputFile> OutputFile::open(const std::string& destination, int stream_fd) {
  if (destination == "-") return OutputFile(Fd(), stream_fd, {}, {});
  struct stat st {};
  const bool there = ::stat(destination.c_str(), &st) == 0;
  if (there && S_ISDIR(st.st_mode))
    return tl::unexpected(
        Error(Code::kInvalidArgument, "destination \"" + destination + "\" is a directory")
            .hint("name a file: dest=" + destination + "/image.tar"));
  if (there && !S_ISREG(st.st_mode)) {
    Fd special(::open(destination.c_str(), O_WRONLY | O_CLOEXEC));
    if (!special.valid()) return fail_errno("open", destination);
    const int fd = special.get();
    return OutputFile(std::move(special), fd, {}, {});
  }
  std::string temporary = destination + ".XXXXXX";
  Fd file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file.valid()) return fail_errno("create", destination);
  const mode_t mode = there ? (st.st_mode & 07777U) : 0644U;
  if (::fchmod(file.get(), mode) != 0) return fail_errno("chmod", destination);
  const int fd = file.get();
  return OutputFile(std::move(file), fd, std::move(temporary), destination);
}

Status OutputFile::commit() {
  if (temporary_.empty()) return {};
  KILN_TRY(owned_.close());
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) return fail_errno("rename to", target_);
  temporary_.clear();
  return {};
}

}  // namespace kiln
