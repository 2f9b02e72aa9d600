# SPDX-License-Identifier: Apache-2.0
"""Writes an OCI image layout from tar files of whole systems.

    oci-layout.py DIRECTORY COMMAND_JSON BASE.tar [NEXT.tar ...]

The first tar becomes the first layer; every further one becomes a layer that holds what differs from the one
before: new and changed members, and whiteouts for those that are gone.
"""
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile


def fingerprint(archive, member):
    """What makes two members the same file, with a digest in place of the content."""
    content = ""
    if member.isreg():
        content = hashlib.sha256(archive.extractfile(member).read()).hexdigest()
    return (member.type, member.mode, member.uid, member.gid, member.mtime, member.linkname, content)


def contents(path):
    with tarfile.open(path) as archive:
        return {member.name: fingerprint(archive, member) for member in archive}


def changed_names(archive, lower, upper):
    """Members that differ. Of a file with several names all or none: a layer's links stay inside the layer."""
    links = {member.name: member.linkname for member in archive if member.islnk()}
    changed = {name for name in upper if lower.get(name) != upper[name]}
    targets = {links.get(name, name) for name in changed}
    return changed | targets | {name for name, target in links.items() if target in targets}


def write_layer(path, system, lower, upper):
    """Writes the layer that turns `lower` into `upper`; removed directories need one whiteout only."""
    with tarfile.open(system) as source, tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as layer:
        gone = sorted(name for name in lower if name not in upper)
        for name in gone:
            parent, base = os.path.split(name)
            if parent in gone:
                continue
            layer.addfile(tarfile.TarInfo(os.path.join(parent, ".wh." + base)))
        changed = changed_names(source, lower, upper)
        for member in source:
            if member.name in changed:
                layer.addfile(member, source.extractfile(member) if member.isreg() else None)


class Layout:
    def __init__(self, directory):
        self.directory = directory
        os.makedirs(os.path.join(directory, "blobs", "sha256"))

    def add(self, data, media_type):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.directory, "blobs", "sha256", digest), "wb") as blob:
            blob.write(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    def write(self, name, value):
        with open(os.path.join(self.directory, name), "w", encoding="utf-8") as file:
            json.dump(value, file)


def add_layer(layout, path):
    with open(path, "rb") as file:
        plain = file.read()
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0) as stream:
        stream.write(plain)
    descriptor = layout.add(packed.getvalue(), "application/vnd.oci.image.layer.v1.tar+gzip")
    return descriptor, "sha256:" + hashlib.sha256(plain).hexdigest()


def main():
    directory, command, *systems = sys.argv[1:]
    layout = Layout(directory)
    layers, diff_ids, lower = [], [], {}
    for system in systems:
        upper = contents(system)
        path = system + ".layer"
        write_layer(path, system, lower, upper)
        descriptor, diff_id = add_layer(layout, path)
        layers.append(descriptor)
        diff_ids.append(diff_id)
        lower = upper
    environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    configuration = {
        "created": "2023-11-14T22:13:20Z",
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {"Env": environment, "Cmd": json.loads(command)},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    config = layout.add(json.dumps(configuration).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": layers,
    }
    descriptor = layout.add(json.dumps(manifest).encode(), manifest["mediaType"])
    descriptor["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    layout.write("index.json", {"schemaVersion": 2, "manifests": [descriptor]})
    layout.write("oci-layout", {"imageLayoutVersion": "1.0.0"})


if __name__ == "__main__":
    main()
