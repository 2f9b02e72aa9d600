#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the system tables in an empty folder, then serves them. Started by root, it goes on as the user mysql.
set -e
if [ "$(id -u)" = 0 ]; then
    mkdir -p /var/lib/mysql /run/mysqld
    chown mysql:mysql /var/lib/mysql /run/mysqld
    exec gosu mysql "$0" "$@"
fi
if [ ! -d /var/lib/mysql/mysql ]; then
    mariadb-install-db --datadir=/var/lib/mysql --skip-test-db
fi
exec "$@"
