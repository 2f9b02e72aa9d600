// SPDX-License-Identifier: Apache-2.0

import Base
import Daemon
import Glibc
import Volumes

/// Why a call about a snapshot failed, in the kinds that containerd tells apart.
struct SnapshotterError: Error, CustomStringConvertible {
    enum Kind: Sendable {
        case exists, notFound, precondition, invalid, noSpace, unavailable, other
    }

    let kind: Kind
    let description: String

    init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    init(_ error: any Error) {
        switch error {
        case let error as SnapshotterError: self = error
        case let error as KeyError: self.init(Self.kind(error), "\(error)")
        case let error as FilterError: self.init(.invalid, "\(error)")
        case let error as Failure: self.init(Self.kind(error), error.message)
        default: self.init(.other, "\(error)")
        }
    }

    private static func kind(_ error: KeyError) -> Kind {
        switch error {
        case .exists: .exists
        case .notFound: .notFound
        case .precondition: .precondition
        case .invalid: .invalid
        // The names in there are ours: what containerd named is there or is not.
        case .store(.system(let error)) where error.code == ENOSPC: .noSpace
        case .store: .other
        }
    }

    private static func kind(_ failure: Failure) -> Kind {
        switch failure.code {
        case .noSpace: .noSpace
        case .inUse: .precondition
        case .unavailable, .remote: .unavailable
        default: .other
        }
    }
}
