# SPDX-License-Identifier: Apache-2.0
"""What is started, and how to see that it is ready: by its end, or by a line it prints."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    name: str
    # Recipe of tools/build-image.
    recipe: str
    command: tuple
    # None: ready when it has ended with status 0.
    line: str = None


POSTGRES = """set -e
export PATH=/usr/lib/postgresql/15/bin:$PATH
as() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
install -d -o postgres /run/postgresql
install -d -o postgres -m 700 /data
cd /data
as initdb -D /data/pg >/dev/null
exec setpriv --reuid postgres --regid postgres --init-groups postgres -D /data/pg -p 25432"""

JAVA = """set -e
cd /tmp
echo 'class Main { public static void main(String[] words) { System.out.println("hello"); } }' >Main.java
javac Main.java
java Main"""

ALL = (
    Workload("python", "hub-python", ("python3", "-c", 'print("hello")')),
    Workload("redis", "redis", ("redis-server", "--protected-mode", "no", "--port", "26379"),
             "Ready to accept connections"),
    Workload("postgres", "postgres", ("bash", "-c", POSTGRES), "database system is ready to accept connections"),
    Workload("nginx", "nginx", ("bash", "-c",
                                "sed -i 's/listen 80 /listen 28080 /; /listen \\[::\\]/d' /etc/nginx/sites-enabled/default;"
                                " nginx; exec 3<>/dev/tcp/127.0.0.1/28080;"
                                " printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3; exec sleep 1000"),
             "Welcome to nginx"),
    Workload("jdk", "jdk", ("bash", "-c", JAVA)),
)
