# SPDX-License-Identifier: Apache-2.0
"""A registry, and a proxy before it that fails a share of the requests."""
import http.client
import os
import random
import socketserver
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler

from lab.processes import Failed, start


def free_port():
    with socketserver.TCPServer(("127.0.0.1", 0), None) as server:
        return server.server_address[1]


class Registry:
    """docker-registry with its files in a directory."""

    def __init__(self, directory, undo):
        self.port = free_port()
        os.makedirs(directory)
        configuration = directory + "/config.yml"
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
                       f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n"
                       f"http: {{addr: '127.0.0.1:{self.port}'}}\n")
        start(["docker-registry", "serve", configuration], directory + "/log", undo)
        for _ in range(200):
            try:
                http.client.HTTPConnection("127.0.0.1", self.port, timeout=2).request("GET", "/v2/")
                return
            except OSError:
                time.sleep(0.1)
        raise Failed("docker-registry does not serve")


class FailingProxy(socketserver.ThreadingTCPServer):
    """Passes requests on to a registry of this machine, but for a share of them."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, upstream, share, seed):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.share = upstream, share
        self.chance, self.lock = random.Random(seed), threading.Lock()
        self.passed = self.failed = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def harm(self):
        """What is to be done to a request: None, or a way to fail."""
        with self.lock:
            if self.chance.random() >= self.share:
                self.passed += 1
                return None
            self.failed += 1
            return self.chance.choice(["500", "503", "reset", "cut"])

    def handle_error(self, request, client_address):
        """A client that has gone is no event."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        harm = self.server.harm()
        if harm in ("500", "503"):
            self.send_response(int(harm))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if harm == "reset":
            self.close_connection = True
            self.connection.close()
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=30)
        names = ("range", "accept", "authorization", "content-type", "content-range", "host")
        length = int(self.headers.get("Content-Length") or 0)
        connection.request(self.command, self.path, body=self.rfile.read(length) if length else None,
                           headers={n: self.headers[n] for n in names if n in self.headers})
        answer = connection.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "connection", "date", "transfer-encoding"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", str(length or 0))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:len(body) // 2] if harm == "cut" else body)
        if harm == "cut":
            self.close_connection = True
        connection.close()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET

    def log_message(self, *_):  # pylint: disable=arguments-differ
        """Silent."""


def busybox_tree(directory, megabytes, seed):
    """A root file system with a shell, noise, and the noise's checksums."""
    for part in ("bin", "etc", "tmp", "proc", "sys", "dev", "data"):
        os.makedirs(f"{directory}/{part}", exist_ok=True)
    subprocess.run(["cp", "/bin/busybox", directory + "/bin/busybox"], check=True)
    subprocess.run(["chroot", directory, "/bin/busybox", "--install", "-s", "/bin"], check=True)
    chance = random.Random(seed)
    for number in range(megabytes):
        with open(f"{directory}/data/{number}", "wb") as file:
            file.write(chance.randbytes(1 << 20))
    sums = subprocess.run("sha256sum data/*", shell=True, cwd=directory, stdout=subprocess.PIPE, check=True).stdout
    with open(directory + "/etc/sums", "wb") as file:
        file.write(sums)
