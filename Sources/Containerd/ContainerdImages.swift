// SPDX-License-Identifier: Apache-2.0

import Base
public import Daemon
import Glibc
import OCI

/// Makes images known to containerd whose layers it need not fetch.
///
/// Speaks containerd's services for leases, snapshots, content and images; names and numbers are those of its
/// public interface.
public struct ContainerdImages: Sendable {
    /// What containerd calls us in its configuration.
    public static let snapshotter = "slacker"

    private let namespace: String
    private let address: String

    /// - Parameter address: path of containerd's socket.
    public init(namespace: String, address: String) {
        self.namespace = namespace
        self.address = address
    }

    /// Registers an image in containerd, so that a container of it starts at once; blocks.
    ///
    /// Its layers get snapshots without being unpacked. Where that cannot be, nothing is registered.
    /// Errors: `.invalid` when the image would have to be unpacked, `.unavailable` without containerd.
    public func register(_ documents: ImageDocuments) throws(Failure) {
        let client: RPCClient
        do throws(SystemError) { client = try RPCClient(path: address) } catch {
            throw Failure(.unavailable, "\(error); is containerd running there?")
        }
        do {
            try Registration(client, namespace, documents).run()
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(.failed, "containerd: \(error)")
        }
    }
}

/// One image that becomes known.
private struct Registration {
    private let client: RPCClient
    private let namespace: String
    private let documents: ImageDocuments
    /// Keeps what is written from being collected before the image is there.
    private let lease = "slacker-\(UInt64.random(in: 0 ... .max))"

    /// What containerd's collection follows, in labels of content.
    private static let reference = "containerd.io/gc.ref."
    /// Of a lease that nobody ends, since its client was killed.
    private static let leaseSeconds: Int64 = 3600

    init(_ client: RPCClient, _ namespace: String, _ documents: ImageDocuments) {
        (self.client, self.namespace, self.documents) = (client, namespace, documents)
    }

    func run() throws {
        var request = ProtoWriter()
        request.string(1, lease)
        request.map(3, ["containerd.io/gc.expire": Timestamp.text(Int64(time(nil)) + Self.leaseSeconds)])
        _ = try call("leases.v1.Leases/Create", request, isLeased: false)
        defer {
            var end = ProtoWriter()
            end.string(1, lease)
            _ = try? call("leases.v1.Leases/Delete", end, isLeased: false)
        }
        try snapshots()
        try content()
        try image()
    }

    @discardableResult
    private func call(
        _ method: String, _ request: ProtoWriter, isLeased: Bool = true
    ) throws(RPCStatus) -> [[UInt8]] {
        var metadata = ["containerd-namespace": namespace]
        if isLeased { metadata["containerd-lease"] = lease }
        return try client.call("/containerd.services." + method, request.bytes, metadata: metadata)
    }

    // MARK: Parts

    private func snapshots() throws {
        var parent = ""
        for chain in documents.chains {
            let key = "extract-slacker-\(UInt64.random(in: 0 ... .max)) \(chain)"
            var request = ProtoWriter()
            request.string(1, ContainerdImages.snapshotter)
            request.string(2, key)
            request.string(3, parent)
            request.map(
                4, [SnapshotLabels.target: "\(chain)", SnapshotLabels.imageReferences[0]: documents.name])
            do throws(RPCStatus) {
                try call("snapshots.v1.Snapshots/Prepare", request)
            } catch {
                guard error.code == .alreadyExists else { throw error }
                parent = "\(chain)"
                continue
            }
            var removal = ProtoWriter()
            removal.string(1, ContainerdImages.snapshotter)
            removal.string(2, key)
            _ = try? call("snapshots.v1.Snapshots/Remove", removal)
            throw Failure(
                .invalid,
                "\(documents.name): not an image that can be read lazily here; "
                    + "pull it with 'ctr images pull --snapshotter slacker'")
        }
    }

    private func content() throws {
        var labels: [String: String] = [:]
        if let top = documents.chains.last {
            labels[Self.reference + "snapshot." + ContainerdImages.snapshotter] = "\(top)"
        }
        try write(documents.configuration, labels)
        labels = [Self.reference + "content.config": "\(documents.configuration.descriptor.digest)"]
        for (index, layer) in documents.layers.enumerated() {
            labels[Self.reference + "content.l.\(index)"] = "\(layer.digest)"
        }
        try write(documents.manifest, labels)
        if documents.target.descriptor.digest == documents.manifest.descriptor.digest { return }
        try write(
            documents.target,
            [Self.reference + "content.m.0": "\(documents.manifest.descriptor.digest)"])
    }

    private func write(_ document: ImageDocuments.Document, _ labels: [String: String]) throws {
        let digest = "\(document.descriptor.digest)"
        var request = ProtoWriter()
        // Commit, with all of the bytes: one message is enough.
        request.integer(1, 2)
        request.string(2, "slacker-" + digest)
        request.integer(3, Int64(document.bytes.count))
        request.string(4, digest)
        request.bytes(6, document.bytes)
        request.map(7, labels)
        do throws(RPCStatus) { try call("content.v1.Content/Write", request) } catch {
            guard error.code == .alreadyExists else { throw error }
            try label(digest, labels)
        }
    }

    /// What was there before may not keep our snapshots from being collected yet.
    private func label(_ digest: String, _ labels: [String: String]) throws {
        var info = ProtoWriter()
        info.string(1, digest)
        info.map(5, labels)
        var mask = ProtoWriter()
        mask.strings(1, labels.keys.sorted().map { "labels." + $0 })
        var request = ProtoWriter()
        request.message(1, info)
        request.message(2, mask)
        try call("content.v1.Content/Update", request)
    }

    private func image() throws {
        var target = ProtoWriter()
        target.string(1, documents.target.descriptor.mediaType)
        target.string(2, "\(documents.target.descriptor.digest)")
        target.integer(3, Int64(documents.target.bytes.count))
        var image = ProtoWriter()
        image.string(1, documents.name)
        image.message(3, target)
        var request = ProtoWriter()
        request.message(1, image)
        do throws(RPCStatus) { try call("images.v1.Images/Create", request) } catch {
            guard error.code == .alreadyExists else { throw error }
            try call("images.v1.Images/Update", request)
        }
    }
}
