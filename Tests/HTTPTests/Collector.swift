// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP

/// Keeps what a transfer brings, and pauses or stops where the test wants it to.
final class Collector: TransferReceiver {
    struct State {
        var head: ResponseHead?
        var body: [UInt8] = []
        var result: Result<TransferSummary, HTTPError>?
        var finishes = 0
        var pauses = 0
    }

    let state = Monitor(State())
    private let accepts: Bool
    private let flow: @Sendable (inout State) -> TransferFlow

    init(
        accepts: Bool = true, flow: @escaping @Sendable (inout State) -> TransferFlow = { _ in .proceed }
    ) {
        self.accepts = accepts
        self.flow = flow
    }

    func begin(_ head: ResponseHead) -> Bool {
        state.withLock { $0.head = head }
        return accepts
    }

    func receive(_ bytes: UnsafeRawBufferPointer) -> TransferFlow {
        state.withLock { state in
            let flow = flow(&state)
            switch flow {
            case .proceed: state.body.append(contentsOf: bytes)
            case .pause: state.pauses += 1
            case .stop: break
            }
            return flow
        }
    }

    func finish(_ result: Result<TransferSummary, HTTPError>) {
        state.withLock {
            $0.result = result
            $0.finishes += 1
        }
    }

    /// What it has when the transfer is over; nil after so many seconds.
    func wait(_ seconds: Double = 20) -> State? {
        state.wait(until: .now.advanced(bySeconds: seconds)) { $0.result == nil ? nil : $0 }
    }

    var error: HTTPError? {
        guard case .failure(let error) = wait()?.result else { return nil }
        return error
    }
}
