# SPDX-License-Identifier: Apache-2.0
"""A line of a given width and length to a network namespace of its own."""
import os

from .processes import run, start, wait_for

# A class of addresses that is set aside for measuring devices (RFC 2544): nobody routes it.
NETWORK = "198.18.{}"


class Link:
    """A veth pair whose ends are shaped by tbf; programs in the namespace stand for the far side.

    Length comes from `hellobench delay`, since few kernels without netem can delay packets.
    """

    def __init__(self, undo, hellobench, directory, number=None):
        number = os.getpid() % 250 if number is None else number
        self.undo, self.hellobench, self.directory = undo, hellobench, directory
        self.name = f"slklab{number}"
        self.near, self.far = f"slk{number}n", f"slk{number}f"
        self.near_address = NETWORK.format(number) + ".1"
        self.far_address = NETWORK.format(number) + ".2"
        self.proxies = {}
        undo.add(self.remove)
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", self.near, "type", "veth", "peer", "name", self.far, "netns", self.name)
        run("ip", "addr", "add", self.near_address + "/24", "dev", self.near)
        run("ip", "link", "set", self.near, "up")
        self.inside("ip", "addr", "add", self.far_address + "/24", "dev", self.far)
        self.inside("ip", "link", "set", self.far, "up")
        self.inside("ip", "link", "set", "lo", "up")

    def remove(self):
        run("ip", "link", "del", self.near, check=False)
        run("ip", "netns", "del", self.name, check=False)

    def inside(self, *arguments, **options):
        return run("ip", "netns", "exec", self.name, *arguments, **options)

    def start_inside(self, arguments, log):
        return start(["ip", "netns", "exec", self.name, *arguments], log, self.undo)

    def shape(self, megabits):
        """Sets the width in both directions; None takes the limit away."""
        for prefix, device in (([], self.near), (["ip", "netns", "exec", self.name], self.far)):
            run(*prefix, "tc", "qdisc", "del", "dev", device, "root", check=False)
            if megabits is not None:
                run(*prefix, "tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", f"{megabits}mbit",
                    "burst", "256kb", "latency", "100ms")

    def lengthen(self, port, milliseconds):
        """The port on the far side at which the service of `port` answers with so much added to a round trip."""
        if (port, milliseconds) not in self.proxies:
            front = 20000 + len(self.proxies)
            log = f"{self.directory}/delay-{front}.log"
            self.start_inside(
                [self.hellobench, "delay", "--listen", f"{self.far_address}:{front}", "--to", f"127.0.0.1:{port}",
                 "--round-trip", str(milliseconds)], log)
            wait_for("hellobench delay", lambda: "ready" in _text(log))
            self.proxies[port, milliseconds] = front
        return self.proxies[port, milliseconds]

    def counters(self):
        """Bytes that came from and went to the far side so far, as the interface counts them."""
        base = f"/sys/class/net/{self.near}/statistics/"
        return int(_text(base + "rx_bytes")), int(_text(base + "tx_bytes"))


def _text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()
