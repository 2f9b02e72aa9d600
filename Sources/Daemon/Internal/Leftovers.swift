// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc
import Mounts

/// Takes away what a daemon that was killed left below its run directory: containers, mounts, loop devices,
/// the dead FUSE mount, bundles.
///
/// Works on tables of the kernel only; nothing below a dead mount is looked at.
enum Leftovers {
    /// - Returns: one line for each thing that was found, for the log.
    static func clean(run: String) -> [String] {
        var notes: [String] = []
        stopContainers(run, &notes)
        unmountLoops(run, &notes)
        unmountRest(run, &notes)
        for directory in ["containers", "images", "ended", "mounts", "pending"] {
            removeTree(run + "/" + directory, &notes)
        }
        return notes
    }

    /// Takes away what lies beside that which goes on: containers that were half made, mounts of images that nobody
    /// has.
    ///
    /// - Returns: one line for each thing that was found, for the log.
    static func cleanStrays(run: String, _ known: KnownLife) -> [String] {
        var notes: [String] = []
        stopContainers(run, except: Set(known.containers), &notes)
        for name in strays(run + "/containers", known.containers) {
            notes.append("container \(name): was half made and is removed")
            if let left = discard("\(run)/containers/\(name)") { notes.append(left) }
        }
        for name in strays(run + "/images", known.images) {
            let directory = "\(run)/images/\(name)"
            notes.append("\(directory): nobody has it, and it is removed")
            umount2(directory, Int32(MNT_DETACH))
            do throws(SystemError) { try Directories.removeEmpty(directory) } catch {
                notes.append("\(error)")
            }
        }
        return notes
    }

    private static func strays(_ directory: String, _ known: [String]) -> [String] {
        let names = (try? Directories.names(in: directory)) ?? []
        return names.filter { !known.contains($0) }.sorted()
    }

    /// Whether a FUSE file system of ours is mounted there.
    static func isMounted(_ directory: String) -> Bool {
        (try? MountTable.current())?.entry(at: directory)?.fileSystem == "fuse.slacker"
    }

    /// Takes away the bundle of a container that has ended, and its root without asking who still uses that.
    ///
    /// - Returns: what is left, for the log; nil when nothing is.
    static func discard(_ bundle: String) -> String? {
        let root = bundle + "/rootfs"
        if umount2(root, Int32(MNT_DETACH)) < 0, errno != EINVAL, errno != ENOENT {
            return "\(SystemError.last("umount", root))"
        }
        do throws(SystemError) {
            // First, and alone: should anything be mounted there still, it is not entered.
            try Directories.removeEmpty(root)
            try Directories.removeTree(bundle)
            return nil
        } catch {
            return "\(error)"
        }
    }

    /// Containers whose root has died with the daemon cannot go on.
    private static func stopContainers(
        _ run: String, except known: Set<String> = [], _ notes: inout [String]
    ) {
        let state = run + "/runc"
        guard let ids = try? Directories.names(in: state), !ids.isEmpty,
            let runtime = try? Runtime.find(runDirectory: run)
        else { return }
        for id in ids where !known.contains(id) {
            let result = try? Subprocess.run(runtime.delete(id: id, force: true))
            notes.append("container \(id): \(result?.succeeded == true ? "stopped" : "could not be stopped")")
        }
    }

    private static func unmountLoops(_ run: String, _ notes: inout [String]) {
        let uses = (try? LoopUse.list(under: run + "/fs")) ?? []
        for use in uses {
            for directory in use.directories { detach(directory, &notes) }
            try? LoopDevice.detach(number: use.number)
            notes.append("/dev/loop\(use.number): detached from \(use.file)")
        }
    }

    private static func unmountRest(_ run: String, _ notes: inout [String]) {
        let entries = (try? MountTable.current().entries(under: run)) ?? []
        for entry in entries where entry.directory != run { detach(entry.directory, &notes) }
    }

    private static func detach(_ directory: String, _ notes: inout [String]) {
        if umount2(directory, Int32(MNT_DETACH)) < 0 {
            notes.append("\(SystemError.last("umount", directory))")
        } else {
            notes.append("\(directory): unmounted")
        }
    }

    private static func removeTree(_ path: String, _ notes: inout [String]) {
        do throws(SystemError) { try Directories.removeTree(path) } catch { notes.append("\(error)") }
    }
}
