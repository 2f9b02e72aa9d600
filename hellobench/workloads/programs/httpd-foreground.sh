#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Apache beneath the container's first process; what it has to say goes to the container's error output.
set -e
rm -f /var/run/apache2/apache2.pid
mkdir -p /var/run/apache2 /var/lock/apache2
. /etc/apache2/envvars
exec apache2 -D FOREGROUND -c "ErrorLog /dev/stderr" "$@"
