// SPDX-License-Identifier: Apache-2.0
// libcurl, loaded when the first request is made: it and its thirty libraries take ten times as long to load as
// the rest of the program does to start. So nothing here refers to a symbol of the library; the calls go through a
// table that `slk_curl_load` fills. The inlines give each type of argument of the variadic calls a name.
#ifndef SLACKER_CCURL_SHIM_H
#define SLACKER_CCURL_SHIM_H

#include <curl/curl.h>
#include <dlfcn.h>
#include <stddef.h>

typedef struct slk_curl {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_getinfo) easy_getinfo;
    __typeof__(&curl_easy_perform) easy_perform;
    __typeof__(&curl_easy_reset) easy_reset;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
} slk_curl;

// Fills the table; the name of what is missing, or NULL.
static inline const char *slk_curl_load(slk_curl *api) {
    static const char *const names[] = {
        "curl_global_init",  "curl_easy_init",    "curl_easy_setopt",  "curl_easy_getinfo",  "curl_easy_perform",
        "curl_easy_reset",   "curl_easy_cleanup", "curl_easy_strerror", "curl_slist_append", "curl_slist_free_all",
    };
    void *library = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL) return "libcurl.so.4";
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        void *symbol = dlsym(library, names[index]);
        if (symbol == NULL) return names[index];
        ((void **)api)[index] = symbol;
    }
    return NULL;
}

typedef size_t (*slk_curl_write)(char *bytes, size_t size, size_t count, void *context);

static inline CURLcode slk_curl_set_long(const slk_curl *api, CURL *handle, CURLoption option, long value) {
    return api->easy_setopt(handle, option, value);
}
static inline CURLcode slk_curl_set_string(const slk_curl *api, CURL *handle, CURLoption option, const char *value) {
    return api->easy_setopt(handle, option, value);
}
static inline CURLcode slk_curl_set_pointer(const slk_curl *api, CURL *handle, CURLoption option, const void *value) {
    return api->easy_setopt(handle, option, value);
}
static inline CURLcode slk_curl_set_offset(const slk_curl *api, CURL *handle, CURLoption option, curl_off_t value) {
    return api->easy_setopt(handle, option, value);
}
static inline CURLcode slk_curl_set_write(const slk_curl *api, CURL *handle, CURLoption option, slk_curl_write value) {
    return api->easy_setopt(handle, option, value);
}
static inline CURLcode slk_curl_get_long(const slk_curl *api, CURL *handle, CURLINFO info, long *value) {
    return api->easy_getinfo(handle, info, value);
}

#endif
