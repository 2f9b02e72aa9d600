// SPDX-License-Identifier: Apache-2.0

import Base
public import HTTP

/// Knows how packs are asked for at one place that speaks HTTP.
public protocol HTTPRequestProvider: AnyObject, Sendable {
    /// For log and status; holds no secrets.
    var name: String { get }

    /// A GET of an object with all that it needs at the moment; range and group are added to it.
    ///
    /// May block, for a token for example: it is called on a thread of the source.
    func request(for object: ObjectName) throws(SourceFailure) -> (Request, TransferOptions)

    /// The last request for this object did not bring what was asked for. May block as well.
    ///
    /// With 401 or 403, what it was made with is of no use any more; otherwise another server may do better.
    /// - Parameter status: of the answer; 0 where none came, or where its bytes were wrong.
    func rejected(_ object: ObjectName, status: Int)
}

/// Reads ranges of packs by HTTP: what registries, S3 and plain servers have in common.
///
/// A refused request is made once more with new credentials; every other failure is for the caller to
/// judge. Nothing that the server says about what it sends is believed unchecked.
public final class HTTPPackSource: PackSource {
    private let loop: TransferLoop
    private let provider: any HTTPRequestProvider
    /// Makes requests, one after the other: whoever waits for a token waits for the same one.
    private let worker: SerialWorker

    public var name: String { provider.name }

    public init(loop: TransferLoop, provider: any HTTPRequestProvider) {
        self.loop = loop
        self.provider = provider
        worker = SerialWorker("pack-requests")
    }

    public func fetch(
        _ object: ObjectName, sizeBytes: UInt64, range: Range<UInt64>, class: FetchClass,
        to receiver: any RangeReceiver
    ) -> any FetchCancellation {
        precondition(!range.isEmpty && range.upperBound <= sizeBytes, "a range lies within its object")
        let fetch = RangeFetch(
            object: object, sizeBytes: sizeBytes, range: range, group: Self.group(of: `class`),
            receiver: receiver, loop: loop, provider: provider, worker: worker)
        fetch.begin(refusedStatus: nil)
        return fetch
    }

    public func distrust(_ object: ObjectName) {
        worker.run { [provider] in provider.rejected(object, status: 0) }
    }

    private static func group(of class: FetchClass) -> TransferGroup {
        switch `class` {
        case .demand: .demand
        case .readAhead: .readAhead
        case .boot: .boot
        case .background: .background
        }
    }
}
