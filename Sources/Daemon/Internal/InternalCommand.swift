// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc
import Mounts
import OCI

/// The child's side: does one `InternalRequest` after the other and answers each.
///
/// Runs as root in a process of its own.
public enum InternalCommand {
    /// Seconds for which a frozen file system may hold up its writers.
    static let freezeGuardSeconds = 10.0

    /// Reads requests from standard input until it ends, does each and prints its answer.
    ///
    /// The exit status is 0, or 1 when the last one failed.
    public static func main() -> Int32 {
        var status: Int32 = 0
        while true {
            var answer = InternalAnswer()
            var done: InternalRequest?
            do throws(Failure) {
                guard let line = try readRequest() else { return status }
                let request = try JSON.decode(InternalRequest.self, line)
                try execute(request, &answer)
                done = request
            } catch {
                answer.failure = error
            }
            guard let bytes = try? JSON.encode(answer) else { return 1 }
            if !writeLine(bytes) {
                // The daemon has died meanwhile, so nobody knows of what was done.
                if let done { undo(done) }
                return 1
            }
            status = answer.failure == nil ? 0 : 1
        }
    }

    static func execute(_ request: InternalRequest, _ answer: inout InternalAnswer) throws(Failure) {
        do {
            switch request {
            case .mount(let job): try mount(job, &answer)
            case .bind(let source, let directory, let readOnly):
                try Ext4Mount.bind(source, at: directory, readOnly: readOnly)
                answer.directory = try canonical(directory)
            case .prepare(let job, let bundle): try prepare(job, bundle, &answer)
            case .unmount(let jobs): for job in jobs { try unmount(job) }
            case .discard(let directories): answer.notes = directories.compactMap(Leftovers.discard)
            case .freeze(let directory): try freeze(directory)
            case .thaw(let directory): try Freeze.thaw(directory)
            case .resize(let file, let sizeBytes): try Resize.run(file: file, sizeBytes: sizeBytes)
            case .space(let directory): answer.space = try space(directory)
            case .clean(let run): answer.notes = Leftovers.clean(run: run)
            case .cleanStrays(let run, let known): answer.notes = Leftovers.cleanStrays(run: run, known)
            }
        } catch {
            throw Failure(error)
        }
    }

    /// Takes away a mount whose asker is gone.
    private static func undo(_ request: InternalRequest) {
        switch request {
        case .mount(let job): try? Ext4Mount.unmount(job.directory, lazily: true)
        case .bind(_, let directory, _): try? Ext4Mount.unmount(directory, lazily: true)
        case .prepare(let job?, _): try? Ext4Mount.unmount(job.directory, lazily: true)
        default: break
        }
    }

    private static func mount(_ job: MountJob, _ answer: inout InternalAnswer) throws {
        let readAhead =
            job.isSparing ? LoopDevice.sparingReadAheadKilobytes : LoopDevice.readAheadKilobytes
        let mounted = try Ext4Mount.mount(
            image: job.file, at: job.directory, readOnly: job.readOnly, readAhead: readAhead)
        answer.device = mounted.device
        answer.directory = mounted.directory
    }

    /// Nothing stays mounted when the bundle cannot be written.
    private static func prepare(_ job: MountJob?, _ bundle: BundleJob, _ answer: inout InternalAnswer) throws
    {
        let start = MonotonicTime.now
        if let job {
            try Directories.create(job.directory)
            try mount(job, &answer)
        }
        let mounted = MonotonicTime.now
        do {
            try write(bundle)
        } catch {
            if let job { try? Ext4Mount.unmount(job.directory, lazily: true) }
            throw error
        }
        answer.timings = [
            .init(step: "mount", milliseconds: mounted.seconds(since: start) * 1000),
            .init(step: "bundle", milliseconds: MonotonicTime.now.seconds(since: mounted) * 1000),
        ]
    }

    private static func write(_ job: BundleJob) throws {
        try Directories.create(job.directory)
        let bytes = Array(job.configuration.utf8)
        let configuration =
            bytes.isEmpty
            ? ImageConfiguration(platform: .host)
            : try ImageConfiguration(parsing: bytes, name: job.identifier)
        let bundle = try Bundle(
            directory: job.directory, root: job.root, identifier: job.identifier,
            configuration: configuration,
            options: job.options)
        try bundle.checkCommand()
        try bundle.write()
    }

    private static func unmount(_ job: UnmountJob) throws {
        do throws(MountsError) {
            try Ext4Mount.unmount(job.directory)
        } catch {
            switch error {
            case .notMounted: break
            case .busy where job.lazily:
                // Flushed while there is still a daemon to take it.
                if let place = try? OwnedFD(open: job.directory, O_RDONLY | O_DIRECTORY) { syncfs(place.raw) }
                try Ext4Mount.unmount(job.directory, lazily: true)
            default: throw error
            }
        }
        if job.remove { try Directories.removeEmpty(job.directory) }
    }

    /// Tells the daemon with a line of its own that the file system stands still, and thaws when standard
    /// input ends: that happens too when the daemon dies.
    private static func freeze(_ directory: String) throws {
        // The bulk is flushed while writers may go on; the freeze has little left to do.
        let place = try OwnedFD(open: directory, O_RDONLY | O_DIRECTORY)
        syncfs(place.raw)
        try Freeze.run(directory, guardSeconds: freezeGuardSeconds) {
            _ = writeLine(Array("{}".utf8))
            var byte: UInt8 = 0
            _ = retrying { read(0, &byte, 1) }
        }
    }

    private static func space(_ directory: String) throws(SystemError) -> FileSystemSpace {
        var status = statvfs()
        if statvfs(directory, &status) < 0 { throw SystemError.last("statvfs", directory) }
        return FileSystemSpace(
            usedInodes: UInt64(status.f_files - status.f_ffree),
            freeBytes: UInt64(status.f_bfree) * UInt64(status.f_frsize))
    }

    private static func canonical(_ directory: String) throws -> String {
        guard let path = realpath(directory, nil) else { throw SystemError.last("realpath", directory) }
        defer { free(path) }
        return String(cString: path)
    }

    /// The request is one line, so that standard input can go on to hold a freeze; nil at its end.
    ///
    /// Nobody asks before the answer is there, so no more than the one line comes.
    private static func readRequest() throws(Failure) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while bytes.last != UInt8(ascii: "\n") {
            let count = retrying { read(0, &buffer, buffer.count) }
            if count < 0 { throw Failure(SystemError.last("read", "request")) }
            if count == 0 { return nil }
            bytes.append(contentsOf: buffer[..<count])
        }
        return bytes
    }

    /// False when nobody is there to read it.
    private static func writeLine(_ bytes: [UInt8]) -> Bool {
        var line = bytes
        line.append(UInt8(ascii: "\n"))
        var done = 0
        while done < line.count {
            let count = line[done...].withUnsafeBytes { bytes in
                retrying { Glibc.write(1, bytes.baseAddress, bytes.count) }
            }
            if count < 0 { return false }
            done += count
        }
        return true
    }
}
