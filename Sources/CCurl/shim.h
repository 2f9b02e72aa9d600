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
    __typeof__(&curl_easy_pause) easy_pause;
    __typeof__(&curl_multi_init) multi_init;
    __typeof__(&curl_multi_cleanup) multi_cleanup;
    __typeof__(&curl_multi_setopt) multi_setopt;
    __typeof__(&curl_multi_add_handle) multi_add_handle;
    __typeof__(&curl_multi_remove_handle) multi_remove_handle;
    __typeof__(&curl_multi_perform) multi_perform;
    __typeof__(&curl_multi_poll) multi_poll;
    __typeof__(&curl_multi_wakeup) multi_wakeup;
    __typeof__(&curl_multi_info_read) multi_info_read;
    __typeof__(&curl_multi_strerror) multi_strerror;
} slk_curl;

// Fills the table; the name of what is missing, or NULL.
static inline const char *slk_curl_load(slk_curl *api) {
    static const char *const names[] = {
        "curl_global_init",  "curl_easy_init",    "curl_easy_setopt",  "curl_easy_getinfo",  "curl_easy_perform",
        "curl_easy_reset",   "curl_easy_cleanup", "curl_easy_strerror", "curl_slist_append", "curl_slist_free_all",
        "curl_easy_pause",   "curl_multi_init",   "curl_multi_cleanup", "curl_multi_setopt", "curl_multi_add_handle",
        "curl_multi_remove_handle", "curl_multi_perform", "curl_multi_poll", "curl_multi_wakeup",
        "curl_multi_info_read", "curl_multi_strerror",
    };
    _Static_assert(sizeof names / sizeof *names * sizeof(void *) == sizeof(slk_curl), "a name for each pointer");
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
static inline CURLcode slk_curl_get_string(const slk_curl *api, CURL *handle, CURLINFO info, const char **value) {
    return api->easy_getinfo(handle, info, value);
}
static inline CURLcode slk_curl_get_offset(const slk_curl *api, CURL *handle, CURLINFO info, curl_off_t *value) {
    return api->easy_getinfo(handle, info, value);
}
static inline CURLMcode slk_curl_multi_set_long(const slk_curl *api, CURLM *multi, CURLMoption option, long value) {
    return api->multi_setopt(multi, option, value);
}

typedef int (*slk_curl_seek)(void *context, curl_off_t offset, int origin);
typedef int (*slk_curl_connected)(void *context, char *peer, char *local, int peer_port, int local_port);

static inline CURLcode slk_curl_set_seek(const slk_curl *api, CURL *handle, slk_curl_seek value) {
    return api->easy_setopt(handle, CURLOPT_SEEKFUNCTION, value);
}
static inline CURLcode slk_curl_set_connected(const slk_curl *api, CURL *handle, slk_curl_connected value) {
    return api->easy_setopt(handle, CURLOPT_PREREQFUNCTION, value);
}
// The library copies the bytes.
static inline CURLcode slk_curl_set_blob(const slk_curl *api, CURL *handle, CURLoption option, const void *bytes,
                                         size_t count) {
    struct curl_blob blob = {.data = (void *)bytes, .len = count, .flags = CURL_BLOB_COPY};
    return api->easy_setopt(handle, option, &blob);
}

// Takes the next finished transfer off the list; NULL when there is none.
static inline CURL *slk_curl_next_done(const slk_curl *api, CURLM *multi, CURLcode *result) {
    int left;
    for (CURLMsg *message; (message = api->multi_info_read(multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE) continue;
        *result = message->data.result;
        return message->easy_handle;
    }
    return NULL;
}

#endif
