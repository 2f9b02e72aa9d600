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
