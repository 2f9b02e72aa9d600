# SPDX-License-Identifier: Apache-2.0
"""Random operations of every kind on a daemon, beside a model of what every image and volume holds."""
import hashlib
import os
import random
import signal
import subprocess
import time

from lab.processes import Failed

# Bytes of the files that are written.
SIZES = (1, 700, 4096, 20_000, 150_000)


class Volume:
    """What a volume holds, and what of that a flush has covered."""

    def __init__(self, files):
        self.files, self.flushed = dict(files), dict(files)
        self.is_mounted = False


class Model:
    """One run; `seed` gives the same operations again."""

    def __init__(self, machine, seed):
        self.machine, self.chance = machine, random.Random(seed)
        self.images, self.volumes, self.remote = {"empty": {}}, {}, {}
        self.counter, self.done = 0, {}
        self.store = machine.directory + "/store"

    def step(self):
        """One operation that makes sense now."""
        weights = {"clone": 6, "mount": 8, "umount": 4, "write": 24, "remove_files": 4, "flush": 6, "snapshot": 6,
                   "push": 4, "pull": 5, "remove": 5, "collect": 3, "compare": 10, "compare_image": 6, "kill": 5,
                   "replace": 1, "restart": 1, "crash": 1, "scrub": 1}
        name = self.chance.choices(list(weights), list(weights.values()))[0]
        if getattr(self, name)() is not False:
            self.done[name] = self.done.get(name, 0) + 1
            return name
        return None

    def _name(self, prefix):
        self.counter += 1
        return f"{prefix}{self.counter}"

    def _pick(self, names):
        names = sorted(names)
        return self.chance.choice(names) if names else None

    def _mounted(self):
        return [name for name, volume in self.volumes.items() if volume.is_mounted]

    def _place(self, name):
        return f"{self.machine.directory}/m-{name}"

    # Operations: False where there is nothing to do it with.

    def clone(self):
        image = self._pick(self.images)
        if image is None or len(self.volumes) >= 4:
            return False
        name = self._name("v")
        self.machine.slacker("clone", image, name)
        # Durable with its first flush; that of a mount comes soon enough.
        self.volumes[name] = Volume(self.images[image])
        return True

    def mount(self):
        name = self._pick(n for n, v in self.volumes.items() if not v.is_mounted)
        if name is None:
            return False
        os.makedirs(self._place(name), exist_ok=True)
        self.machine.slacker("mount", name, self._place(name))
        self.volumes[name].is_mounted = True
        return True

    def umount(self):
        name = self._pick(self._mounted())
        if name is None:
            return False
        self.machine.slacker("umount", self._place(name))
        self._unmounted(name)
        return True

    def _unmounted(self, name):
        volume = self.volumes[name]
        volume.is_mounted, volume.flushed = False, dict(volume.files)

    def write(self):
        name = self._pick(self._mounted())
        if name is None:
            return False
        for _ in range(self.chance.randrange(1, 5)):
            content = self.chance.randbytes(self.chance.choice(SIZES))
            file = f"f{self.chance.randrange(12)}"
            with open(f"{self._place(name)}/data/{file}", "wb") as target:
                target.write(content)
            self.volumes[name].files[file] = hashlib.sha256(content).hexdigest()
        return True

    def remove_files(self):
        name = self._pick(self._mounted())
        file = name and self._pick(self.volumes[name].files)
        if not file:
            return False
        os.unlink(f"{self._place(name)}/data/{file}")
        del self.volumes[name].files[file]
        _run("sync", "-f", self._place(name))
        self.volumes[name].flushed = dict(self.volumes[name].files)
        # Discards reach the volume.
        _run("fstrim", self._place(name))
        return True

    def flush(self):
        name = self._pick(self._mounted())
        if name is None:
            return False
        _run("sync", "-f", self._place(name))
        self.volumes[name].flushed = dict(self.volumes[name].files)
        return True

    def snapshot(self):
        name = self._pick(self.volumes)
        if name is None or len(self.images) >= 5:
            return False
        image = self._name("s")
        self.machine.slacker("snapshot", name, image)
        self.images[image] = dict(self.volumes[name].files)
        if self.volumes[name].is_mounted:
            self.volumes[name].flushed = dict(self.volumes[name].files)
        return True

    def push(self):
        name = self._pick(self.images)
        if name is None or len(self.remote) >= 4:
            return False
        tag = self._name("r")
        self.machine.slacker("push", name, f"dir:{self.store}#{tag}")
        self.remote[tag] = dict(self.images[name])
        return True

    def pull(self):
        tag = self._pick(self.remote)
        if tag is None or len(self.images) >= 5:
            return False
        name = self._name("p")
        whole = ["--whole"] if self.chance.random() < 0.3 else []
        self.machine.slacker("pull", "--name", name, *whole, f"dir:{self.store}#{tag}")
        self.images[name] = dict(self.remote[tag])
        return True

    def remove(self):
        name = self._pick(list(self.images) + [n for n, v in self.volumes.items() if not v.is_mounted])
        if name is None or len(self.images) + len(self.volumes) < 4:
            return False
        self.machine.slacker("rm", name)
        self.images.pop(name, None)
        self.volumes.pop(name, None)
        return True

    def collect(self):
        self.machine.slacker("gc")

    def scrub(self):
        self.machine.slacker("scrub", "--start")

    def kill(self):
        # After the end of one that was stopped there is none until somebody asks.
        self.machine.slacker("status")
        self.machine.kill()

    def replace(self):
        self.machine.replace()

    def restart(self):
        self.machine.slacker("status")
        self.machine.slacker("daemon", "--stop")
        for name in self._mounted():
            self._unmounted(name)

    def crash(self):
        """Daemon and keeper at one time: what is mounted ends, and what was flushed is there at the next mount."""
        daemon, keeper = self.machine.daemon(), self.machine.keeper()
        if daemon is None or keeper is None:
            return False
        os.kill(daemon, signal.SIGSTOP)
        for process in (keeper, daemon):
            os.kill(process, signal.SIGKILL)
        while self.machine.daemon() or self.machine.keeper():
            time.sleep(0.02)
        self.machine.slacker("status")
        for name in self._mounted():
            volume = self.volumes[name]
            volume.is_mounted = False
            place = self._place(name)
            self.machine.slacker("mount", name, place)
            found = _files(place + "/data")
            for file in set(volume.flushed) & set(volume.files):
                if volume.flushed[file] == volume.files[file] and found.get(file) != volume.files[file]:
                    raise Failed(f"volume {name}, file {file}: was flushed, and is lost")
            volume.files, volume.is_mounted = found, True
            self.flush()
        return True

    # Comparisons.

    def compare(self):
        name = self._pick(self._mounted())
        if name is None:
            return False
        if self.chance.random() < 0.3:
            _run("sync", "-f", self._place(name))
            self.volumes[name].flushed = dict(self.volumes[name].files)
            with open("/proc/sys/vm/drop_caches", "w", encoding="utf-8") as file:
                file.write("1\n")
        _expect(_files(self._place(name) + "/data"), self.volumes[name].files, f"volume {name}")
        return True

    def compare_image(self):
        name = self._pick(self.images)
        if name is None:
            return False
        place = self.machine.directory + "/image"
        os.makedirs(place, exist_ok=True)
        self.machine.slacker("mount", name, place)
        _expect(_files(place + "/data"), self.images[name], f"image {name}")
        self.machine.slacker("umount", place)
        return True

    def end(self):
        """Compares everything, and has the state directory checked."""
        for name in sorted(self.images):
            place = self.machine.directory + "/image"
            os.makedirs(place, exist_ok=True)
            self.machine.slacker("mount", name, place)
            _expect(_files(place + "/data"), self.images[name], f"image {name}")
            self.machine.slacker("umount", place)
        for name, volume in sorted(self.volumes.items()):
            if not volume.is_mounted:
                os.makedirs(self._place(name), exist_ok=True)
                self.machine.slacker("mount", name, self._place(name))
            _expect(_files(self._place(name) + "/data"), volume.files, f"volume {name}")
            self.machine.slacker("umount", self._place(name))
            done = subprocess.run(["e2fsck", "-fn", f"{self.machine.run_directory}/fs/volumes/{name}"], check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
            if done.returncode != 0:
                raise Failed(f"volume {name}: {done.stdout}")
        return self.machine.fsck()


def _run(*words):
    subprocess.run(words, check=True, timeout=60, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _files(directory):
    found = {}
    for name in os.listdir(directory) if os.path.isdir(directory) else []:
        with open(f"{directory}/{name}", "rb") as file:
            found[name] = hashlib.sha256(file.read()).hexdigest()
    return found


def _expect(found, wanted, what):
    if found != wanted:
        different = sorted(k for k in set(found) | set(wanted) if found.get(k) != wanted.get(k))
        raise Failed(f"{what}: differs in {different}: {len(found)} files, {len(wanted)} wanted")
