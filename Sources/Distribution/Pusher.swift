// SPDX-License-Identifier: Apache-2.0

/// Sends an image to a registry or another place.
public enum Pusher {
    /// Sends what the other side lacks and makes the image visible there; blocks.
    ///
    /// Nothing is visible before the end: an interrupted push leaves blobs that nobody names, and the next
    /// one finds those it would make again. Waits until the image is sealed. Afterwards the store knows the
    /// places of the image's chunks.
    /// - Throws: `.volumes` when there is no such image, `.readOnlyPlace`, `.unreachableChunks`, `.registry`,
    ///   `.remote`, `.chunks`, `.system`, `.cancelled`.
    public static func push(
        image: String, to reference: RemoteReference, options: PushOptions = PushOptions(),
        clients: DistributionClients, progress: @escaping ProgressHandler = { _ in },
        isCancelled: @escaping CancellationCheck = { false }
    ) throws(DistributionError) -> PushReport {
        try PushJob(
            image: image, reference, options, clients, ProgressMeter(progress), isCancelled
        ).run()
    }
}
