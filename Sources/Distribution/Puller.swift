// SPDX-License-Identifier: Apache-2.0

/// Makes an image of a registry or another place usable here.
public enum Puller {
    /// Returns as soon as the image can be cloned; blocks.
    ///
    /// A block image, by itself or attached to the ordinary image of that name, is pulled lazily: manifest,
    /// maps and configuration come now, blocks when they are read. Any other is fetched whole and flattened.
    /// - Parameters:
    ///   - name: what the image is called here; nil: as the reference says it.
    /// - Throws: `.notFound`, `.untrusted`, `.notAnImage`, `.badArtifact`, `.volumes` when the name is taken,
    ///   `.registry`, `.remote`, `.chunks`, `.flatten`, `.cancelled`.
    public static func pull(
        _ reference: RemoteReference, as name: String? = nil, options: PullOptions = PullOptions(),
        clients: DistributionClients, progress: @escaping ProgressHandler = { _ in },
        isCancelled: @escaping CancellationCheck = { false }
    ) throws(DistributionError) -> PullReport {
        try PullJob(
            reference, as: name, options, clients, ProgressMeter(progress), isCancelled
        ).run()
    }
}
