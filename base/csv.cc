// parse_csv of strings.h: one record as Go's encoding/csv reads it without LazyQuotes.
#include "base/strings.h"

namespace kiln {
namespace {

tl::unexpected<Error> bad_csv(std::string_view line, std::string_view why) {
  return fail(Code::kInvalidArgument,
              "cannot split " + quote(line) + " at commas: " + std::string(why));
}

// Takes a quoted field from the front of `rest` (which starts with the quote), the separator not
// included.
Result<std::string> take_quoted(std::string_view& rest, std::string_view line) {
  std::string field;
  rest.remove_prefix(1);
  for (;;) {
    const size_t end = rest.find('"');
    if (end == std::string_view::npos) return bad_csv(line, "a quoted field does not end");
    field.append(rest.substr(0, end));
    rest.remove_prefix(end + 1);
    if (!rest.starts_with('"')) break;
    field.push_back('"');
    rest.remove_prefix(1);
  }
  if (!rest.empty() && rest.front() != ',') return bad_csv(line, "text follows a quoted field");
  return field;
}

Result<std::string> take_plain(std::string_view& rest, std::string_view line) {
  const std::string_view field = rest.substr(0, rest.find(','));
  if (field.find('"') != std::string_view::npos)
    return bad_csv(line, "a field that is not quoted contains a quote");
  if (field.find('\n') != std::string_view::npos) return bad_csv(line, "it has several lines");
  rest.remove_prefix(field.size());
  return std::string(field);
}

}  // namespace

Result<std::vector<std::string>> parse_csv(std::string_view line) {
  std::string_view rest = line;
  if (rest.ends_with('\n')) rest.remove_suffix(1);
  if (rest.ends_with('\r')) rest.remove_suffix(1);
  std::vector<std::string> fields;
  for (;;) {
    KILN_TRY_ASSIGN(std::string field,
                    rest.starts_with('"') ? take_quoted(rest, line) : take_plain(rest, line));
    fields.push_back(std::move(field));
    if (rest.empty()) return fields;
    rest.remove_prefix(1);
  }
}

}  // namespace kiln
