#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Started by root, it goes on as the user redis, whose the data folder is.
set -e
if [ "$(id -u)" = 0 ]; then
    chown redis:redis .
    exec gosu redis "$0" "$@"
fi
exec "$@"
