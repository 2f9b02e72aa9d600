// SPDX-License-Identifier: Apache-2.0
#ifndef SLACKER_CCURL_SHIM_H
#define SLACKER_CCURL_SHIM_H

#include <curl/curl.h>

#endif
