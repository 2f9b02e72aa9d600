// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Runs blocking work for async callers on a thread of its own, so that the cooperative pool stays free.
public func runBlocking<T: Sendable>(
    _ name: String = "blocking", _ body: @escaping @Sendable () throws -> T
) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        do throws(SystemError) {
            _ = try NamedThread(name, stackBytes: 2 * 1024 * 1024, detached: true) {
                continuation.resume(with: Result { try body() })
            }
        } catch {
            continuation.resume(throwing: error)
        }
    }
}

/// Waits on this plain thread for work of the cooperative pool; never to be called from a task.
public func waitForTask<T: Sendable>(_ body: @escaping @Sendable () async throws -> T) throws -> T {
    let outcome = Monitor<Result<T, any Error>?>(nil)
    Task.detached {
        let result: Result<T, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        outcome.withLock { $0 = result }
    }
    return try outcome.wait { $0 }.get()
}
