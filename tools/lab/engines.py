# SPDX-License-Identifier: Apache-2.0
"""The two engines: slacker, and containerd with overlayfs."""
import json
import os
import shutil
import signal
import subprocess
import time

from .processes import Failed, drop_caches, run, start, stop, wait_for

LIMIT_SECONDS = 600


def until_ready(arguments, workload, environment=None):
    """Starts a container and gives seconds until it is ready, and the process, which may have ended."""
    begin = time.monotonic()
    child = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env={**os.environ, **(environment or {})})
    seen = []
    deadline = begin + LIMIT_SECONDS
    for raw in child.stdout:
        line = raw.decode(errors="replace")
        seen.append(line)
        if workload.line is not None and workload.line in line:
            return time.monotonic() - begin, child
        if time.monotonic() > deadline:
            break
    status = child.wait(30)
    took = time.monotonic() - begin
    if workload.line is not None or status != 0:
        raise Failed(f"{workload.name}: {' '.join(arguments[:6])}: status {status}: {''.join(seen[-5:]).strip()}")
    return took, child


class Slacker:
    name = "slacker"

    def __init__(self, program, directory, undo, registries=()):
        self.program, self.directory, self.undo = program, directory, undo
        self.registries = list(registries)
        self.count = 0
        self.daemon = None

    def fresh(self):
        """Nothing of any image on this machine, and a daemon that waits for work."""
        self.end()
        self.count += 1
        base = f"{self.directory}/slacker-{self.count}"
        self.root, self.run_directory = base + "/root", base + "/run"
        self.environment = {
            "SLACKER_ROOT": self.root, "SLACKER_RUN": self.run_directory,
            "SLACKER_REGISTRIES_PLAIN_HTTP": ",".join(self.registries)}
        self.daemon = start([self.program, "daemon", "--foreground"], f"{self.directory}/daemon.log", self.undo,
                            env={**os.environ, **self.environment})
        wait_for("slacker daemon", lambda: os.path.exists(self.run_directory + "/slacker.sock"))
        self.call("status")

    def end(self):
        if self.daemon is None:
            return
        stop(self.daemon)
        self.daemon = None
        shutil.rmtree(os.path.dirname(self.root), ignore_errors=True)

    def rest(self):
        """Nothing more over the line, which belongs to the other engine now: an idle daemon would fill images."""
        self.end()

    def call(self, *arguments, seconds=LIMIT_SECONDS):
        return run(self.program, *arguments, seconds=seconds, environment=self.environment)

    def json(self, *arguments):
        return json.loads(self.call(*arguments, "--json"))

    def run(self, reference, workload, name, *options):
        arguments = [self.program, "run", "--rm", "--name", name, *options, reference, *workload.command]
        return until_ready(arguments, workload, self.environment)

    def finish(self, child, name):
        """Ends a container that is still running."""
        if child.poll() is None:
            child.send_signal(signal.SIGKILL if child.poll() is not None else signal.SIGTERM)
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                run("runc", "--root", self.run_directory + "/runc", "kill", name, "KILL", check=False)
                child.wait(20)

    def cold(self, reference, workload):
        took, child = self.run(reference, workload, "bench")
        return took, lambda: self.finish(child, "bench")


class Containerd:
    name = "containerd"

    def __init__(self, directory, undo):
        self.directory, self.undo = directory, undo
        self.socket = directory + "/containerd.sock"
        path = directory + "/containerd.toml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'version = 2\nroot = "{directory}/containerd"\nstate = "{directory}/containerd-state"\n'
                       'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                       f'[grpc]\naddress = "{self.socket}"\n')
        start(["containerd", "--config", path], f"{directory}/containerd.log", undo)
        wait_for("containerd", lambda: self.call("version", check=False) != "")

    def rest(self):
        """It fetches nothing that nobody asked for."""

    def call(self, *arguments, **options):
        return run("ctr", "-a", self.socket, *arguments, seconds=LIMIT_SECONDS, **options)

    def fresh(self):
        """Removes every image, its blobs and its snapshots."""
        for reference in self.call("images", "list", "-q").split():
            self.call("images", "remove", "--sync", reference)
        wait_for("containerd's collection", lambda: len(self.call("snapshots", "list").splitlines()) <= 1
                 and not self.call("content", "list", "-q").split(), 60)

    def pull(self, reference):
        begin = time.monotonic()
        self.call("images", "pull", "--plain-http", "--snapshotter", "overlayfs", reference)
        return time.monotonic() - begin

    def run(self, reference, workload, name):
        arguments = ["ctr", "-a", self.socket, "run", "--rm", "--net-host", reference, name, *workload.command]
        return until_ready(arguments, workload)

    def finish(self, child, name):
        if child.poll() is None:
            self.call("tasks", "kill", "-s", "KILL", name, check=False)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
        self.call("containers", "remove", name, check=False)

    def cold(self, reference, workload):
        pulled = self.pull(reference)
        took, child = self.run(reference, workload, "bench")
        return pulled + took, lambda: self.finish(child, "bench")


def cold_start(engine, link, registry, reference, workload):
    """Seconds and bytes from nothing to ready, with all caches of this machine dropped but the registry's."""
    engine.fresh()
    drop_caches()
    registry.warm()
    before = link.counters()
    took, finish = engine.cold(reference, workload)
    received = link.counters()[0] - before[0]
    finish()
    engine.rest()
    return took, received
