// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing
import Volumes

/// The kernel's own ext4 on a loop device with direct I/O on a volume: the whole path of a container's byte.
@Suite struct LoopTests {
    /// Mounts are made in a private namespace, so nothing of them survives the script however it ends.
    private static let script = """
        set -e
        volume=$1 place=$2
        loop=$(losetup --find --show --direct-io=on --sector-size 4096 "$volume")
        trap 'umount "$place" 2>/dev/null || true; losetup -d "$loop"' EXIT
        test "$(cat /sys/block/${loop#/dev/}/loop/dio)" = 1
        [ "$3" = again ] || mkfs.ext4 -q -E nodiscard "$loop"
        mount "$loop" "$place"
        if [ "$3" = again ]; then (cd "$place" && sha256sum -c --quiet sums); fi
        for i in 1 2 3 4 5 6 7 8; do head -c 1500000 /dev/urandom > "$place/$3-$i"; done
        rm "$place/$3-3"
        (cd "$place" && sha256sum $3-* > sums)
        fstrim "$place"
        fsfreeze -f "$place"; fsfreeze -u "$place"
        umount "$place"
        e2fsck -fn "$loop"
        """

    @Test func ext4LivesOnAVolume() throws {
        let mounted = try MountedStore()
        let place = mounted.directory + "/place"
        try Directories.create(place)
        _ = try mounted.store.createVolume(named: "v", sizeBytes: 64 << 20)
        try run(mounted, "v", place, "first")
        _ = try mounted.store.snapshot(volume: "v", as: "snap")
        _ = try mounted.store.clone(image: "snap", as: "w")
        try run(mounted, "w", place, "again")
        try run(mounted, "v", place, "again")
    }

    private func run(_ mounted: MountedStore, _ volume: String, _ place: String, _ word: String) throws {
        try mounted.run(
            [
                "unshare", "-m", "--propagation", "private", "bash", "-c", Self.script, "script",
                mounted.volumePath(volume), place, word,
            ])
    }
}
