// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A system call that failed: which call, on what, and why.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The error number of the call.
    public let code: Int32
    /// The name of the call, as its man page has it.
    public let call: String
    /// What the call was about: a path, a device, a process.
    public let subject: String

    public init(_ code: Int32, _ call: String, _ subject: String) {
        self.code = code
        self.call = call
        self.subject = subject
    }

    /// The error that the call which has just failed on this thread left behind.
    ///
    /// Read it before anything else can run: even releasing an object may overwrite `errno`.
    @inline(never)
    public static func last(_ call: String, _ subject: String) -> SystemError {
        let code = errno
        return SystemError(code, call, subject)
    }

    /// The text of the error number alone, in lower case: "no such file or directory".
    public var reason: String {
        String(cString: strerror(code)).lowercased()
    }

    public var description: String {
        "\(subject): \(call): \(reason)"
    }
}

/// Runs a call that returns a negative number on failure, again whenever a signal interrupted it.
@inline(__always)
public func retrying<T: SignedInteger>(_ call: () -> T) -> T {
    while true {
        let result = call()
        if result >= 0 || errno != EINTR { return result }
    }
}
