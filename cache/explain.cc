#include "cache/explain.h"

#include <algorithm>
#include <map>

#include "base/strings.h"

namespace kiln {
namespace {

constexpr size_t kShownBytes = 80;     // of a value
constexpr size_t kBytesInCommon = 20;  // before what differs of two long values

bool begins_character(std::string_view value, size_t at) {
  return at >= value.size() || (static_cast<unsigned char>(value[at]) & 0xC0U) != 0x80U;
}

std::string shown(std::string_view value, size_t from = 0) {
  while (from > 0 && !begins_character(value, from)) --from;
  size_t end = from + kShownBytes;
  while (end > from + 1 && !begins_character(value, end)) --end;
  std::string text = from > 0 ? "…" : "";
  for (const char c : value.substr(from, end - from))
    text += c == '\n' ? std::string("\\n") : std::string(1, c);
  return "\"" + printable(text) + (end < value.size() ? "…\"" : "\"");
}

// Of long values, from shortly before where they part.
size_t shown_from(std::string_view a, std::string_view b) {
  if (std::max(a.size(), b.size()) <= kShownBytes) return 0;
  const auto parted = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  const auto common = static_cast<size_t>(parted.first - a.begin());
  return common > kBytesInCommon ? common - kBytesInCommon : 0;
}

std::string is_was(const std::string& what, const std::string& now, const std::string& before) {
  if (before.empty()) return what + " is new: " + now;
  if (now.empty()) return what + " is gone, was " + before;
  return what + " is " + now + ", was " + before;
}

/// The fields of an operation by what they are about; values in the order they have there.
class FieldTable {
 public:
  using Values = std::vector<std::string>;

  explicit FieldTable(const KeyFields& op) {
    std::string about;
    for (const auto& [name, value] : op.fields) {
      if (name == "device") about.clear();
      const bool heads = name == "mount" || name == "secret_env";
      fields_[heads ? name : about + name].push_back(value);
      if (heads) about = (name == "mount" ? "mount " : "secret ") + value + ": ";
    }
  }
  const std::map<std::string, Values>& all() const { return fields_; }
  const Values& of(const std::string& label) const {
    static const Values kNone;
    const auto found = fields_.find(label);
    return found == fields_.end() ? kNone : found->second;
  }

