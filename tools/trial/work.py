# SPDX-License-Identifier: Apache-2.0
"""Programs that notice every lost or changed byte: each is started, works beside the others, is ended and judged."""
import os
import re
import shutil
import signal
import subprocess
import threading

from lab.processes import Failed


class Fio:
    """Random reads and writes, eight in flight, each block with a checksum that is compared when it is read."""

    name = "fio"

    def __init__(self, place, log):
        self.place, self.log, self.child = place, log + "/fio.log", None

    def start(self):
        self.child = subprocess.Popen(
            ["fio", "--name=x", "--verify_state_save=0", "--directory=" + self.place, "--size=128M",
             "--rw=randrw", "--bs=4k-64k",
             "--ioengine=libaio", "--iodepth=8", "--direct=1", "--verify=crc32c", "--verify_backlog=256",
             "--verify_fatal=1", "--time_based", "--runtime=86400", "--eta=never", "--rate=30m"],
            stdin=subprocess.DEVNULL, stdout=open(self.log, "w", encoding="utf-8"), stderr=subprocess.STDOUT)

    def stop(self):
        """Fio ends by itself only where something is wrong."""
        if self.child.poll() is not None:
            raise Failed(f"fio ended with {self.child.returncode}: {_tail(self.log)}")
        self.child.send_signal(signal.SIGINT)
        self.child.wait(120)
        text = _tail(self.log, 100)
        errors = re.search(r"err= *(\d+)", text)
        if errors is None or errors.group(1) not in ("0", "4"):
            raise Failed(f"fio: {text}")
        return "verified"


class Postgres:
    """A database under pgbench: four sums of every transaction have to agree, and none that was acknowledged is lost."""

    name = "postgres"

    def __init__(self, place, log):
        self.place, self.log = place + "/data/pg", log
        self.bench, self.socket = None, log + "/socket"

    def _as_postgres(self, *arguments, **options):
        return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups", *arguments], options

    def _run(self, *arguments):
        words, _ = self._as_postgres(*arguments)
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=120, check=False, cwd="/")
        if done.returncode != 0:
            raise Failed(f"{arguments[0]}: {done.stdout}")
        return done.stdout

    def start(self):
        tools = max(os.listdir("/usr/lib/postgresql"), key=float)
        self.tools = f"/usr/lib/postgresql/{tools}/bin"
        for directory in (self.place, self.socket):
            os.makedirs(directory)
            shutil.chown(directory, "postgres", "postgres")
        shutil.chown(os.path.dirname(self.place), "postgres", "postgres")
        os.chmod(self.place, 0o700)
        self._run(self.tools + "/initdb", "-D", self.place, "--auth=trust", "--no-sync", "--no-locale")
        with open(self.place + "/postgresql.conf", "a", encoding="utf-8") as settings:
            settings.write(f"listen_addresses = ''\nunix_socket_directories = '{self.socket}'\n"
                           "shared_buffers = 16MB\nmax_wal_size = 64MB\nwal_compression = off\n")
        self._server("start")
        self._run(self.tools + "/pgbench", "-h", self.socket, "-i", "-s", "2", "-q", "postgres")
        words, _ = self._as_postgres(self.tools + "/pgbench", "-h", self.socket, "-c", "4", "-T", "86400", "-n",
                                     "postgres")
        self.bench = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd="/",
                                      stdout=open(self.log + "/pgbench.log", "w", encoding="utf-8"))

    def _server(self, verb, *more):
        self._run(self.tools + "/pg_ctl", "-D", self.place, "-w", "-t", "100", "-l", self.socket + "/log", verb, *more)

    def _ask(self, question):
        return self._run(self.tools + "/psql", "-h", self.socket, "-Atc", question, "postgres").strip()

    def stop(self):
        if self.bench.poll() is not None:
            raise Failed(f"pgbench ended with {self.bench.returncode}: {_tail(self.log + '/pgbench.log')}")
        self.bench.send_signal(signal.SIGTERM)
        self.bench.wait(60)
        count = self._ask("SELECT count(*) FROM pgbench_history")
        # What was acknowledged is read back by another life of the server: from the disk, not from its memory.
        self._server("stop", "-m", "immediate")
        self._server("start")
        sums = self._ask("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM "
                         "pgbench_branches), (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(delta) FROM "
                         "pgbench_history), (SELECT count(*) FROM pgbench_history)").split("|")
        problems = [line for line in open(self.socket + "/log", encoding="utf-8")
                    if re.search("PANIC|could not (read|write|fsync|open|extend|flush)|invalid page|Input/output", line)]
        if problems:
            raise Failed("postgres: " + problems[0])
        if len(set(sums[:4])) != 1 or int(sums[4]) < int(count) or int(count) == 0:
            raise Failed(f"postgres: sums {sums}, {count} transactions were there before")
        self._server("stop", "-m", "fast")
        return f"{sums[4]} transactions, sums agree"


