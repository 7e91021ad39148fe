// The first byte chooses how, the rest is the word that is expanded. Names that were read come
// sorted and once each, and a word without "$", quotes and escapes stays what it is.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/shell_lex.h"
#include "tests/fuzz/fuzz.h"

namespace kiln::fuzz {
namespace {

using namespace dockerfile;  // NOLINT(google-build-using-namespace): the unit in question

std::optional<std::string_view> value_of(std::string_view name) {
  if (name == "a" || name == "PATH") return "/usr/bin:/bin";
  if (name == "b") return "x.tar.gz";
  if (name == "empty") return "";
  return std::nullopt;
}

bool sorted_once(const std::vector<std::string>& names) {
  return std::adjacent_find(names.begin(), names.end(), std::greater_equal<>()) == names.end();
}

void expand_one(uint8_t how, std::string_view word) {
  ExpandOptions options;
  options.escape = (how & 1U) != 0 ? '`' : '\\';
  options.quotes = static_cast<Quotes>((how >> 1U) % 3);
  options.escapes = (how & 8U) != 0 ? Escapes::kKeep : Escapes::kRemove;
  options.unset = (how & 16U) != 0 ? Unset::kKeep : Unset::kEmpty;
  options.split = (how & 32U) != 0 ? Split::kYes : Split::kNo;
  const Result<Expansion> expansion = expand(word, value_of, options);
  if (!expansion) {
    KILN_CHECK(expansion.error().code() == Code::kInvalidArgument);
    return;
  }
  KILN_CHECK(sorted_once(expansion->used));
  KILN_CHECK(sorted_once(expansion->undefined));
  KILN_CHECK(options.split == Split::kYes || expansion->words.empty());
  if (word.find_first_of("$\"'\\`") == std::string_view::npos) KILN_CHECK(expansion->text == word);
}

}  // namespace
}  // namespace kiln::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  if (size != 0) kiln::fuzz::expand_one(bytes[0], kiln::fuzz::view(bytes + 1, size - 1));
  return 0;
}
