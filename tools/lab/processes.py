# SPDX-License-Identifier: Apache-2.0
"""Child processes that surely end, waiting, and what has to be undone."""
import atexit
import ctypes
import os
import signal
import subprocess
import sys
import time

_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A command or a condition that the measurement needs did not come about."""


class Undo:
    """Steps that undo what was done, last first, whether the run ends well, badly or by Ctrl-C."""

    def __init__(self):
        self.steps = []
        atexit.register(self.run)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(130))

    def add(self, step, *arguments):
        self.steps.append((step, arguments))

    def run(self):
        while self.steps:
            step, arguments = self.steps.pop()
            try:
                step(*arguments)
            except Exception as error:  # one failed step must not keep the others from being tried
                print(f"cleaning up: {error}", file=sys.stderr)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(arguments, log, undo, **options):
    """Starts a program that runs beside us until the end."""
    with open(log, "ab") as output:
        child = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=_die_with_parent, **options)
    undo.add(stop, child)
    return child


def stop(child):
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(15)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def run(*arguments, seconds=300, check=True, environment=None):
    """Runs a program to its end and gives what it printed."""
    result = subprocess.run(
        arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False,
        env=None if environment is None else {**os.environ, **environment})
    if check and result.returncode != 0:
        tail = "; ".join((result.stderr or result.stdout).strip().splitlines()[-3:])
        raise Failed(f"{' '.join(arguments)}: status {result.returncode}: {tail}")
    return result.stdout


def wait_for(what, condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.02)


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")
