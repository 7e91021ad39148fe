#include "frontend/stop_signal.h"

#include "base/strings.h"

#include <algorithm>
#include <vector>

namespace kiln::frontend {
namespace {

const std::vector<std::string>& names() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> list = {
        "ABRT", "ALRM",   "BUS",  "CHLD",   "CLD",   "CONT", "FPE",  "HUP",   "ILL",
        "INT",  "IO",     "IOT",  "KILL",   "PIPE",  "POLL", "PROF", "PWR",   "QUIT",
        "SEGV", "STKFLT", "STOP", "SYS",    "TERM",  "TRAP", "TSTP", "TTIN",  "TTOU",
        "URG",  "USR1",   "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX"};
    for (int i = 1; i <= 15; ++i) list.push_back("RTMIN+" + std::to_string(i));
    for (int i = 1; i <= 14; ++i) list.push_back("RTMAX-" + std::to_string(i));
    return list;
  }();
  return kNames;
}

}  // namespace

Status check_stop_signal(const std::string& text) {
  if (const Result<int64_t> number = parse_int(text)) {
    if (*number > 0 && *number <= 64) return {};
    return fail(Code::kInvalidArgument, "invalid signal: " + text);
  }
  std::string name = to_upper(text);
  if (name.starts_with("SIG")) name = name.substr(3);
  if (std::find(names().begin(), names().end(), name) != names().end()) return {};
  const std::string close = closest_match(name, names());
  return fail(
      Code::kInvalidArgument,
      "invalid signal: " + text + (close.empty() ? "" : " (did you mean SIG" + close + "?)"));
}

}  // namespace kiln::frontend
