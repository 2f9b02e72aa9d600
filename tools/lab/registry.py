# SPDX-License-Identifier: Apache-2.0
"""docker-registry on the far side of a link."""
import os

from .processes import run, wait_for

PORT = 5000
CONFIGURATION = """version: 0.1
log: {{level: error, accesslog: {{disabled: false}}}}
storage: {{filesystem: {{rootdirectory: {directory}, maxthreads: 100}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}", relativeurls: true}}
"""


class Registry:
    def __init__(self, link, directory):
        self.link = link
        self.directory = directory + "/registry"
        self.access_log = directory + "/registry.log"
        path = directory + "/registry.yml"
        with open(path, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(directory=self.directory, port=PORT))
        link.start_inside(["docker-registry", "serve", path], self.access_log)
        wait_for("docker-registry", lambda: "200" in link.inside(
            "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{PORT}/v2/", check=False))

    def host(self, milliseconds):
        """Host and port of the registry over a line of this length."""
        return f"{self.link.far_address}:{self.link.lengthen(PORT, milliseconds)}"

    def upload(self, layout, name):
        """Puts an image in, at once, past the line."""
        self.link.inside("skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}:latest",
                         f"docker://127.0.0.1:{PORT}/{name}:latest", seconds=900)

    def warm(self):
        """Reads every blob once: the registry's disk is not what is measured."""
        for directory, _, files in os.walk(self.directory):
            for name in files:
                with open(os.path.join(directory, name), "rb") as file:
                    while file.read(1 << 20):
                        pass

    def requests(self):
        """Requests answered so far."""
        with open(self.access_log, encoding="utf-8", errors="replace") as file:
            return sum('HTTP/1.1" ' in line for line in file)


def size_of(layout):
    """Packed bytes of an image's layers."""
    return int(run("du", "-sb", layout + "/blobs").split()[0])
