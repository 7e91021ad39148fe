// The functions of templates.
#include <algorithm>
#include <functional>
#include <map>

#include "base/strings.h"
#include "cmd/go_template_nodes.h"

namespace kiln::cmd {
namespace {

using Arguments = std::vector<Json>;

tl::unexpected<Error> bad_call(const std::string& why) {
  return fail(Code::kInvalidArgument, "template: " + why);
}

Result<Json> join_all(const Arguments& a) {
  if (!a[0].is_array() && !a[0].is_null()) return bad_call("join needs a list");
  std::vector<std::string> parts;
  for (const Json& element : a[0].elements()) parts.push_back(go_text(element));
  return Json(join(parts, go_text(a[1])));
}

Result<Json> element_of(const Arguments& a) {
  Json at = a[0];
  for (size_t i = 1; i < a.size(); ++i) {
    if (at.is_array()) {
      const int64_t index = a[i].as_int(-1);
      if (index < 0 || static_cast<size_t>(index) >= at.elements().size())
        return bad_call("index out of range: " + go_text(a[i]));
      at = Json(at.elements()[static_cast<size_t>(index)]);
    } else if (at.is_object() || at.is_null()) {
      const Json* found = at.find(a[i].as_string());
      at = found == nullptr ? Json("") : Json(*found);
    } else {
      return bad_call("index needs a list or a map");
    }
  }
  return at;
}

Result<Json> length_of(const Arguments& a) {
  if (a[0].is_string()) return Json(static_cast<int64_t>(a[0].as_string().size()));
  return Json(static_cast<int64_t>(a[0].elements().size() + a[0].members().size()));
}

std::string titled(std::string text) {
  bool first = true;
  for (char& c : text) {
    if (first) c = to_upper(std::string(1, c))[0];
    first = c == ' ';
  }
  return text;
}

Result<Json> formatted(const Arguments& a) {
  const std::string format = go_text(a[0]);
  std::string text;
  size_t next = 1;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      text += format[i];
      continue;
    }
    const char verb = format[++i];
    if (verb == '%') {
      text += '%';
      continue;
    }
    if (std::string_view("svdq").find(verb) == std::string_view::npos)
      return bad_call("printf knows %s, %v, %d and %q, not %" + std::string(1, verb));
    if (next >= a.size()) return bad_call("printf has too few arguments");
    const std::string value = go_text(a[next++]);
    text += verb == 'q' ? quote(value) : value;
  }
  return Json(text);
}

std::string printed(const Arguments& a, const char* end, const char* between) {
  std::string text;
  for (size_t i = 0; i < a.size(); ++i) text += (i == 0 ? "" : between) + go_text(a[i]);
  return text + end;
}

struct Function {
  size_t least, most;
  std::function<Result<Json>(const Arguments&)> call;
};

const std::map<std::string, Function>& table() {
  static constexpr size_t kMany = 100;
  static const std::map<std::string, Function> kTable = {
      {"json", {1, 1, [](const Arguments& a) { return Json(a[0].dump()); }}},
      {"join", {2, 2, join_all}},
      {"split",
       {2, 2,
        [](const Arguments& a) -> Result<Json> {
          const std::string by = go_text(a[1]);
          if (by.size() != 1) return bad_call("split needs one character");
          return Json::array_of(split(go_text(a[0]), by[0]));
        }}},
      {"lower", {1, 1, [](const Arguments& a) { return Json(to_lower(go_text(a[0]))); }}},
      {"upper", {1, 1, [](const Arguments& a) { return Json(to_upper(go_text(a[0]))); }}},
      {"title", {1, 1, [](const Arguments& a) { return Json(titled(go_text(a[0]))); }}},
      {"index", {2, kMany, element_of}},
      {"len", {1, 1, length_of}},
      {"print", {0, kMany, [](const Arguments& a) { return Json(printed(a, "", "")); }}},
      {"println", {0, kMany, [](const Arguments& a) { return Json(printed(a, "\n", " ")); }}},
      {"printf", {1, kMany, formatted}},
      {"eq",
       {2, kMany,
        [](const Arguments& a) {
          return Json(std::find(a.begin() + 1, a.end(), a[0]) != a.end());
        }}},
      {"ne", {2, 2, [](const Arguments& a) { return Json(!(a[0] == a[1])); }}},
      {"not", {1, 1, [](const Arguments& a) { return Json(!go_truth(a[0])); }}},
      {"and",
       {1, kMany,
        [](const Arguments& a) {
          const auto no = std::find_if_not(a.begin(), a.end(), go_truth);
          return Json(no == a.end() ? a.back() : *no);
        }}},
      {"or",
       {1, kMany,
        [](const Arguments& a) {
          const auto yes = std::find_if(a.begin(), a.end(), go_truth);
          return Json(yes == a.end() ? a.back() : *yes);
        }}},
  };
  return kTable;
}

}  // namespace

bool is_go_function(const std::string& name) {
  return table().contains(name);
}

const std::vector<std::string>& go_functions() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const auto& [name, function] : table()) names.push_back(name);
    return names;
  }();
  return kNames;
}

Result<Json> call_go_function(const std::string& name, const std::vector<Json>& arguments) {
  const Function& function = table().at(name);
  if (arguments.size() < function.least || arguments.size() > function.most)
    return bad_call("wrong number of arguments for " + name);
  return function.call(arguments);
}

bool go_truth(const Json& value) {
  if (value.is_bool()) return value.as_bool();
  if (value.is_string()) return !value.as_string().empty();
  if (value.is_number()) return value.as_double() != 0;
  return !value.elements().empty() || !value.members().empty();
}

std::string go_text(const Json& value) {
  if (value.is_null()) return "<nil>";
  if (value.is_string()) return value.as_string();
  if (value.is_array()) {
    std::string text;
    for (const Json& element : value.elements())
      text += (text.empty() ? "" : " ") + go_text(element);
    return "[" + text + "]";
  }
  if (!value.is_object()) return value.dump();
  std::map<std::string, std::string> sorted;
  for (const auto& [key, member] : value.members()) sorted[key] = go_text(member);
  std::string text;
  for (const auto& [key, member] : sorted) {
    if (!text.empty()) text += ' ';
    text.append(key).append(":").append(member);
  }
  return "map[" + text + "]";
}

}  // namespace kiln::cmd
