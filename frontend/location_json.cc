#include "frontend/location_json.h"

#include "oci/base64.h"

namespace kiln::frontend {
namespace {

Json line_json(int line) {
  Json json = Json::object();
  json.set("line", line);
  return json;
}

}  // namespace

Json location_json(const SourceRange& where) {
  Json json = Json::object();
  if (where.first_line == 0) return json;
  Json range = Json::object();
  range.set("start", line_json(where.first_line));
  range.set("end", line_json(where.last_line));
  json.set("ranges", Json::array({std::move(range)}));
  return json;
}

Json source_data(std::string_view text) {
  return oci::encode_base64(text);
}

}  // namespace kiln::frontend
