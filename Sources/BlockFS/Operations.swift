// SPDX-License-Identifier: Apache-2.0

import Base
import CFuse3
import CLinux
import Glibc
import Volumes

/// The table of callbacks.
///
/// libfuse's threads call them, so none may belong to an actor: they are literals of C type that do no more than
/// hand their arguments on.
enum Operations {
    /// Seconds that the kernel may believe what does not change.
    static let longSeconds = 3600.0
    /// Seconds that the kernel may believe the length of a volume, which the control API can change.
    static let volumeSeconds = 1.0
    /// Names are looked up anew each time: images and volumes come and go by the control API.
    static let nameSeconds = 0.0

    static func table() -> fuse_lowlevel_ops {
        var table = fuse_lowlevel_ops()
        table.`init` = { _, connection in if let connection { Operations.negotiate(&connection.pointee) } }
        addNames(&table)
        addFiles(&table)
        addData(&table)
        return table
    }

    private static func addNames(_ table: inout fuse_lowlevel_ops) {
        table.lookup = { request, parent, name in
            answering(.lookup, request) { try Operations.lookup($0, $1, parent, Operations.text(name)) }
        }
        table.forget = { request, inode, count in
            answering(nil, request) { request, server in
                server.nodes.forget(inode, count)
                fuse_reply_none(request)
            }
        }
        table.forget_multi = { request, count, items in
            answering(nil, request) { request, server in
                for item in UnsafeBufferPointer(start: items, count: count) {
                    server.nodes.forget(item.ino, item.nlookup)
                }
                fuse_reply_none(request)
            }
        }
        table.opendir = { request, inode, info in
            answering(nil, request) { try Operations.openDirectory($0, $1, inode, info) }
        }
        table.readdir = { request, inode, size, offset, info in
            answering(.readdir, request) {
                try Operations.readDirectory($0, $1, inode, size: size, offset: offset, info)
            }
        }
        table.releasedir = { request, _, info in
            answering(nil, request) { request, server in
                info?.pointee.release(server)
                fuse_reply_err(request, 0)
            }
        }
        table.unlink = { request, parent, name in
            answering(.unlink, request) { request, server in
                if parent != Inode.volumes { throw FileError.notPermitted }
                try server.access.remove(Operations.text(name), server.nodes)
                fuse_reply_err(request, 0)
            }
        }
        table.statfs = { request, _ in
            answering(.statfs, request) { try Operations.fileSystemFigures($0, $1) }
        }
    }

    private static func addFiles(_ table: inout fuse_lowlevel_ops) {
        table.getattr = { request, inode, _ in
            answering(.getattr, request) { try Operations.sendAttributes($0, $1, inode) }
        }
        table.setattr = { request, inode, wanted, which, info in
            answering(.setattr, request) { request, server in
                guard let wanted else { throw FileError.invalid }
                try Operations.setAttributes(request, server, inode, wanted.pointee, which)
            }
        }
        table.open = { request, inode, info in
            answering(.open, request) { try Operations.open($0, $1, inode, info) }
        }
        table.create = { request, parent, name, _, info in
            answering(.create, request) { try Operations.create($0, $1, parent, Operations.text(name), info) }
        }
        table.release = { request, _, info in
            answering(nil, request) { request, server in
                if let info { Operations.release(server, info) }
                fuse_reply_err(request, 0)
            }
        }
    }

    private static func addData(_ table: inout fuse_lowlevel_ops) {
        table.read = { request, inode, size, offset, info in
            answering(.read, request, inode, info) {
                try Operations.read($0, $1, $2, size: size, offset: offset)
            }
        }
        table.write_buf = { request, inode, buffers, offset, info in
            answering(.write, request, inode, info) {
                try Operations.write($0, $1, $2, buffers, offset: offset)
            }
        }
        table.flush = { request, _, _ in fuse_reply_err(request, 0) }
        table.fsync = { request, inode, _, info in
            answering(.fsync, request, inode, info) { request, server, file in
                let start = MonotonicTime.now
                try file.volume?.synchronize()
                fuse_reply_err(request, 0)
                server.memory.current().pointee.tally.noteFlush(since: start)
            }
        }
        table.fallocate = { request, inode, mode, offset, length, info in
            answering(.fallocate, request, inode, info) {
                try Operations.allocate($0, $1, $2, mode: mode, offset: offset, length: length)
            }
        }
        table.lseek = { request, inode, offset, whence, info in
            answering(.lseek, request, inode, info) { request, _, file in
                try Operations.seek(request, file, offset: offset, whence: whence)
            }
        }
        table.copy_file_range = { request, fromInode, fromOffset, from, toInode, toOffset, to, count, _ in
            let span = CopySpan(from: fromOffset, to: toOffset, count: count)
            answering(.copy, request, toInode, to) { _, _, target in
                answering(nil, request, fromInode, from) { request, server, source in
                    try Operations.copy(request, server, source, target, span)
                }
            }
        }
    }

    /// A name from the kernel; names of the store are ASCII, so what is not UTF-8 is simply not found.
    static func text(_ name: UnsafePointer<CChar>?) -> String {
        name.map { String(cString: $0) } ?? ""
    }

    private static func negotiate(_ connection: inout fuse_conn_info) {
        connection.max_write = Server.maximumWriteBytes
        connection.max_read = Server.maximumReadBytes
        connection.max_readahead = Server.maximumReadBytes
        connection.max_background = Server.maximumBackground
        // Above this the kernel reads no further ahead, whoever the requests are from.
        connection.congestion_threshold = Server.maximumBackground
        var wanted = connection.want
        for capability in [
            FUSE_CAP_ASYNC_READ, FUSE_CAP_ASYNC_DIO, FUSE_CAP_SPLICE_WRITE, FUSE_CAP_PARALLEL_DIROPS,

        ] where connection.capable & UInt32(capability) != 0 {
            wanted |= UInt32(capability)
        }
        // Attributes need no comparing: nothing changes the content but requests through this mount.
        for capability in [
            FUSE_CAP_AUTO_INVAL_DATA, FUSE_CAP_WRITEBACK_CACHE, FUSE_CAP_SPLICE_MOVE, FUSE_CAP_SPLICE_READ,
            FUSE_CAP_READDIRPLUS,
            FUSE_CAP_READDIRPLUS_AUTO, FUSE_CAP_ATOMIC_O_TRUNC,
        ] {
            wanted &= ~UInt32(capability)
        }
        connection.want = wanted
    }
}
