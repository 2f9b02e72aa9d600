# SPDX-License-Identifier: Apache-2.0
"""What is measured, one function for each claim; each returns figures and prints them as it goes."""
import concurrent.futures
import json
import os
import statistics
import time
import urllib.request

from . import workloads
from .engines import cold_start
from .processes import Failed, drop_caches
from .workloads import Workload

MIB = 1 << 20


class Bench:
    """What the sections share."""

    def __init__(self, link, registry, slacker, containerd, rounds, results):
        self.link, self.registry, self.slacker, self.containerd = link, registry, slacker, containerd
        self.rounds, self.results = rounds, results

    def reference(self, engine, workload, milliseconds):
        tag = "lazy" if engine is self.slacker else "latest"
        return f"{self.registry.host(milliseconds)}/bench/{workload.name}:{tag}"

    def record(self, section, **figures):
        self.results.append({"section": section, **figures})

    def say(self, text):
        print(text, flush=True)

    def verdict(self, what, value, bound, better="at least"):
        holds = value >= bound if better == "at least" else value <= bound
        self.record("verdict", what=what, value=value, bound=bound, holds=holds)
        self.say(f"  {'held  ' if holds else 'MISSED'} {what}: {value:.3g} ({better} {bound:g})")


def cold(bench, chosen, megabits, milliseconds):
    """Cold start of every workload with both engines, interleaved."""
    bench.link.shape(megabits)
    bench.say(f"\n== cold start at {megabits} Mbit/s and {milliseconds} ms: seconds to ready, MiB over the line")
    bench.say(f"  {'':10} {'containerd':>20} {'slacker':>20} {'ratio':>8}")
    ratios = []
    for workload in chosen:
        samples = {bench.containerd: [], bench.slacker: []}
        for index in range(bench.rounds):
            order = list(samples) if index % 2 == 0 else list(samples)[::-1]
            for engine in order:
                reference = bench.reference(engine, workload, milliseconds)
                took, received = cold_start(engine, bench.link, bench.registry, reference, workload)
                samples[engine].append((took, received))
                bench.record("cold", workload=workload.name, engine=engine.name, megabits=megabits,
                             milliseconds=milliseconds, seconds=took, received=received)
        theirs, ours = (_middle(samples[engine]) for engine in (bench.containerd, bench.slacker))
        ratios.append(theirs[0] / ours[0])
        bench.say(f"  {workload.name:10} {theirs[0]:10.2f} {theirs[1] / MIB:9.1f} {ours[0]:10.3f} "
                  f"{ours[1] / MIB:9.1f} {ratios[-1]:7.1f}x")
    bench.verdict(f"median speed-up at {megabits} Mbit/s", statistics.median(ratios), 25 if megabits >= 1000 else 1)
    bench.verdict(f"least speed-up at {megabits} Mbit/s", min(ratios), 1)


def _middle(samples):
    return tuple(statistics.median(column) for column in zip(*samples))


def touched(bench, chosen):
    """Bytes fetched until ready against the touched blocks, compressed."""
    bench.link.shape(1000)
    bench.say("\n== bytes over the line until ready, against the touched blocks in their stored form")
    for workload in chosen:
        reference = bench.reference(bench.slacker, workload, 0.5)
        received = []
        for _ in range(bench.rounds):
            received.append(cold_start(bench.slacker, bench.link, bench.registry, reference, workload)[1])
        pack = _boot_bytes(bench, workload)
        middle = statistics.median(received)
        bench.say(f"  {workload.name:10} received {middle / MIB:6.2f} MiB, boot pack {pack / MIB:6.2f} MiB")
        bench.verdict(f"{workload.name}: bytes over the line / touched", middle / pack, 1.15, "at most")


