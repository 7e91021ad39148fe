// What fault tests need besides the binary: who is still running, what is still mounted, small file
// systems, and a kiln that is watched while it runs. Everything here undoes itself.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/fs.h"
#include "base/process.h"
#include "tests/e2e/kiln_runner.h"

namespace kiln::e2e {

/// Makes this process the one that orphans below it fall to, so that nothing a killed kiln started
/// can get away unseen. The destructor ends and reaps what is left.
class Descendants {
 public:
  Descendants();
  Descendants(const Descendants&) = delete;
  Descendants& operator=(const Descendants&) = delete;
  ~Descendants();
  /// Reaps until no process is left below this one; what still runs at the deadline, by its
  /// command line.
  std::vector<std::string> left() const;
};

/// Mount points of this process's namespace below `directory`.
std::vector<std::string> mounts_below(const std::string& directory);

/// A file system of a limited size, unmounted (and its loop device freed) by the destructor.
class SmallDisk {
 public:
  enum class Kind : uint8_t { kExt4, kTmpfs };
  /// nullopt: this machine cannot mount that kind; `why` says it.
  static std::optional<SmallDisk> mount(Kind kind, const std::string& directory, uint64_t bytes,
                                        std::string& why);
  SmallDisk(SmallDisk&& other) noexcept : directory_(std::exchange(other.directory_, {})) {}
  SmallDisk& operator=(SmallDisk&& other) noexcept {
    std::swap(directory_, other.directory_);
    return *this;
  }
  ~SmallDisk();
  const std::string& path() const { return directory_; }
  /// Takes all but `left` bytes of what is free with a file of this name.
  void fill(const std::string& name, uint64_t left) const;

 private:
  explicit SmallDisk(std::string directory) : directory_(std::move(directory)) {}
  std::string directory_;
};

/// A process whose output is followed while it runs. The destructor kills it.
class RunningProcess {
 public:
  static std::optional<RunningProcess> start(const std::vector<std::string>& argv,
                                             const std::vector<std::string>& environment);
  /// Reads until `text` has been printed; false: the output ended, or a minute went by.
  bool saw(const std::string& text);
  const std::string& text() const { return text_; }  // what was read so far
  pid_t pid() const { return child_.pid(); }
  void signal(int number);
  /// Does not wait. What it prints must fit into a pipe (1 MiB) as long as nobody reads.
  bool is_running();
  /// Reads to the end and reaps. Exit code as a shell gives it; out and err are one text, in `err`.
  Output wait();

 private:
  RunningProcess(Child child, Fd output) : child_(std::move(child)), output_(std::move(output)) {}
  bool read_more();
  Child child_;
  std::optional<ExitStatus> ended_;
  Fd output_;
  std::string text_;
};

}  // namespace kiln::e2e
