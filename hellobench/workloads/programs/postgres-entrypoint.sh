#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a database in an empty folder, then serves it. Started by root, it goes on as the user postgres.
set -e
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chown postgres:postgres "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    exec gosu postgres "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username=postgres --auth=trust
    echo "host all all all trust" >>"$PGDATA/pg_hba.conf"
fi
exec "$@"
