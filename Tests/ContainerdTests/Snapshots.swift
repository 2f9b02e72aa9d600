// SPDX-License-Identifier: Apache-2.0

import Base
import GRPCCore
import GRPCNIOTransportHTTP2Posix
import GRPCProtobuf
import SwiftProtobuf
import Testing

@testable import Containerd

/// The calls as containerd makes them, with their messages out of the way.
final class Snapshots: Sendable {
    let client: GRPCClient<HTTP2ClientTransport.Posix>
    private let connection: Task<Void, Never>

    private var service: SnapshotsAPI.Service.Client<HTTP2ClientTransport.Posix> { .init(wrapping: client) }

    init(_ lab: Lab) throws {
        let client = GRPCClient(
            transport: try HTTP2ClientTransport.Posix(
                target: .unixDomainSocket(path: lab.socket, authority: "localhost"),
                transportSecurity: .plaintext))
        self.client = client
        connection = Task.detached { try? await client.runConnections() }
    }

    deinit { connection.cancel() }

    /// The directory to work in.
    func prepare(
        _ key: String, on parent: String = "", labels: [String: String] = [:]
    ) async throws -> String {
        let answer = try await service.prepare(
            .with { request in
                (request.snapshotter, request.key, request.parent) = ("slacker", key, parent)
                request.labels = labels
            })
        return try directory(answer.mounts, readOnly: false)
    }

    func view(
        _ key: String, of parent: String = "", labels: [String: String] = [:]
    ) async throws -> String {
        let answer = try await service.view(
            .with { request in
                (request.snapshotter, request.key, request.parent) = ("slacker", key, parent)
                request.labels = labels
            })
        return try directory(answer.mounts, readOnly: true)
    }

    func mounts(_ key: String, readOnly: Bool = false) async throws -> String {
        try directory(try await service.mounts(.with { $0.key = key }).mounts, readOnly: readOnly)
    }

    func commit(_ key: String, as name: String, labels: [String: String] = [:]) async throws {
        _ = try await service.commit(
            .with { request in
                (request.key, request.name, request.labels) = (key, name, labels)
            })
    }

    func remove(_ key: String) async throws {
        _ = try await service.remove(.with { $0.key = key })
    }

    func stat(_ key: String) async throws -> SnapshotsAPI.Info {
        try await service.stat(.with { $0.key = key }).info
    }

    func update(
        _ key: String, labels: [String: String], paths: [String] = []
    ) async throws -> SnapshotsAPI.Info {
        try await service.update(
            .with { request in
                (request.info.name, request.info.labels) = (key, labels)
                if !paths.isEmpty { request.updateMask.paths = paths }
            }
        ).info
    }

    /// Names, in order.
    func list(_ filters: String...) async throws -> [String] {
        try await service.list(.with { $0.filters = filters }) { response in
            var names: [String] = []
            for try await part in response.messages { names += part.info.map(\.name) }
            return names
        }
    }

    func usage(_ key: String) async throws -> (bytes: Int64, inodes: Int64) {
        let usage = try await service.usage(.with { $0.key = key })
        return (usage.size, usage.inodes)
    }

    func cleanup() async throws {
        _ = try await service.cleanup(.with { $0.snapshotter = "slacker" })
    }

    /// Makes a committed snapshot of what a script does in it.
    func layer(
        _ name: String, on parent: String = "", _ script: String, labels: [String: String] = [:]
    ) async throws {
        try shell(script, in: try await prepare("extract-" + name, on: parent, labels: labels))
        try await commit("extract-" + name, as: name, labels: labels)
    }

    /// Calls any method with any bytes.
    func call(_ method: String, _ bytes: [UInt8]) async throws -> [UInt8] {
        let parts = method.split(separator: "/")
        return try await client.unary(
            request: ClientRequest(message: bytes),
            descriptor: MethodDescriptor(
                service: ServiceDescriptor(fullyQualifiedService: String(parts[0])), method: String(parts[1])),
            serializer: PlainBytes(), deserializer: PlainBytes(), options: .defaults
        ) { try $0.message }
    }

    private func directory(_ mounts: [SnapshotsAPI.Mount], readOnly: Bool) throws -> String {
        let mount = try #require(mounts.first)
        #expect(mounts.count == 1)
        #expect(mount.type == "bind" && mount.target.isEmpty)
        #expect(mount.options == ["rbind", readOnly ? "ro" : "rw"])
        return mount.source
    }
}

/// Messages as they are.
private struct PlainBytes: MessageSerializer, MessageDeserializer {
    func serialize<Bytes: GRPCContiguousBytes>(_ message: [UInt8]) throws -> Bytes { Bytes(message) }

    func deserialize<Bytes: GRPCContiguousBytes>(_ bytes: Bytes) throws -> [UInt8] {
        bytes.withUnsafeBytes { Array($0) }
    }
}

/// Expects a status of gRPC.
func expectStatus(
    _ code: RPCError.Code, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
) async {
    do {
        try await body()
        Issue.record("no error, but \(code) was expected", sourceLocation: sourceLocation)
    } catch let error as RPCError {
        #expect(error.code == code, "\(error.message)", sourceLocation: sourceLocation)
        #expect(!error.message.isEmpty, sourceLocation: sourceLocation)
    } catch {
        Issue.record("\(error)", sourceLocation: sourceLocation)
    }
}