def _boot_bytes(bench, workload):
    """The blocks that the recorded start touched, as they lie in the boot pack, by the image's manifest."""
    request = urllib.request.Request(
        f"http://{bench.registry.host(0)}/v2/bench/{workload.name}/manifests/lazy",
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        annotations = json.load(answer).get("annotations", {})
    if "vnd.slacker.boot.bytes" not in annotations:
        raise Failed(f"bench/{workload.name}:lazy: has no boot pack")
    return int(annotations["vnd.slacker.boot.bytes"])


def trips(bench, chosen):
    """What ten milliseconds of delay cost, in round trips."""
    bench.link.shape(1000)
    bench.say("\n== cost of 10 ms more delay, in round trips")
    for workload in chosen:
        seconds = {}
        for _ in range(max(3, bench.rounds)):
            for milliseconds in (0, 10):
                reference = bench.reference(bench.slacker, workload, milliseconds)
                took, _ = cold_start(bench.slacker, bench.link, bench.registry, reference, workload)
                seconds.setdefault(milliseconds, []).append(took)
        added = statistics.median(seconds[10]) - statistics.median(seconds[0])
        bench.say(f"  {workload.name:10} {statistics.median(seconds[0]):.3f} s and "
                  f"{statistics.median(seconds[10]):.3f} s")
        bench.verdict(f"{workload.name}: round trips", added / 0.010, 5, "at most")


def ten(bench, workload):
    """Ten containers of one image at once fetch each chunk once."""
    bench.link.shape(1000)
    bench.say("\n== ten containers at once")
    reference = bench.reference(bench.slacker, workload, 0.5)
    alone = cold_start(bench.slacker, bench.link, bench.registry, reference, workload)[1]
    bench.slacker.fresh()
    drop_caches()
    bench.registry.warm()
    before = bench.link.counters()[0]
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        # Without a network of the host's, where only one of them could have the port.
        jobs = [pool.submit(bench.slacker.run, reference, workload, f"ten-{index}", "--network", "none")
                for index in range(10)]
        done = [job.result() for job in jobs]
    took = time.monotonic() - begin
    together = bench.link.counters()[0] - before
    for index, (_, child) in enumerate(done):
        bench.slacker.finish(child, f"ten-{index}")
    bench.say(f"  one {alone / MIB:.2f} MiB, ten {together / MIB:.2f} MiB in {took:.2f} s")
    bench.verdict("bytes of ten / bytes of one", together / alone, 1.1, "at most")


def shared(bench, first, second):
    """A second image on the same base fetches only what differs."""
    bench.link.shape(1000)
    bench.say("\n== a second image on the same base, both made wholly local")
    sizes = []
    bench.slacker.fresh()
    for name in (first, second):
        reference = bench.reference(bench.slacker, name, 0.5)
        before = bench.link.counters()[0]
        bench.slacker.call("pull", reference)
        bench.slacker.call("fill", reference)
        sizes.append(bench.link.counters()[0] - before)
    bench.slacker.fresh()
    reference = bench.reference(bench.slacker, second, 0.5)
    before = bench.link.counters()[0]
    bench.slacker.call("pull", reference)
    bench.slacker.call("fill", reference)
    alone = bench.link.counters()[0] - before
    bench.say(f"  {first.name} {sizes[0] / MIB:.1f} MiB, then {second.name} {sizes[1] / MIB:.1f} MiB, "
              f"alone it takes {alone / MIB:.1f} MiB")
    bench.verdict("bytes of the second / bytes of it alone", sizes[1] / alone, 0.5, "at most")


def push(bench, workload):
    """Push of one changed file."""
    bench.link.shape(1000)
    bench.say("\n== push of one changed file of 1 MiB")
    bench.slacker.fresh()
    reference = bench.reference(bench.slacker, workload, 0.5)
    bench.slacker.call("pull", reference)
    seconds, extra = [], []
    for index in range(max(3, bench.rounds)):
        change = Workload("change", "", ("sh", "-c", f"head -c {MIB} /dev/urandom >/opt/change-{index}"))
        arguments = [bench.slacker.program, "run", "--name", f"change-{index}", reference, *change.command]
        bench.slacker.call(*arguments[1:])
        bench.slacker.call("snapshot", f"change-{index}", f"changed:{index}")
        host = bench.registry.host(0.5)
        before = bench.link.counters()
        begin = time.monotonic()
        bench.slacker.call("push", f"changed:{index}", f"{host}/bench/{workload.name}:changed-{index}")
        seconds.append(time.monotonic() - begin)
        extra.append(bench.link.counters()[1] - before[1] - MIB)
        bench.record("push", seconds=seconds[-1], extra=extra[-1])
    bench.say(f"  {statistics.median(seconds) * 1000:.0f} ms, {statistics.median(extra) / 1000:.0f} kB beyond the file")
    bench.verdict("seconds of the push", statistics.median(seconds), 0.3, "at most")
    bench.verdict("kB sent beyond the file", statistics.median(extra) / 1000, 100, "at most")


def stream(bench, workload):
    """A sequential cold read of all data of an image against the width of the line."""
    bench.say("\n== sequential cold read of a whole image")
    for megabits in (1000, 100):
        bench.link.shape(megabits)
        shares = []
        for _ in range(max(1, bench.rounds if megabits == 1000 else 1)):
            bench.slacker.fresh()
            drop_caches()
            bench.registry.warm()
            reference = bench.reference(bench.slacker, workload, 0.5)
            bench.slacker.call("pull", reference)
            path = bench.slacker.run_directory + "/fs/snapshots/" + _shown(bench, reference)
            before, begin = bench.link.counters()[0], time.monotonic()
            size = _read(path)
            took = time.monotonic() - begin
            received = bench.link.counters()[0] - before
            shares.append(received * 8 / took / (megabits * 1e6))
            bench.record("stream", megabits=megabits, seconds=took, received=received, size=size)
            bench.say(f"  {megabits} Mbit/s: {size / MIB:.0f} MiB in {took:.2f} s, {received / MIB:.0f} MiB received")
        bench.verdict(f"share of {megabits} Mbit/s used", statistics.median(shares), 0.85)


def _shown(bench, reference):
    """The file of an image: the only one of a store that holds one image."""
    names = os.listdir(bench.slacker.run_directory + "/fs/snapshots")
    if len(names) != 1:
        raise Failed(f"{reference}: one image was expected, there are {names}")
    return names[0]


def _read(path):
    """Reads what is not a hole, in order: a block file is far longer than its image."""
    with open(path, "rb", buffering=0) as file:
        size, end = 0, 0
        while True:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole is left
                return size
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            os.lseek(file.fileno(), start, os.SEEK_SET)
            while start < end:
                count = len(file.read(min(MIB, end - start)))
                start, size = start + count, size + count


def everything(bench, workload):
    """A container that reads every file, from cold, against pulling whole and then running."""
    bench.link.shape(1000)
    bench.say("\n== a container that reads every file, from cold")
    reader = Workload(workload.name, workload.recipe, (
        "tar", "--one-file-system", "-cf", "/dev/null", "--warning=no-file-ignored", "-C", "/", "."))
    for milliseconds in (0.5, 200):
        seconds = {bench.containerd: [], bench.slacker: []}
        for _ in range(max(1, bench.rounds - 1)):
            for engine in seconds:
                reference = bench.reference(engine, workload, milliseconds)
                took, received = cold_start(engine, bench.link, bench.registry, reference, reader)
                seconds[engine].append(took)
                bench.record("everything", engine=engine.name, milliseconds=milliseconds, seconds=took,
                             received=received)
        theirs, ours = (statistics.median(seconds[engine]) for engine in (bench.containerd, bench.slacker))
        bench.say(f"  {milliseconds} ms: containerd {theirs:.2f} s, slacker {ours:.2f} s")
        bench.verdict(f"speed-up at {milliseconds} ms", theirs / ours, 1)


def named(names):
    """The workloads of these names; all when there are none."""
    known = {workload.name: workload for workload in workloads.ALL}
    for name in names:
        if name not in known:
            raise Failed(f"--images: '{name}' is none of {', '.join(known)}")
    return [known[name] for name in names] or list(workloads.ALL)
