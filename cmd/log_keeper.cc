// The full output of every step on disk, whatever a renderer shows of it: one file a step, opened
// on its first output.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "base/clock.h"
#include "base/fs.h"
#include "base/io.h"
#include "base/strings.h"
#include "cmd/render.h"

namespace kiln::cmd {
namespace {

class LogKeeper : public ProgressSink {
 public:
  LogKeeper(std::string logs, size_t keep, ProgressSink& next)
      : logs_(std::move(logs)), keep_(keep), next_(next) {}

  void on_event(const Event& event) noexcept override {
    if (const auto* started = std::get_if<VertexStarted>(&event)) {
      const std::lock_guard hold(mutex_);
      steps_.try_emplace(started->vertex).first->second.name = started->name;
    } else if (const auto* chunk = std::get_if<LogChunk>(&event)) {
      keep(*chunk);
    } else if (const auto* done = std::get_if<VertexDone>(&event)) {
      const std::lock_guard hold(mutex_);
      steps_.erase(done->vertex);
    }
    next_.on_event(event);
  }

 private:
  struct Step {
    std::string name;
    Fd file;
    bool failed = false;
  };

  // A log that cannot be written is no reason to fail a build: it is left off.
  void keep(const LogChunk& chunk) {
    const std::lock_guard hold(mutex_);
    Step& step = steps_[chunk.vertex];
    if (step.failed || !have_directory()) return;
    if (!step.file.valid()) {
      const std::string path = directory_ + "/" + std::to_string(++files_) + "-" +
                               chunk.vertex.hex().substr(0, 12) + ".log";
      step.file = Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
      step.failed =
          !step.file.valid() || !write_fully(step.file.get(), as_bytes(step.name + "\n"), path);
    }
    if (!step.failed)
      step.failed = !write_fully(step.file.get(), as_bytes(chunk.bytes), directory_);
  }

  // Made on the first output, so that a build in which everything is cached costs nothing here.
  bool have_directory() {
    if (directory_.empty() && !unusable_) {
      Result<std::string> made = make_build_log_directory(logs_, keep_);
      unusable_ = !made;
      if (made) directory_ = *std::move(made);
    }
    return !unusable_;
  }

  const std::string logs_;
  const size_t keep_;
  ProgressSink& next_;
  std::mutex mutex_;  // everything below
  std::string directory_;
  bool unusable_ = false;
  std::unordered_map<Digest, Step> steps_;
  int files_ = 0;
};

}  // namespace

std::unique_ptr<ProgressSink> make_log_keeper(std::string logs, size_t keep, ProgressSink& next) {
  return std::make_unique<LogKeeper>(std::move(logs), keep, next);
}

Result<std::string> make_build_log_directory(const std::string& logs, size_t keep) {
  KILN_TRY(make_dirs(logs, 0700));
  KILN_TRY_ASSIGN(const Root root, Root::open(logs));
  KILN_TRY_ASSIGN(const std::vector<DirEntry> builds, list_dir(root.fd()));
  for (size_t i = 0; i + keep <= builds.size(); ++i)
    KILN_TRY(remove_tree_at(root.fd(), builds[i].name));
  std::string stamp =
      format_rfc3339(std::chrono::floor<std::chrono::milliseconds>(Clock::system().now()));
  std::replace(stamp.begin(), stamp.end(), ':', '-');  // sorts by time, and is easy to type
  std::string directory = logs + "/" + stamp + "-" + std::to_string(::getpid());
  KILN_TRY(make_dirs(directory, 0700));
  return directory;
}

}  // namespace kiln::cmd