class Loop:
    """A step that is done again and again on a thread of its own until it is stopped or fails."""

    def __init__(self):
        self.done, self.failure, self.ending = 0, None, threading.Event()
        self.thread = threading.Thread(target=self._main, daemon=True)

    def start(self):
        self.thread.start()

    def _main(self):
        try:
            while not self.ending.is_set():
                self.step()
                self.done += 1
        except Exception as error:  # judged by `stop`
            self.failure = error

    def stop(self):
        self.ending.set()
        self.thread.join(120)
        if self.failure is not None:
            raise Failed(f"{self.name}: {self.failure}")
        if self.done == 0:
            raise Failed(f"{self.name}: nothing was done")
        return self.judge()


class Git(Loop):
    """Clones of a repository, each checked by git and compared with the original."""

    name = "git"

    def __init__(self, place, log):
        super().__init__()
        self.place, self.source = place + "/data/clone", log + "/source"

    def start(self):
        script = """
            git init -q "$1"; cd "$1"; git config user.email a@example.org; git config user.name a
            for i in $(seq 40); do
                mkdir -p "d$((i % 7))"; head -c 60000 /dev/urandom > "d$((i % 7))/f$i"; seq "$i" 4000 > "t$((i % 5))"
                git add -A; git commit -qm "$i"
            done
        """
        _shell(script, self.source)
        super().start()

    def step(self):
        shutil.rmtree(self.place, ignore_errors=True)
        # Neither hard links nor an alternate: every byte is written.
        _shell('git clone -q --no-local "file://$1" "$2"; cd "$2"; git fsck --full --strict >/dev/null; '
               'git status --porcelain | grep . && exit 1; diff -r --exclude .git "$1" "$2"', self.source, self.place)

    def judge(self):
        return f"{self.done} clones"


class Ledger(Loop):
    """Records that are flushed one by one; which of them were acknowledged is remembered elsewhere."""

    name = "ledger"

    def __init__(self, place, log):
        super().__init__()
        self.path, self.acknowledged = place + "/data/ledger", 0

    def step(self):
        with open(self.path, "ab", buffering=0) as file:
            for _ in range(50):
                file.write(b"%019d\n" % (self.acknowledged + 1))
                os.fsync(file.fileno())
                self.acknowledged += 1

    def judge(self):
        fd = os.open(self.path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        lines = open(self.path, "rb").read().splitlines()
        if [int(line) for line in lines[:self.acknowledged]] != list(range(1, self.acknowledged + 1)):
            raise Failed(f"ledger: {self.acknowledged} records were acknowledged, {len(lines)} are there")
        return f"{self.acknowledged} records"


ALL = (Fio, Postgres, Git, Ledger)


def _shell(script, *arguments):
    done = subprocess.run(["timeout", "120", "bash", "-euo", "pipefail", "-c", script, "script", *arguments],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode != 0:
        raise Failed(f"{done.returncode}: {done.stdout[-2000:]}")


def _tail(path, lines=15):
    return "\n".join(open(path, encoding="utf-8", errors="replace").read().splitlines()[-lines:])
