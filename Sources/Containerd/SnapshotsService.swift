// SPDX-License-Identifier: Apache-2.0

import Base
import Volumes

/// containerd's service for snapshots in terms of `Snapshotter`: messages and status codes.
///
/// Names and numbers are containerd's public interface, as api/services/snapshots/v1/snapshots.proto has it.
struct SnapshotsService: Sendable {
    static let name = "/containerd.services.snapshots.v1.Snapshots/"

    private let snapshotter: Snapshotter
    /// Snapshots in one message of a list.
    private static let listCount = 100

    init(_ snapshotter: Snapshotter) {
        self.snapshotter = snapshotter
    }

    /// Errors: with the codes that containerd's own snapshotters give.
    func perform(_ method: String, _ bytes: ArraySlice<UInt8>, _ call: RPCCall) throws(RPCStatus) -> [[UInt8]]
    {
        do {
            return try answer(method, try ProtoMessage(bytes), call)
        } catch let status as RPCStatus {
            throw status
        } catch let error as ProtoError {
            throw RPCStatus(.invalidArgument, error.description)
        } catch {
            throw RPCStatus(SnapshotterError(error))
        }
    }

    private func answer(_ method: String, _ request: ProtoMessage, _ call: RPCCall) throws -> [[UInt8]] {
        guard method.hasPrefix(Self.name) else {
            throw RPCStatus(.unimplemented, "\(method): no such service")
        }
        // In most requests: 1 the snapshotter, 2 the key, 3 the parent, 4 labels.
        switch method.dropFirst(Self.name.count) {
        case "Prepare":
            let labels = try request.map(4)
            return try making(request, call) { key in
                try snapshotter.prepare(key, parent: try request.string(3), labels: labels)
            }
        case "View":
            let labels = try request.map(4)
            return try making(request, call) { key in
                try snapshotter.view(key, parent: try request.string(3), labels: labels)
            }
        case "Mounts": return [Self.mounts(try snapshotter.mounts(try request.string(2)))]
        case "Commit":
            try snapshotter.commit(
                try request.string(3), as: try request.string(2), labels: try request.map(4))
            return [[]]
        case "Remove":
            try snapshotter.remove(try request.string(2))
            return [[]]
        case "Stat": return [Self.info(try snapshotter.stat(try request.string(2)))]
        case "Update": return try update(request)
        case "List": return Self.lists(try snapshotter.list(try request.strings(2)))
        case "Usage": return [Self.usage(try snapshotter.usage(try request.string(2)))]
        // Nothing is left for later: removals free what they can.
        case "Cleanup": return [[]]
        default: throw RPCStatus(.unimplemented, "\(method): no such call")
        }
    }

    /// Nobody would know of a snapshot whose client has gone.
    private func making(
        _ request: ProtoMessage, _ call: RPCCall, _ body: (String) throws -> MountPoint
    ) throws -> [[UInt8]] {
        let key = try request.string(2)
        let mount = try body(key)
        if call.isCancelled {
            try snapshotter.remove(key)
            throw RPCStatus(.cancelled, "snapshot \(key) was removed again")
        }
        return [Self.mounts(mount)]
    }

    private func update(_ request: ProtoMessage) throws -> [[UInt8]] {
        let info = try request.message(2)
        let record = try snapshotter.update(
            try info.string(1), labels: try info.map(6), paths: try request.message(3).strings(1))
        return [Self.info(record)]
    }

    // MARK: Messages

    private static func mounts(_ mount: MountPoint) -> [UInt8] {
        var part = ProtoWriter()
        part.string(1, mount.type)
        part.string(2, mount.directory)
        part.strings(4, mount.options)
        var answer = ProtoWriter()
        answer.message(1, part)
        return answer.bytes
    }

    private static func info(_ record: KeyRecord) -> [UInt8] {
        var answer = ProtoWriter()
        answer.message(1, message(record))
        return answer.bytes
    }

    private static func lists(_ records: [KeyRecord]) -> [[UInt8]] {
        stride(from: 0, to: records.count, by: listCount).map { start in
            var answer = ProtoWriter()
            for record in records[start..<min(start + listCount, records.count)] {
                answer.message(1, message(record))
            }
            return answer.bytes
        }
    }

    private static func usage(_ usage: KeyUsage) -> [UInt8] {
        var answer = ProtoWriter()
        answer.integer(1, Int64(clamping: usage.bytes))
        answer.integer(2, Int64(clamping: usage.inodes))
        return answer.bytes
    }

    private static func message(_ record: KeyRecord) -> ProtoWriter {
        var info = ProtoWriter()
        info.string(1, record.key)
        info.string(2, record.parent)
        info.integer(3, record.kind.rawValue)
        info.message(4, time(record.createdNs))
        info.message(5, time(record.updatedNs))
        info.map(6, record.labels)
        return info
    }

    private static func time(_ nanoseconds: Int64) -> ProtoWriter {
        var time = ProtoWriter()
        time.integer(1, nanoseconds / 1_000_000_000)
        time.integer(2, nanoseconds % 1_000_000_000)
        return time
    }
}

extension RPCStatus {
    init(_ error: SnapshotterError) {
        let code: Code =
            switch error.kind {
            case .exists: .alreadyExists
            case .notFound: .notFound
            case .precondition: .failedPrecondition
            case .invalid: .invalidArgument
            case .noSpace: .resourceExhausted
            case .unavailable: .unavailable
            case .other: .unknown
            }
        self.init(code, error.description)
    }
}
