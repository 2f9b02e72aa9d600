// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
import Ext4
import Glibc
import Mounts
public import Volumes

/// What a `DaemonService` may use of the daemon.
///
/// Blocks; for plain threads. Calls about one volume must exclude each other.
public struct ServiceHost: Sendable {
    let driver: Driver

    public var store: VolumeStore { driver.store }
    public var places: Places { driver.places }
    public var configuration: Configuration { driver.configuration }

    // MARK: Mounts

    /// Mounts a volume, or an image for reading, on a directory, which is made; what is mounted there stays.
    public func mount(_ name: String, at directory: String) throws(Failure) {
        if isMounted(directory) { return }
        do throws(SystemError) { try Directories.create(directory) } catch { throw Failure(error) }
        do throws(Failure) {
            _ = try driver.mounts.mount(MountRequest(name: name, directory: directory, readOnly: false))
        } catch {
            try? Directories.removeEmpty(directory)
            throw error
        }
    }

    /// Whether a mount that was made here is there still.
    public func isMounted(_ directory: String) -> Bool {
        guard driver.mounts.state.withLock({ $0.mounts[directory] != nil }) else { return false }
        driver.mounts.forgetForeignUnmounts()
        return driver.mounts.state.withLock { $0.mounts[directory] != nil }
    }

    /// Takes a mount and its directory away; one that is busy goes out of sight now and ends with its users.
    public func unmount(_ directory: String) throws(Failure) {
        guard let info = driver.mounts.state.withLock({ $0.mounts[directory]?.info }) else { return }
        try Child.run(.unmount([UnmountJob(directory: directory, lazily: true, remove: true)]))
        try driver.mounts.drop(info)
    }

    /// Holds the file system at a directory still while the body runs: all of it is in the volume then.
    ///
    /// A freeze that was lifted before the body had ended is an error.
    public func holdingStill<T, E: Error>(
        _ directory: String, _ body: () throws(E) -> T
    ) throws -> T {
        let child = try Child.take()
        do {
            try child.begin(.freeze(directory: directory))
            _ = try child.answer()
            let result = try body()
            child.closeInput()
            _ = try child.finish()
            return result
        } catch {
            child.closeInput()
            _ = try? child.finish()
            _ = try? Child.run(.thaw(directory: directory))
            throw error
        }
    }

    /// Sets the length of a volume that is not mounted, and of the file system in it.
    public func resize(volume: String, toBytes size: UInt64) throws(Failure) {
        let file = driver.mounts.file(ofVolume: volume)
        try Child.run(.resize(file: file, sizeBytes: size))
    }

    /// What the file system that is mounted at a directory has in use and has free.
    public func space(at directory: String) throws(Failure) -> FileSystemSpace {
        guard let space = try Child.run(.space(directory: directory)).space else {
            throw Failure(.failed, "\(directory): a child counted nothing")
        }
        return space
    }

    // MARK: Images

    /// An image without any file, in a file system of that size; made when it is not there.
    public func emptyImage(sizeBytes: UInt64) throws(Failure) -> String {
        // One for each size: what lies above keeps the size that it began with.
        let name = Names.emptyImage(sizeBytes: sizeBytes)
        return try driver.pulls.with([name]) { () throws(Failure) in
            if store.kind(of: name) == .image { return name }
            let session = store.chunks.beginIngest()
            do {
                let options = FormatOptions(sizeBytes: sizeBytes)
                let map = try Formatter.format(FileTree(), options: options) { metadata in
                    try metadata.withUnsafeBytes { bytes in try session.add(bytes) }
                }
                _ = try store.addImage(
                    name: name, map: map, configuration: [], source: "empty", session: session)
            } catch {
                session.release()
                throw Failure(error)
            }
            return name
        }
    }
}

/// Settings of containerd's service.
public struct ContainerdSettings: Sendable {
    /// Path of the socket; empty for the usual place, `none` for none.
    public let socket: String
    /// Bytes of the file system of a snapshot without parent.
    public let volumeBytes: UInt64

    /// Where to listen; nil for nowhere.
    public func path(_ places: Places) -> String? {
        if socket == "none" { return nil }
        return socket.isEmpty ? places.run + "/containerd.sock" : socket
    }
}

extension ServiceHost {
    public var containerd: ContainerdSettings {
        let configuration = driver.configuration
        return ContainerdSettings(
            socket: configuration[Settings.containerdSocket],
            volumeBytes: configuration[Settings.containerdVolumeBytes])
    }
}
