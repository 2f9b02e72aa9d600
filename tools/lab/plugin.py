# SPDX-License-Identifier: Apache-2.0
"""containerd with slacker as its snapshotter."""
import os
import shutil
import time

from .engines import LIMIT_SECONDS, Slacker, until_ready
from .processes import run, start, stop, wait_for


class ContainerdSlacker:
    """A daemon of slacker and a containerd that keeps everything in it; `fresh` makes both anew."""
    name = "containerd+slacker"

    def __init__(self, program, directory, undo, registries):
        self.directory, self.undo = directory, undo
        os.makedirs(directory)
        self.slacker = Slacker(program, directory, undo, registries)
        self.socket = directory + "/c.sock"
        self.count = 0
        self.daemon = None
        undo.add(self.end)

    def fresh(self):
        self.end()
        self.slacker.fresh()
        self.count += 1
        base = f"{self.directory}/containerd-{self.count}"
        os.makedirs(base)
        with open(base + ".toml", "w", encoding="utf-8") as file:
            file.write(f'version = 2\nroot = "{base}/root"\nstate = "{base}/state"\n'
                       'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                       f'[grpc]\naddress = "{self.socket}"\n[ttrpc]\naddress = "{self.socket}.ttrpc"\n'
                       '[proxy_plugins.slacker]\ntype = "snapshot"\n'
                       f'address = "{self.slacker.run_directory}/containerd.sock"\n')
        self.daemon = start(["containerd", "--config", base + ".toml"], f"{self.directory}/containerd.log", self.undo)
        wait_for("containerd", lambda: self.call("version", check=False) != "")

    def end(self):
        if self.daemon is None:
            return
        stop(self.daemon)
        self.daemon = None
        self.slacker.end()
        shutil.rmtree(f"{self.directory}/containerd-{self.count}", ignore_errors=True)

    def call(self, *arguments, **options):
        return run("ctr", "-a", self.socket, *arguments, seconds=LIMIT_SECONDS, **options)

    def pull(self, reference):
        begin = time.monotonic()
        self.call("images", "pull", "--plain-http", "--snapshotter", "slacker", reference)
        return time.monotonic() - begin

    def cold_lazy(self, reference, workload):
        """From nothing to ready, without a layer being fetched."""
        begin = time.monotonic()
        self.slacker.call("pull", "--containerd", "default", "--containerd-address", self.socket, reference)
        pulled = time.monotonic() - begin
        arguments = ["ctr", "-a", self.socket, "run", "--rm", "--net-host", "--snapshotter", "slacker", reference,
                     "bench", *workload.command]
        took, child = until_ready(arguments, workload)
        return pulled + took, lambda: self.finish(child)

    def finish(self, child):
        if child.poll() is None:
            self.call("tasks", "kill", "-s", "KILL", "bench", check=False)
            child.wait(30)
        self.call("containers", "remove", "bench", check=False)
