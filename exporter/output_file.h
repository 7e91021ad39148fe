// Where an archive goes: a file that appears only when it is complete, a special file or pipe
// written in place, or an open stream ("-").
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <string>

namespace kiln {

/// Uncommitted, a regular file leaves nothing behind (the previous file of that name stays).
class OutputFile {
 public:
  /// `destination` "-": writes to `stream_fd`, which is borrowed.
  static Result<OutputFile> open(const std::string& destination, int stream_fd);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();
  int fd() const { return fd_; }
  /// Renames into place. The user's file is not fsynced: its loss in a power cut costs a rebuild
  /// from cache.
  Status commit();

 private:
  OutputFile(Fd owned, int fd, std::string temporary, std::string target);
  Fd owned_;
  int fd_;
  std::string temporary_, target_;  // empty: written in place
};

}  // namespace kiln
