// SPDX-License-Identifier: Apache-2.0

import Daemon
import FoundationEssentials
import GRPCCore
import OCI
import SwiftProtobuf

/// One image that becomes known to containerd: snapshots, documents, and the name last.
struct ImageRegistration<Transport: ClientTransport> {
    typealias Leases = Containerd_Services_Leases_V1_Leases
    typealias Content = Containerd_Services_Content_V1_Content
    typealias Images = Containerd_Services_Images_V1_Images

    private let client: GRPCClient<Transport>
    private let namespace: String
    private let documents: ImageDocuments
    /// Keeps what is written from being collected before the image is there.
    private let lease = "slacker-\(UInt64.random(in: 0 ... .max))"

    /// What containerd's collection follows, in labels of content.
    private static var reference: String { "containerd.io/gc.ref." }
    /// Of a lease that nobody ends, since its client was killed.
    private static var leaseSeconds: TimeInterval { 3600 }
    /// After which a call that is not answered fails.
    private static var callSeconds: Int { 60 }

    init(_ client: GRPCClient<Transport>, _ namespace: String, _ documents: ImageDocuments) {
        (self.client, self.namespace, self.documents) = (client, namespace, documents)
    }

    func run() async throws {
        let leases = Leases.Client(wrapping: client)
        let plain: Metadata = ["containerd-namespace": .string(namespace)]
        let expiry = Date(timeIntervalSinceNow: Self.leaseSeconds).ISO8601Format()
        _ = try await leases.create(
            .with { request in
                request.id = lease
                request.labels = ["containerd.io/gc.expire": expiry]
            }, metadata: plain, options: Self.options)
        let result: Result<Void, any Error>
        do { result = .success(try await register()) } catch { result = .failure(error) }
        // Without it the lease ends by its expiry.
        _ = try? await leases.delete(.with { $0.id = lease }, metadata: plain, options: Self.options)
        try result.get()
    }

    private func register() async throws {
        try await addSnapshots()
        try await addContent()
        try await addImage()
    }

    private static var options: CallOptions {
        var options = CallOptions.defaults
        options.timeout = .seconds(callSeconds)
        options.waitForReady = false
        return options
    }

    private var metadata: Metadata {
        ["containerd-namespace": .string(namespace), "containerd-lease": .string(lease)]
    }

    /// Runs a call for whose end it does not matter whether the thing is there already.
    ///
    /// - Returns: false when it was there.
    private func creating<T>(_ call: () async throws -> T) async throws -> Bool {
        do {
            _ = try await call()
            return true
        } catch let error as RPCError where error.code == .alreadyExists {
            return false
        }
    }

    // MARK: Snapshots

    private func addSnapshots() async throws {
        let snapshots = SnapshotsAPI.Service.Client(wrapping: client)
        var parent = ""
        for chain in documents.chains {
            let key = "extract-slacker-\(UInt64.random(in: 0 ... .max)) \(chain)"
            let request = SnapshotsAPI.PrepareRequest.with { [parent] request in
                request.snapshotter = ContainerdImages.snapshotter
                request.key = key
                request.parent = parent
                request.labels = [
                    SnapshotLabels.target: "\(chain)", SnapshotLabels.imageReferences[0]: documents.name,
                ]
            }
            let isToUnpack = try await creating {
                try await snapshots.prepare(request, metadata: metadata, options: Self.options)
            }
            guard isToUnpack else {
                parent = "\(chain)"
                continue
            }
            _ = try? await snapshots.remove(
                .with { removal in
                    removal.snapshotter = ContainerdImages.snapshotter
                    removal.key = key
                }, metadata: metadata, options: Self.options)
            throw Failure(
                .invalid,
                "\(documents.name): its layers are not those of an image that is here; "
                    + "pull it with 'ctr images pull --snapshotter slacker'")
        }
    }

    // MARK: Documents

    private func addContent() async throws {
        var labels: [String: String] = [:]
        if let top = documents.chains.last {
            labels[Self.reference + "snapshot." + ContainerdImages.snapshotter] = "\(top)"
        }
        try await write(documents.configuration, labels)
        labels = [Self.reference + "content.config": "\(documents.configuration.descriptor.digest)"]
        for (index, layer) in documents.layers.enumerated() {
            labels[Self.reference + "content.l.\(index)"] = "\(layer.digest)"
        }
        try await write(documents.manifest, labels)
        if documents.target.descriptor.digest == documents.manifest.descriptor.digest { return }
        try await write(
            documents.target,
            [Self.reference + "content.m.0": "\(documents.manifest.descriptor.digest)"])
    }

    private func write(_ document: ImageDocuments.Document, _ labels: [String: String]) async throws {
        let digest = "\(document.descriptor.digest)"
        let content = Content.Client(wrapping: client)
        // One message with all of the bytes is enough.
        let message = Containerd_Services_Content_V1_WriteContentRequest.with { request in
            request.action = .commit
            request.ref = "slacker-" + digest
            request.total = Int64(document.bytes.count)
            request.expected = digest
            request.data = Data(document.bytes)
            request.labels = labels
        }
        let isNew = try await creating {
            try await content.write(
                metadata: metadata, options: Self.options,
                requestProducer: { writer in try await writer.write(message) },
                onResponse: { response in for try await _ in response.messages {} })
        }
        if !isNew { try await label(digest, labels) }
    }

    /// What was there before may not keep our snapshots from being collected yet.
    private func label(_ digest: String, _ labels: [String: String]) async throws {
        _ = try await Content.Client(wrapping: client).update(
            .with { request in
                request.info.digest = digest
                request.info.labels = labels
                request.updateMask.paths = labels.keys.sorted().map { "labels." + $0 }
            }, metadata: metadata, options: Self.options)
    }

    // MARK: The name

    private func addImage() async throws {
        let images = Images.Client(wrapping: client)
        let image = Containerd_Services_Images_V1_Image.with { image in
            image.name = documents.name
            image.target.mediaType = documents.target.descriptor.mediaType
            image.target.digest = "\(documents.target.descriptor.digest)"
            image.target.size = Int64(documents.target.bytes.count)
        }
        let isNew = try await creating {
            try await images.create(.with { $0.image = image }, metadata: metadata, options: Self.options)
        }
        if !isNew {
            _ = try await images.update(
                .with { $0.image = image }, metadata: metadata, options: Self.options)
        }
    }
}
