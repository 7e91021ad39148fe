// libcurl's functions, found with dlopen on first use: loading libcurl and the 30 libraries behind
// it takes longer than a whole build that finds everything cached. Only http_*.cc may include this.
#pragma once

#define CURL_DISABLE_TYPECHECK  // its macros would hide the function types that are named below
#include <curl/curl.h>
#undef curl_easy_setopt
#undef curl_easy_getinfo

#include "base/result.h"

namespace kiln::internal {

struct CurlApi {
  void* library;  // what dlopen gave
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_reset) easy_reset;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_multi_init) multi_init;
  decltype(&::curl_multi_add_handle) multi_add_handle;
  decltype(&::curl_multi_remove_handle) multi_remove_handle;
  decltype(&::curl_multi_perform) multi_perform;
  decltype(&::curl_multi_poll) multi_poll;
  decltype(&::curl_multi_info_read) multi_info_read;
  decltype(&::curl_multi_cleanup) multi_cleanup;
  decltype(&::curl_multi_strerror) multi_strerror;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;

  /// The one table, loaded and initialised by the first caller. kFailedPrecondition: libcurl is not
  /// installed. Thread-safe; never unloaded.
  static Result<const CurlApi*> get();
};

}  // namespace kiln::internal
