// SPDX-License-Identifier: Apache-2.0
// FoundationNetworking comes in with the HTTP server's library, and libcurl with thirty more libraries behind it:
// loading them took most of the time a command needed to start. Nothing in the program makes requests through
// FoundationNetworking. The functions here have the names of those of libcurl that it refers to, so nothing is linked
// against libcurl; should one be called all the same, it calls its namesake, which is looked up then.
// The types are those of libcurl's interface as the machine passes them: handles are pointers, enumerations are ints.
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>

static void *symbol(const char *name) {
    void *library = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
    void *found = library == NULL ? NULL : dlsym(library, name);
    if (found == NULL) abort();
    return found;
}

#define LATE(result, name, parameters, arguments)                     \
    result name parameters;                                           \
    result name parameters {                                          \
        return ((result(*) parameters)symbol(#name)) arguments;       \
    }

// Every option's value is one machine word.
#define LATE_WITH_VALUE(name)                                                              \
    int name(void *handle, int option, ...);                                               \
    int name(void *handle, int option, ...) {                                              \
        va_list values;                                                                    \
        va_start(values, option);                                                          \
        void *value = va_arg(values, void *);                                              \
        va_end(values);                                                                    \
        return ((int (*)(void *, int, ...))symbol(#name))(handle, option, value);          \
    }

LATE_WITH_VALUE(curl_easy_setopt)
LATE_WITH_VALUE(curl_easy_getinfo)
LATE_WITH_VALUE(curl_multi_setopt)
LATE(void *, curl_easy_init, (void), ())
LATE(void, curl_easy_cleanup, (void *a), (a))
LATE(int, curl_easy_pause, (void *a, int b), (a, b))
LATE(const char *, curl_easy_strerror, (int a), (a))
LATE(void, curl_free, (void *a), (a))
LATE(int, curl_global_init, (long a), (a))
LATE(void *, curl_multi_init, (void), ())
LATE(int, curl_multi_cleanup, (void *a), (a))
LATE(int, curl_multi_add_handle, (void *a, void *b), (a, b))
LATE(int, curl_multi_remove_handle, (void *a, void *b), (a, b))
LATE(int, curl_multi_assign, (void *a, int b, void *c), (a, b, c))
LATE(void *, curl_multi_info_read, (void *a, int *b), (a, b))
LATE(int, curl_multi_socket_action, (void *a, int b, int c, int *d), (a, b, c, d))
LATE(void *, curl_slist_append, (void *a, const char *b), (a, b))
LATE(void, curl_slist_free_all, (void *a), (a))
LATE(void *, curl_url, (void), ())
LATE(int, curl_url_get, (void *a, int b, char **c, unsigned int d), (a, b, c, d))
LATE(int, curl_url_set, (void *a, int b, const char *c, unsigned int d), (a, b, c, d))
LATE(char *, curl_version, (void), ())
LATE(void *, curl_version_info, (int a), (a))
