// How tests take results apart: the value or a failure with the error's text; the code as text, so
// that it prints.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "base/result.h"

namespace kiln::fake {

/// The value. GoogleTest turns the exception into a failure of the running test with the error's
/// text.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().to_string());
  return *std::move(result);
}
inline void must(const Status& status) {
  if (!status) throw std::runtime_error(status.error().to_string());
}

/// "ok", or the error's code: "not_found".
template <class T>
std::string code_of(const Result<T>& result) {
  return result ? "ok" : std::string(to_string(result.error().code()));
}

/// The error's message; "" for a success.
template <class T>
std::string message_of(const Result<T>& result) {
  return result ? std::string() : result.error().message();
}

}  // namespace kiln::fake
