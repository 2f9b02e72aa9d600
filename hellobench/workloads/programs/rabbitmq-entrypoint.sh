#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Started by root, it goes on as the user rabbitmq, whose the data folder is.
set -e
if [ "$(id -u)" = 0 ]; then
    chown rabbitmq:rabbitmq /var/lib/rabbitmq
    exec gosu rabbitmq "$0" "$@"
fi
exec "$@"
