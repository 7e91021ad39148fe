// Go's text/template as far as Docker's --format is used: text, {{.Field.Sub}}, {{json .}}, pipes,
// parentheses, strings and numbers, range/if/with … else … end, $ and the functions json, join,
// split, lower, upper, title, index, len, print, println, printf (%s %v %d %q), eq, ne, not, and,
// or. Data is JSON: a field that is not there is an error, a key that `index` does not find is "".
// A field is also found by the name that Go's structs have for it: .MediaType is "mediaType".
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace kiln::cmd {

class GoTemplate {
 public:
  /// kInvalidArgument: what is wrong and where.
  static Result<GoTemplate> parse(std::string_view text);
  ~GoTemplate();
  GoTemplate(GoTemplate&&) noexcept;
  GoTemplate& operator=(GoTemplate&&) noexcept;
  /// kInvalidArgument: a field that `data` does not have (with did-you-mean), a function's wrong
  /// arguments.
  Result<std::string> render(const Json& data) const;
  /// The fields of {{.Name}} actions at its top, in their order: a table's columns.
  std::vector<std::string> top_fields() const;

  struct Node;

 private:
  explicit GoTemplate(std::vector<std::unique_ptr<Node>> nodes);
  std::vector<std::unique_ptr<Node>> nodes_;
};

/// A value as Go prints it: [a b], map[k:v], <nil>.
std::string go_text(const Json& value);

}  // namespace kiln::cmd
