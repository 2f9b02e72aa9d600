# SPDX-License-Identifier: Apache-2.0
"""A daemon with directories of its own, volumes mounted from it, and a guard that keeps any of it from hanging."""
import ctypes
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

from lab.processes import Failed, Undo

_libc = ctypes.CDLL(None, use_errno=True)


class Machine:
    """One daemon; everything goes with `undo`."""

    def __init__(self, program, undo, seconds, directory=None):
        self.program = program
        self.undo = undo
        self.directory = directory or tempfile.mkdtemp(prefix="slacker-trial-", dir="/var/tmp")
        os.chmod(self.directory, 0o755)
        self.root, self.run_directory = self.directory + "/root", self.directory + "/run"
        self.log = self.run_directory + "/daemon.log"
        self.environment = dict(os.environ, SLACKER_ROOT=self.root, SLACKER_RUN=self.run_directory)
        undo.add(shutil.rmtree, self.directory, True)
        self._guard(seconds)
        undo.add(self.end)

    def _guard(self, seconds):
        """After so many seconds every request of the mount fails, so nothing hangs in the kernel for ever."""
        script = f"""
            sleep {seconds}
            minor=$(awk -v d={self.run_directory}/fs '$5 == d {{ split($3, p, ":"); print p[2] }}' /proc/self/mountinfo)
            [ -n "$minor" ] && mount -t fusectl none /sys/fs/fuse/connections
            echo 1 > "/sys/fs/fuse/connections/$minor/abort"
        """
        guard = subprocess.Popen(["unshare", "-m", "--propagation", "slave", "sh", "-c", script],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 start_new_session=True)
        self.undo.add(_end_group, guard)

    def slacker(self, *arguments, seconds=120, check=True):
        """Runs a verb; what it printed."""
        done = subprocess.run([self.program, *arguments], env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds, check=False)
        if check and done.returncode != 0:
            raise Failed(f"slacker {' '.join(arguments)}: {done.returncode}: {done.stderr.strip()} {done.stdout}")
        return done.stdout

    def daemon(self):
        """The daemon's process; None when there is none at the moment."""
        return _find(f"--run {self.run_directory} daemon --foreground")

    def keeper(self):
        return _find(f"keeper {self.run_directory}$")

    def kill(self):
        """Kills the daemon, and waits until another one answers; seconds for which the mount did not."""
        process = self.daemon()
        if process is None:
            raise Failed("there is no daemon to kill: see " + self.log)
        start = time.monotonic()
        os.kill(process, signal.SIGKILL)
        # The way of every read: the answer comes from the next daemon.
        os.statvfs(self.run_directory + "/fs")
        return time.monotonic() - start

    def replace(self):
        start = time.monotonic()
        self.slacker("daemon", "--replace")
        return time.monotonic() - start

    def image(self, name="empty"):
        """An image with hardly anything in it."""
        tar = self.directory + "/" + name + ".tar"
        tree = self.directory + "/" + name
        os.makedirs(tree + "/data")
        subprocess.run(["tar", "-C", tree, "-cf", tar, "."], check=True)
        self.slacker("import", "rootfs:" + tar, name)

    def volume(self, name, size="1G", image="empty"):
        """A mounted clone; where."""
        place = f"{self.directory}/{name}"
        os.makedirs(place)
        self.slacker("clone", image, name, "--size", size)
        self.slacker("mount", name, place)
        return place

    def check(self, name):
        """Unmounts a volume and looks at its file system."""
        self.slacker("umount", f"{self.directory}/{name}")
        done = subprocess.run(["e2fsck", "-fn", f"{self.run_directory}/fs/volumes/{name}"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise Failed(f"{name}: the file system is damaged: {done.stdout}")

    def fsck(self):
        """Has the state directory checked, chunk by chunk; the last line of what was found, if that is well."""
        return self.slacker("fsck", "--deep").splitlines()[-1]

    def status(self):
        return json.loads(self.slacker("status", "--json"))

    def end(self):
        """Ends the daemon, whatever is still mounted."""
        deadline = time.monotonic() + 40
        while (self.daemon() or self.keeper()) and time.monotonic() < deadline:
            for process in filter(None, [self.daemon()]):
                _signal(process, signal.SIGINT)
            time.sleep(0.3)
        for process in filter(None, [self.keeper(), self.daemon()]):
            _signal(process, signal.SIGKILL)
        for line in reversed(open("/proc/self/mounts", encoding="utf-8").read().splitlines()):
            place = line.split()[1]
            if place.startswith(self.directory + "/"):
                _libc.umount2(place.encode(), 2)


def _signal(process, number):
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass


def _end_group(child):
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait(10)


def _find(pattern):
    found = subprocess.run(["pgrep", "-f", "--", pattern], stdout=subprocess.PIPE, text=True, check=False).stdout.split()
    return int(found[0]) if found else None
