// SPDX-License-Identifier: Apache-2.0

import Base
import CFuse3
import ChunkStore
import Glibc
import Volumes

/// What every callback finds behind `fuse_req_userdata`.
final class Server: Sendable {
    let access: StoreAccess
    let nodes = NodeTable()
    let replies = ReadReplies()
    let memory = ThreadMemory()
    let parked: ParkedRequests
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

    init(_ store: VolumeStore, _ engine: FetchEngine?) throws(SystemError) {
        access = StoreAccess(store: store)
        parked = ParkedRequests(engine)
        stateDirectory = try OwnedFD(open: store.root, O_RDONLY | O_DIRECTORY)
    }
}

/// Runs a callback's work; what it throws becomes the answer.
///
/// The work must not throw once it has answered.
@inline(__always)
func answering(_ request: fuse_req_t?, _ work: (_ request: fuse_req_t, _ server: Server) throws -> Void) {
    guard let request, let userdata = fuse_req_userdata(request) else { return }
    // The session keeps the server alive; no reference is counted for a request.
    Unmanaged<Server>.fromOpaque(userdata)._withUnsafeGuaranteedRef { server in
        do { try work(request, server) } catch { fuse_reply_err(request, ErrorNumbers.number(error)) }
    }
}

/// Runs a callback's work on an open file.
@inline(__always)
func answering(
    _ request: fuse_req_t?, _ info: UnsafeMutablePointer<fuse_file_info>?,
    _ work: (_ request: fuse_req_t, _ server: Server, _ file: OpenFile) throws -> Void
) {
    answering(request) { request, server in
        guard let info, let pointer = UnsafeRawPointer(bitPattern: UInt(info.pointee.fh)) else {
            throw FileError.stale
        }
        try Unmanaged<OpenFile>.fromOpaque(pointer)._withUnsafeGuaranteedRef { file in
            try work(request, server, file)
        }
    }
}

extension fuse_file_info {
    /// Makes the object the handle of the file; the kernel's RELEASE gives the reference back.
    mutating func retain(_ object: AnyObject) {
        fh = UInt64(UInt(bitPattern: Unmanaged.passRetained(object).toOpaque()))
    }

    mutating func release() {
        guard let pointer = UnsafeRawPointer(bitPattern: UInt(fh)) else { return }
        Unmanaged<AnyObject>.fromOpaque(pointer).release()
        fh = 0
    }
}
