// SPDX-License-Identifier: Apache-2.0

import Base
import Distribution
import Glibc
import OCI
import Volumes

extension Driver {
    /// Begins a push.
    func startPush(_ request: PushRequest) throws(Failure) -> OperationInfo {
        let reference: RemoteReference
        do {
            reference = try RemoteReference(parsing: configuration.completed(request.reference))
            _ = try store.image(named: request.image)
        } catch {
            throw Failure(error)
        }
        return try operations.start("push", of: request.image) { [self] operation in
            try push(request, reference, operation)
        }.info
    }

    private func push(_ request: PushRequest, _ reference: RemoteReference, _ operation: Operation) throws {
        let options = PushOptions(makesBootPack: request.bootPack)
        let report: PushReport
        var ordinary: OrdinaryPushReport?
        if request.alsoOrdinary {
            guard case .registry(let target) = reference else {
                throw Failure(.invalid, "\(reference): not a registry; ordinary images go to registries only")
            }
            (ordinary, report) = try OrdinaryPusher.pushBoth(
                image: request.image, to: target, options: options, clients: network.clients,
                progress: { operation.progress($0) }, isCancelled: { operation.isCancelled })
        } else {
            report = try Pusher.push(
                image: request.image, to: reference, options: options, clients: network.clients,
                progress: { operation.progress($0) }, isCancelled: { operation.isCancelled })
        }
        let image = try store.image(named: request.image)
        operation.succeed { [ordinary] info in
            info.image = Self.info(image)
            info.push = Self.info(report, ordinary: ordinary?.reference)
        }
    }

    /// Begins a pull.
    func startPull(_ request: PullRequest) throws(Failure) -> OperationInfo {
        try beginPull(request, onlyMissing: false).info
    }

    /// - Parameter onlyMissing: an image that has come meanwhile will do.
    func beginPull(_ request: PullRequest, onlyMissing: Bool) throws(Failure) -> Operation {
        let reference: RemoteReference
        let name: String
        var options = PullOptions(policy: configuration.blockImagePolicy)
        options.replacesExisting = true
        do {
            reference = try RemoteReference(parsing: configuration.completed(request.reference))
            name = request.name ?? reference.localName
            try Names.checkImage(name)
            if store.kind(of: name) == .volume { throw VolumeError.nameTaken(name, by: .volume) }
            if let text = request.platform { options.platform = try Platform(parsing: text) }
        } catch {
            throw Failure(error)
        }
        let fill = try request.fill.map { text throws(Failure) in try Self.fillPolicy(text) }
        return try operations.start("pull", of: name) { [self, options] operation in
            try pulls.with([name]) {
                if onlyMissing, store.kind(of: name) == .image {
                    let image = try store.image(named: name)
                    return operation.succeed { $0.image = Self.info(image) }
                }
                try pull(request, reference, name, options, fill, operation)
            }
        }
    }

    private func pull(
        _ request: PullRequest, _ reference: RemoteReference, _ name: String, _ options: PullOptions,
        _ fill: FillPolicy?, _ operation: Operation
    ) throws {
        let report = try Puller.pull(
            reference, as: name, options: options, clients: network.clients,
            progress: { operation.progress($0) }, isCancelled: { operation.isCancelled })
        fills.adopt(name, request.whole ? .now : fill)
        var info = Self.info(report)
        if request.publish { info.published = try publish(report, reference, operation) }
        if request.whole { try waitUntilWhole(name, operation) }
        let image = try store.image(named: name)
        operation.succeed { [info] operation in
            operation.image = Self.info(image)
            operation.pull = info
        }
    }

    /// Attaches the block image that was made of an ordinary one to that one; nil when it is one already.
    private func publish(
        _ report: PullReport, _ reference: RemoteReference, _ operation: Operation
    ) throws -> String? {
        guard report.kind == .ordinary, case .registry(let image) = reference else { return nil }
        let manifest = try network.clients.registry.repository(image).manifest(.digest(report.digest))
        var options = PushOptions()
        options.subject = manifest.descriptor
        return try Pusher.push(
            image: report.image.name, to: reference, options: options, clients: network.clients,
            progress: { operation.progress($0) }, isCancelled: { operation.isCancelled }
        ).reference
    }

    /// Waits for the fill of an image, as an operation that is watched.
    private func waitUntilWhole(_ name: String, _ operation: Operation) throws {
        while true {
            let info = fills.info(name)
            operation.progress(phase: "filling", doneBytes: info.localBytes, totalBytes: info.dataBytes)
            switch info.state {
            case .complete: return
            case .incomplete, .off:
                throw Failure(
                    .remote, "\(name): some blocks could not be fetched; see 'slacker status', and fill again"
                )
            case .noRoom:
                throw Failure(
                    .noSpace,
                    "\(name): the cache has no room for all of it; raise cache.max_bytes, or free space")
            default: break
            }
            if operation.isCancelled { throw DistributionError.cancelled }
            usleep(100_000)
        }
    }

    static func fillPolicy(_ text: String) throws(Failure) -> FillPolicy {
        guard let policy = FillPolicy(rawValue: text) else {
            throw Failure(.invalid, "fill \(text): not known; use never, idle or now")
        }
        return policy
    }

    static func info(_ report: PushReport, ordinary: String?) -> PushInfo {
        PushInfo(
            reference: report.reference, digest: "\(report.digest)", sentBytes: report.sentBytes,
            sentChunks: report.sentChunks, sentPlainBytes: report.sentPlainBytes,
            reusedChunks: report.reusedChunks, reusedPlainBytes: report.reusedPlainBytes,
            ordinaryReference: ordinary, seconds: report.seconds)
    }

    static func info(_ report: PullReport) -> PullInfo {
        var info = PullInfo(
            kind: report.kind.rawValue, reference: report.reference, digest: "\(report.digest)",
            fetchedBytes: report.fetchedBytes, chunks: report.chunks, presentChunks: report.presentChunks,
            seconds: report.seconds)
        info.timings = report.steps
        return info
    }
}

extension Operation {
    func progress(_ progress: DistributionProgress) {
        self.progress(
            phase: progress.phase.rawValue, doneBytes: progress.doneBytes, totalBytes: progress.totalBytes)
    }
}

extension RemoteReference {
    /// What an image is called here that was pulled without a name of its own.
    var localName: String {
        switch self {
        case .registry(let reference): "\(reference)"
        case .objects(_, let name): name
        }
    }

    /// Whether a text names another place by itself: with a scheme, or with a registry's host in front.
    ///
    /// `python:3.12` does not, though a registry would complete it.
    static func isRemote(_ text: String) -> Bool {
        if ["s3://", "dir:", "http://", "https://"].contains(where: text.hasPrefix) { return true }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count > 1, let host = parts.first else { return false }
        return host.contains(".") || host.contains(":") || host == "localhost"
    }
}
