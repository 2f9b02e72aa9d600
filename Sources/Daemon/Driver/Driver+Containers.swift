// SPDX-License-Identifier: Apache-2.0

import Base
import Distribution
import Mounts
import Volumes

extension Driver {
    /// Milliseconds that a container's request waits for the pull of its image.
    ///
    /// A lazy pull takes a few round trips, so the container follows in the same call. Longer ones are for
    /// the client to watch.
    private static let pullWaitMs = 2000
    /// Seconds within which the next thing happens on the way to a running container.
    private static let readySeconds = 0.15

    /// Makes a container ready to start, with its image if that is not here.
    func createContainer(_ request: ContainerRequest) throws(Failure) -> ContainerAnswer {
        readiness.expect(withinSeconds: Self.readySeconds)
        var clock = StepClock()
        // If one has to be started, that goes on beside the pull and the clone.
        let child = try Child.take()
        var image = localImage(request.image)
        let policy = request.pull ?? configuration[Settings.runPull]
        if RemoteReference.isRemote(request.image),
            policy == "always" || (image == nil && policy == "missing")
        {
            let operation = try beginPull(Self.pull(of: request), onlyMissing: policy != "always")
            let info = operation.wait(milliseconds: Self.pullWaitMs)
            if let failure = info.failure { throw failure }
            guard let pulled = info.image else { return ContainerAnswer(operation: info) }
            image = pulled.name
            clock.add(info.pull?.timings ?? [])
            clock.step("pull")
        } else if image == nil, RemoteReference.isRemote(request.image) {
            throw Failure(.notFound, "\(request.image): not here; pull it, or allow that with --pull missing")
        }
        let name = image ?? request.image
        let container = try explainingFullDisk { () throws(Failure) in
            try containers.create(request, of: name, child, clock)
        }
        readiness.expect(withinSeconds: Self.readySeconds)
        return ContainerAnswer(container: container)
    }

    /// The image that a text means, if it is here: a name goes before a reference that is completed.
    func localImage(_ text: String) -> String? {
        if store.kind(of: text) == .image { return text }
        guard RemoteReference.isRemote(text),
            let reference = try? RemoteReference(parsing: configuration.completed(text)),
            store.kind(of: reference.localName) == .image
        else { return nil }
        return reference.localName
    }

    private static func pull(of request: ContainerRequest) -> PullRequest {
        var pull = PullRequest(reference: request.image)
        pull.platform = request.platform
        return pull
    }
}
