#include "base/curl_api.h"

#include <dlfcn.h>

#include <string>

namespace kiln::internal {
namespace {

constexpr const char* kLibrary = "libcurl.so.4";

tl::unexpected<Error> load_error() {
  const char* why = ::dlerror();
  Error error(Code::kFailedPrecondition,
              "load libcurl: " + std::string(why != nullptr ? why : "initialisation failed"));
  return tl::unexpected(error.hint("install the package libcurl4"));
}

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

Result<CurlApi> load() {
  void* const library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return load_error();
  CurlApi api{};
  api.library = library;
  const bool complete = find(library, "curl_global_init", api.global_init) &&
                        find(library, "curl_easy_init", api.easy_init) &&
                        find(library, "curl_easy_setopt", api.easy_setopt) &&
                        find(library, "curl_easy_getinfo", api.easy_getinfo) &&
                        find(library, "curl_easy_reset", api.easy_reset) &&
                        find(library, "curl_easy_cleanup", api.easy_cleanup) &&
                        find(library, "curl_easy_strerror", api.easy_strerror) &&
                        find(library, "curl_multi_init", api.multi_init) &&
                        find(library, "curl_multi_add_handle", api.multi_add_handle) &&
                        find(library, "curl_multi_remove_handle", api.multi_remove_handle) &&
                        find(library, "curl_multi_perform", api.multi_perform) &&
                        find(library, "curl_multi_poll", api.multi_poll) &&
                        find(library, "curl_multi_info_read", api.multi_info_read) &&
                        find(library, "curl_multi_cleanup", api.multi_cleanup) &&
                        find(library, "curl_multi_strerror", api.multi_strerror) &&
                        find(library, "curl_slist_append", api.slist_append) &&
                        find(library, "curl_slist_free_all", api.slist_free_all);
  if (!complete || api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return load_error();
  return api;
}

}  // namespace

Result<const CurlApi*> CurlApi::get() {
  static const Result<CurlApi> kApi = load();
  if (!kApi) return tl::unexpected(kApi.error());
  return &*kApi;
}

}  // namespace kiln::internal
