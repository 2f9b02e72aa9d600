// SPDX-License-Identifier: Apache-2.0

import Base
import GRPCCore
import SwiftProtobuf
import Volumes

/// containerd's service for snapshots in terms of `Snapshotter`: messages and status codes.
///
/// Every call works on a thread of its own. Errors have the codes that containerd's own snapshotters give.
struct SnapshotsService: SnapshotsAPI.Service.SimpleServiceProtocol {
    /// Snapshots in one message of a list.
    private static let listCount = 100

    private let snapshotter: Snapshotter

    init(_ snapshotter: Snapshotter) {
        self.snapshotter = snapshotter
    }

    func prepare(
        request: SnapshotsAPI.PrepareRequest, context: ServerContext
    ) async throws -> SnapshotsAPI.PrepareResponse {
        let mount = try await making(request.key, context) { snapshotter in
            try snapshotter.prepare(request.key, parent: request.parent, labels: request.labels)
        }
        return .with { $0.mounts = [SnapshotsAPI.Mount(mount)] }
    }

    func view(
        request: SnapshotsAPI.ViewRequest, context: ServerContext
    ) async throws -> SnapshotsAPI.ViewResponse {
        let mount = try await making(request.key, context) { snapshotter in
            try snapshotter.view(request.key, parent: request.parent, labels: request.labels)
        }
        return .with { $0.mounts = [SnapshotsAPI.Mount(mount)] }
    }

    func mounts(
        request: SnapshotsAPI.MountsRequest, context: ServerContext
    ) async throws -> SnapshotsAPI.MountsResponse {
        let mount = try await perform { try $0.mounts(request.key) }
        return .with { $0.mounts = [SnapshotsAPI.Mount(mount)] }
    }

    func commit(
        request: SnapshotsAPI.CommitRequest, context: ServerContext
    ) async throws -> Google_Protobuf_Empty {
        try await perform { try $0.commit(request.key, as: request.name, labels: request.labels) }
        return Google_Protobuf_Empty()
    }

    func remove(
        request: SnapshotsAPI.RemoveRequest, context: ServerContext
    ) async throws -> Google_Protobuf_Empty {
        try await perform { try $0.remove(request.key) }
        return Google_Protobuf_Empty()
    }

    func stat(
        request: SnapshotsAPI.StatRequest, context: ServerContext
    ) async throws -> SnapshotsAPI.StatResponse {
        let record = try await perform { try $0.stat(request.key) }
        return .with { $0.info = SnapshotsAPI.Info(record) }
    }

    func update(
        request: SnapshotsAPI.UpdateRequest, context: ServerContext
    ) async throws -> SnapshotsAPI.UpdateResponse {
        let record = try await perform { snapshotter in
            try snapshotter.update(
                request.info.name, labels: request.info.labels, paths: request.updateMask.paths)
        }
        return .with { $0.info = SnapshotsAPI.Info(record) }
    }

    func list(
        request: SnapshotsAPI.ListRequest, response: RPCWriter<SnapshotsAPI.ListResponse>,
        context: ServerContext
    ) async throws {
        let records = try await perform { try $0.list(request.filters) }
        for start in stride(from: 0, to: records.count, by: Self.listCount) {
            let part = records[start..<min(start + Self.listCount, records.count)]
            try await response.write(.with { $0.info = part.map { SnapshotsAPI.Info($0) } })
        }
    }

    func usage(
        request: SnapshotsAPI.UsageRequest, context: ServerContext
    ) async throws -> SnapshotsAPI.UsageResponse {
        let usage = try await perform { try $0.usage(request.key) }
        return .with { answer in
            answer.size = Int64(clamping: usage.bytes)
            answer.inodes = Int64(clamping: usage.inodes)
        }
    }

    /// Nothing is left for later: removals free what they can.
    func cleanup(
        request: SnapshotsAPI.CleanupRequest, context: ServerContext
    ) async throws -> Google_Protobuf_Empty {
        Google_Protobuf_Empty()
    }

    // MARK: Parts

    private func perform<T: Sendable>(
        _ body: @escaping @Sendable (Snapshotter) throws -> T
    ) async throws -> T {
        let snapshotter = snapshotter
        do {
            return try await runBlocking("snapshots") { try body(snapshotter) }
        } catch {
            throw RPCError(SnapshotterError(error))
        }
    }

    /// Nobody would know of a snapshot whose client has gone.
    private func making(
        _ key: String, _ context: ServerContext,
        _ body: @escaping @Sendable (Snapshotter) throws -> MountPoint
    ) async throws -> MountPoint {
        let mount = try await perform(body)
        guard context.cancellation.isCancelled || Task.isCancelled else { return mount }
        try await perform { try $0.remove(key) }
        throw RPCError(code: .cancelled, message: "snapshot \(key) was removed again")
    }
}

// MARK: Messages

extension SnapshotsAPI.Mount {
    init(_ mount: MountPoint) {
        self.init()
        type = mount.type
        source = mount.directory
        options = mount.options
    }
}

extension SnapshotsAPI.Info {
    init(_ record: KeyRecord) {
        self.init()
        name = record.key
        parent = record.parent
        kind =
            switch record.kind {
            case .view: .view
            case .active: .active
            case .committed: .committed
            }
        createdAt = Google_Protobuf_Timestamp(nanoseconds: record.createdNs)
        updatedAt = Google_Protobuf_Timestamp(nanoseconds: record.updatedNs)
        labels = record.labels
    }
}

extension Google_Protobuf_Timestamp {
    /// - Parameter nanoseconds: since 1970.
    fileprivate init(nanoseconds: Int64) {
        self.init(seconds: nanoseconds / 1_000_000_000, nanos: Int32(nanoseconds % 1_000_000_000))
    }
}

extension RPCError {
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
        self.init(code: code, message: error.description)
    }
}
