// SPDX-License-Identifier: Apache-2.0

/// What an error answer of the control API holds: `{"code": "notFound", "message": "…"}`.
public struct Failure: Error, Codable, Equatable, Sendable, CustomStringConvertible {
    /// What went wrong in kind, for programs.
    public enum Code: String, Codable, Sendable, CaseIterable {
        /// The request itself makes no sense: bad JSON, a name that breaks the rules, a field out of range.
        case invalid
        /// The thing does not exist.
        case notFound
        /// Something of that name exists already.
        case exists
        /// The thing is mounted, or runs, or another request works on it.
        case inUse
        /// No such route or method.
        case noRoute
        /// The request is longer than the limit.
        case tooLarge
        /// The source of an import is damaged, or of a kind that is not supported.
        case badSource
        /// The disk is full.
        case noSpace
        /// The client gave up, or stopped asking.
        case cancelled
        /// The machine lacks something: a program, a device, a kernel feature.
        case unavailable
        /// A registry or another place wants other credentials, or the policy forbids it.
        case denied
        /// A registry or another place cannot be reached, or does not answer as it should.
        case remote
        /// The command of a container is not in its image, or cannot be run.
        case commandNotFound, commandNotExecutable
        /// Anything else.
        case failed
    }

    public let code: Code
    /// One line: the name of the thing, what is wrong, what to do.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}

extension Failure.Code {
    /// The HTTP status of an answer with this code; the one table for that.
    public var httpStatus: Int {
        switch self {
        case .invalid: 400
        case .notFound, .noRoute: 404
        case .exists, .inUse, .cancelled: 409
        case .tooLarge: 413
        case .badSource, .commandNotFound, .commandNotExecutable: 422
        case .denied: 403
        case .remote: 502
        case .noSpace: 507
        case .unavailable: 503
        case .failed: 500
        }
    }
}