 private:
  std::map<std::string, Values> fields_;
};

std::string joined(const FieldTable::Values& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ", ") + shown(value);
  return text;
}

// `/bin/sh -c` says nothing where it is on both sides.
std::string command_of(const FieldTable::Values& args, const FieldTable::Values& other) {
  size_t same = 0;
  while (same + 1 < args.size() && same + 1 < other.size() && args[same] == other[same]) ++same;
  std::string text;
  for (size_t i = same; i < args.size(); ++i) text += (text.empty() ? "" : " ") + args[i];
  return text;
}

std::string command_reason(const FieldTable::Values& now, const FieldTable::Values& before) {
  const std::string command = command_of(now, before), was = command_of(before, now);
  const size_t from = shown_from(command, was);
  return "its command is " + shown(command, from) + ", was " + shown(was, from);
}

std::map<std::string, std::string> variables_of(const FieldTable::Values& env) {
  std::map<std::string, std::string> variables;
  for (const std::string& entry : env) {
    const size_t equals = std::min(entry.find('='), entry.size());
    variables[entry.substr(0, equals)] = entry.substr(std::min(equals + 1, entry.size()));
  }
  return variables;
}

void compare_env(const FieldTable::Values& now, const FieldTable::Values& before,
                 std::vector<std::string>& reasons) {
  const auto present = variables_of(now), past = variables_of(before);
  const size_t found = reasons.size();
  for (const auto& [name, value] : present) {
    const auto was = past.find(name);
    if (was != past.end() && was->second == value) continue;
    const size_t from = was == past.end() ? 0 : shown_from(value, was->second);
    reasons.push_back(is_was("variable " + name, shown(value, from),
                             was == past.end() ? "" : shown(was->second, from)));
  }
  for (const auto& [name, value] : past)
    if (!present.contains(name)) reasons.push_back(is_was("variable " + name, "", shown(value)));
  if (found == reasons.size()) reasons.emplace_back("its variables are in another order");
}

// Digests say nothing to people.
const char* reason_of_digest(const std::string& label) {
  if (label == "chain") return "the image has other layers";
  if (label == "data") return "the text that it writes is another one";
  if (label == "digest") return "the downloaded file is another one";
  if (label == "arg_digest" || label == "env_digest")
    return "a credential in its command or variables is another one";
  return nullptr;
}

// What people call the fields; others speak for themselves.
std::string label_for_people(const std::string& label) {
  static const std::map<std::string, std::string> kLabels = {
      {"commit", "the repository's commit"}, {"src", "the name that it copies"},
      {"dest", "its destination"},           {"cwd", "its working directory"},
      {"epoch", "SOURCE_DATE_EPOCH"},        {"timestamp", "SOURCE_DATE_EPOCH"}};
  const auto found = kLabels.find(label);
  return found == kLabels.end() ? label : found->second;
}

void compare_fields(const std::string& label, const FieldTable::Values& now,
                    const FieldTable::Values& before, std::vector<std::string>& reasons) {
  if (now == before) return;
  if (label == "arg") {
    reasons.push_back(command_reason(now, before));
  } else if (label == "env") {
    compare_env(now, before, reasons);
  } else if (const char* reason = reason_of_digest(label); reason != nullptr) {
    reasons.emplace_back(reason);
  } else {
    reasons.push_back(is_was(label_for_people(label), joined(now), joined(before)));
  }
}

std::string name_or(const std::string& name, const char* otherwise) {
  return name.empty() ? otherwise : name;
}

std::string of_selection(const InputKey& input) {
  return input.selector.empty() || input.selector == "/" ? "" : " (" + input.selector + ")";
}

std::string input_reason(const InputKey& now, const InputKey& before, const ExplainedInput& input,
                         const NameOfKey& name_of) {
  constexpr std::string_view kContext = "[internal] load build context";
  const std::string name =
      input.name == kContext ? "the build context" : name_or(input.name, "an input without a name");
  if (now.kind == InputKey::Kind::kContent)
    return "files from " + name + of_selection(now) + " changed";
  const std::string was =
      before.kind == InputKey::Kind::kDefinition ? name_of(before.digest) : std::string();
  const bool other = !was.empty() && was != input.name;
  // Of a step that ran its own reasons tell the rest; an image is known by its name.
  if (input.ran && !(other && split_step_name(name).instruction.starts_with("FROM ")))
    return "it builds on " + name + ", which was not cached either";
  if (other) return "it builds on " + name + ", before on " + was;
  return "it builds on another result of " + name;
}

void compare_inputs(const KeyRecord& now, const KeyRecord& before,
                    std::span<const ExplainedInput> inputs, const NameOfKey& name_of,
                    std::vector<std::string>& reasons) {
  const size_t both = std::min(now.inputs.size(), before.inputs.size());
  for (size_t i = 0; i < now.inputs.size(); ++i) {
    const ExplainedInput input = i < inputs.size() ? inputs[i] : ExplainedInput();
    if (i >= both) {
      reasons.push_back("it takes from " + name_or(input.name, "another step") + ", too");
    } else if (now.inputs[i] != before.inputs[i]) {
      reasons.push_back(input_reason(now.inputs[i], before.inputs[i], input, name_of));
    }
  }
  for (size_t i = both; i < before.inputs.size(); ++i) {
    const std::string was = name_of(before.inputs[i].digest);
    reasons.push_back("it took from " + name_or(was, "another step") + ", too");
  }
}

std::string_view kind_of(const KeyRecord& record) {
  for (const auto& [name, value] : record.op.fields)
    if (name == "kind") return value;
  return "";
}

bool is_same_step(const KeyRecord& now, const KeyRecord& before) {
  if (kind_of(now) != kind_of(before) || now.output != before.output) return false;
  if (now.name == before.name) return true;
  const StepName a = split_step_name(now.name), b = split_step_name(before.name);
  if (a.instruction == b.instruction) return true;
  if (a.place.empty() || a.place != b.place) return false;
  // An image is known by its place; anything else has to stand on the same.
  if (now.inputs.empty() || before.inputs.empty()) return now.inputs.size() == before.inputs.size();
  return now.inputs.front() == before.inputs.front();
}

}  // namespace

StepName split_step_name(std::string_view name) {
  const size_t end = name.find("] ");
  if (!name.starts_with("[") || end == std::string_view::npos) return {"", name};
  const size_t count = name.substr(0, end).rfind('/');
  if (count == std::string_view::npos) return {"", name};
  return {name.substr(0, count + 1), name.substr(end + 2)};
}

std::vector<std::string> differences(const KeyRecord& now, const KeyRecord& before,
                                     std::span<const ExplainedInput> inputs,
                                     const NameOfKey& name_of) {
  std::vector<std::string> reasons;
  const FieldTable present(now.op), past(before.op);
  for (const auto& [label, values] : present.all())
    compare_fields(label, values, past.of(label), reasons);
  for (const auto& [label, values] : past.all())
    if (present.of(label).empty()) compare_fields(label, {}, values, reasons);
  compare_inputs(now, before, inputs, name_of, reasons);
  return reasons;
}

const KeyRecord* nearest_record(const KeyRecord& now, std::span<const KeyRecord> before) {
  const KeyRecord* nearest = nullptr;
  size_t least = 0;
  for (const KeyRecord& record : before) {
    if (!is_same_step(now, record)) continue;
    const size_t count =
        differences(now, record, {}, [](const Digest&) { return std::string(); }).size();
    if (nearest != nullptr && count >= least) continue;
    nearest = &record;
    least = count;
  }
  return nearest;
}

}  // namespace kiln
