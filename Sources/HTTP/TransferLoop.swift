// SPDX-License-Identifier: Apache-2.0

/// Limits and ways of a transfer loop.
public struct TransferLoopConfiguration: Sendable {
    /// Connections to all hosts that are kept open, in use or not.
    public var maximumConnections: Int
    /// Transfers that one host serves at a time; the rest waits, the most urgent first.
    ///
    /// A quarter of them is held free for what somebody waits for.
    public var maximumPerHost: Int
    /// Address of a proxy, "" for none; nil takes it from the usual environment variables.
    public var proxy: String?
    public var userAgent: String

    public init(
        maximumConnections: Int = 128, maximumPerHost: Int = 24, proxy: String? = nil,
        userAgent: String = "slacker"
    ) {
        precondition(maximumConnections > 0 && maximumPerHost > 3)
        self.maximumConnections = maximumConnections
        self.maximumPerHost = maximumPerHost
        self.proxy = proxy
        self.userAgent = userAgent
    }
}

/// Many transfers at once on one thread of its own, over connections that are kept and shared.
///
/// HTTP/2 is used where the server offers it and the transfer is small and urgent. `stop` must be called,
/// or the last reference dropped, for the thread to end.
public final class TransferLoop: Sendable {
    private let core: LoopCore

    /// Loads libcurl when this is the first loop of the program.
    public init(_ configuration: TransferLoopConfiguration = .init()) throws(HTTPError) {
        core = try LoopCore(configuration)
        try core.begin()
    }

    deinit { core.stop() }

    /// Any thread; never waits for the network.
    ///
    /// The receiver is held until it has heard `finish`.
    ///
    /// A loop that has been stopped answers with `.stopped`, on a thread of its own.
    @discardableResult
    public func start(
        _ request: Request, _ options: TransferOptions = .init(), to receiver: any TransferReceiver
    ) -> TransferID {
        core.start(request, options, to: receiver)
    }

    /// - Parameter streams: the receiver will pause, so the transfer gets a connection of its own.
    func start(
        _ request: Request, _ options: TransferOptions, streams: Bool, to receiver: any TransferReceiver
    ) -> TransferID {
        core.start(request, options, streams: streams, to: receiver)
    }

    /// Ends a transfer: its receiver hears `.stopped` unless it has finished.
    public func cancel(_ id: TransferID) {
        core.post(.cancel(id))
    }

    /// Goes on after `TransferReceiver.receive` has returned `.pause`; never lost when it comes earlier.
    public func resume(_ id: TransferID) {
        core.post(.resume(id))
    }

    /// Caps the bytes per second that all transfers of a group move together; nil lifts the cap.
    public func setLimit(_ bytesPerSecond: UInt64?, for group: TransferGroup) {
        precondition(bytesPerSecond != 0, "a cap of nothing would never end; cancel the transfers instead")
        core.post(.limit(group, bytesPerSecond))
    }

    /// Whether the calling thread is the loop's own, on which nothing may wait for a transfer.
    public var isOwnThread: Bool { core.isOwnThread }

    /// Ends all transfers with `.stopped` and closes all connections; waits until that is done, except
    /// on the loop's own thread.
    public func stop() {
        core.stop()
    }
}
