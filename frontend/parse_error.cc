#include "frontend/parse_error.h"

namespace kiln::dockerfile {

Error parse_error(const SourceRange& where, const Error& error) {
  if (where.first_line == 0) return error;
  return error.wrap("dockerfile parse error on line " + std::to_string(where.first_line)).at(where);
}

Error parse_error(const SourceRange& where, std::string_view message) {
  return parse_error(where, Error(Code::kInvalidArgument, std::string(message)));
}

Error combine_errors(const std::vector<Error>& errors) {
  KILN_CHECK(!errors.empty());
  if (errors.size() == 1) return errors.front();
  return errors.front().also({errors.begin() + 1, errors.end()});
}

}  // namespace kiln::dockerfile
