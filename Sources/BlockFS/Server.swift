// SPDX-License-Identifier: Apache-2.0

import Base
import CFuse3
import ChunkStore
import Glibc
import Volumes

/// What every callback finds behind `fuse_req_userdata`.
final class Server: Sendable {
    let access: StoreAccess
    let nodes: NodeTable
    /// Marks the handles of files that this process has opened: others are a dead process's.
    let epoch: UInt16
    let replies = ReadReplies()
    let memory = ThreadMemory()
    let parked: ParkedRequests
    let watches = ReadWatches()
    /// A descriptor of the state directory, whose file system's figures statfs shows.
    let stateDirectory: OwnedFD
    /// Largest WRITE.
    static let maximumWriteBytes: UInt32 = 1 << 20
    /// Largest READ: half as much, so that the pipe of a spliced answer stays below pipe-max-size, beyond
    /// which it takes CAP_SYS_RESOURCE.
    ///
    /// See docs/decisions/0002-fuse-answers.md.
    static let maximumReadBytes: UInt32 = 512 << 10

    /// Requests that the kernel keeps under way at a time without anybody waiting in it: reads ahead, and
    /// direct ones of loop devices.
    ///
    /// The kernel's own 12 would be used up by as many parked reads, and hits would wait for the network.
    static let maximumBackground: UInt32 = 4096

    init(
        _ store: VolumeStore, _ engine: FetchEngine?, epoch: UInt16, pendingDirectory: String?
    ) throws(SystemError) {
        self.epoch = epoch
        access = StoreAccess(store: store)
        nodes = NodeTable(store, PendingNames(pendingDirectory))
        parked = ParkedRequests(engine)
        stateDirectory = try OwnedFD(open: store.root, O_RDONLY | O_DIRECTORY)
    }
}

/// Runs a callback's work; what it throws becomes the answer.
///
/// The work must not throw once it has answered.
/// - Parameter kind: what it is counted as; nil for what nobody counts.
@inline(__always)
func answering(
    _ kind: RequestKind?, _ request: fuse_req_t?,
    _ work: (_ request: fuse_req_t, _ server: Server) throws -> Void
) {
    guard let request, let userdata = fuse_req_userdata(request) else { return }
    // The session keeps the server alive; no reference is counted for a request.
    Unmanaged<Server>.fromOpaque(userdata)._withUnsafeGuaranteedRef { server in
        if let kind { server.memory.current().pointee.tally.note(kind) }
        do { try work(request, server) } catch {
            if kind != .lookup { server.memory.current().pointee.tally.noteError() }
            fuse_reply_err(request, ErrorNumbers.number(error))
        }
    }
}

/// Runs a callback's work on an open file.
@inline(__always)
func answering(
    _ kind: RequestKind?, _ request: fuse_req_t?, _ inode: UInt64,
    _ info: UnsafeMutablePointer<fuse_file_info>?,
    _ work: (_ request: fuse_req_t, _ server: Server, _ file: OpenFile) throws -> Void
) {
    answering(kind, request) { request, server in
        guard let info else { throw FileError.stale }
        guard let pointer = FileHandle(rawValue: info.pointee.fh).object(of: server.epoch) else {
            return try work(request, server, server.nodes.inheritedFile(inode))
        }
        try Unmanaged<OpenFile>.fromOpaque(pointer)._withUnsafeGuaranteedRef { file in
            try work(request, server, file)
        }
    }
}

/// What the kernel keeps for an open file: the address of an object, in the lower 48 bits as on every x86-64
/// process, and the epoch of the process in which that address means something.
///
/// A process that takes over has another epoch, so it never follows an address of the one that died.
struct FileHandle: RawRepresentable {
    let rawValue: UInt64

    init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// Nil for an address that does not fit.
    init?(_ object: AnyObject, epoch: UInt16) {
        let pointer = Unmanaged.passRetained(object)
        let address = UInt64(UInt(bitPattern: pointer.toOpaque()))
        if address >> 48 != 0 {
            pointer.release()
            return nil
        }
        rawValue = UInt64(epoch) << 48 | address
    }

    /// The object, if it is one of this process.
    @inline(__always)
    func object(of epoch: UInt16) -> UnsafeRawPointer? {
        guard rawValue >> 48 == UInt64(epoch) else { return nil }
        return UnsafeRawPointer(bitPattern: UInt(rawValue & 0xffff_ffff_ffff))
    }
}

extension fuse_file_info {
    /// Makes the object the handle of the file; the kernel's RELEASE gives the reference back.
    mutating func retain(_ object: AnyObject, _ server: Server) throws(FileError) {
        guard let handle = FileHandle(object, epoch: server.epoch) else { throw .io }
        fh = handle.rawValue
    }

    mutating func release(_ server: Server) {
        guard let pointer = FileHandle(rawValue: fh).object(of: server.epoch) else { return }
        Unmanaged<AnyObject>.fromOpaque(pointer).release()
        fh = 0
    }
}
